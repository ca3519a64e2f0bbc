r"""Starts behind errors whose components are no narrower than rows could tell.

Through errors a component without width is a fixed point of EM: it can neither widen nor move. Of a component's
:math:`n_k` rows, seen through errors that leave a covariance S of what was drawn, a variance is known to about
:math:`s^2\sqrt{2 / n_k}`. So one that is narrower than that may as well begin with it,

.. math:: \Sigma_k + \big(\sqrt{2 / n_k}\, S - \Sigma_k\big)_+ ,

from where it finds its place and its width, which may be none again; wider ones stay as they are.
"""

from __future__ import annotations

import torch

from ...components.covariance.columns import not_below_zero
from ...data import Rows
from ...mixture import Mixture
from .clean_rows import clean_spread

__all__ = ["wide_enough"]


@torch.no_grad()
def wide_enough(mixture: Mixture, rows: Rows) -> Mixture:
    """Returns a mixture of Gaussians no narrower than rows could tell, and any other one as it is.

    Arguments:
        mixture: A mixture of the rows as they were drawn.
        rows: The rows, with what stands before them.
    """
    if rows.observation.exact or not mixture.components.is_gaussian:
        return mixture
    gaussian = mixture.components.gaussian.to(torch.float64)
    held = gaussian.structure.pool(mixture.weights.double() * rows.total_weight)
    share = (2 / held.clamp_min(2)).sqrt()
    dense = gaussian.structure.dense(gaussian.features)
    lack = not_below_zero(share[..., None, None] * clean_spread(rows).double() - dense)
    if not bool(lack.any()):
        return mixture
    wider = gaussian._replace(structure=gaussian.structure.with_covariance(dense + lack)).to(mixture.components.dtype)
    return Mixture._of(mixture.logits, mixture.components.with_gaussian(wider), mixture.columns)
