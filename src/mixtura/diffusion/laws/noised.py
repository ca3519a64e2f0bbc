r"""The law of :math:`x = \alpha x_0 + \sigma\varepsilon`: covariances become :math:`\alpha^2\Sigma_k + \sigma^2 I`."""

from __future__ import annotations

from torch import Tensor

from ...components import Gaussian
from ...components.gaussian_algebra import expanded
from ...mixture import Mixture

__all__ = ["noised"]


def noised(mixture: Mixture, alpha: Tensor, variance: Tensor) -> Mixture:
    """Returns the law of draws of a mixture under a signal and noise of a variance, ``(*T, *1)``: one entry for each.

    Arguments:
        mixture: The law of clean draws, of batch shape B.
        alpha: The signal, led as times are, with a dimension of size one for each of B's; or without dimensions.
        variance: The noise's, likewise.
    """
    alpha, variance = alpha.unsqueeze(-1), variance.unsqueeze(-1)
    gaussian = mixture.components.gaussian
    mean = alpha.unsqueeze(-1) * gaussian.location
    structure = gaussian.structure.scaled(alpha).plus_spherical(variance)
    seen = Gaussian._of(location=mean, structure=expanded(structure, mean.shape[:-2]))
    return mixture._of(mixture.logits.expand(mean.shape[:-1]), mixture.components.with_gaussian(seen))
