r"""What a noisy value, :math:`x = a z + \varepsilon` with :math:`\varepsilon \sim N(0, v I)`, says of a Gaussian z.

In units of z it is a measurement with round errors, :math:`x/a = z + \varepsilon/a`, which each covariance structure
answers in its own way; covariances and gains are made once, for all values.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...components import Gaussian
from ...components.covariance.posterior import Gain, Measurement
from ...components.covariance.structure import Structure

__all__ = ["Earlier"]


class Earlier:
    """The laws of earlier values, prepared for any number of later ones.

    Arguments:
        gaussian: The law of z by component, of batch shape ``(*B, K)``.
        signal: a, led as times are, ``(*T, *1)``, with a dimension of size one for each of B's.
        variance: v, likewise.
    """

    def __init__(self, gaussian: Gaussian, signal: Tensor, variance: Tensor) -> None:
        features = gaussian.features
        least = torch.finfo(signal.dtype).tiny ** 0.4  # of no signal at all nothing is known: as good as this little
        self.signal = torch.maximum(signal, variance.sqrt() * least)
        noise = (variance.sqrt() / self.signal).square()[..., None, None]
        measurement = Measurement._of(
            matrix=None, noise=noise.expand(*noise.shape[:-1], features), diagonal=True, absent=None
        )
        self.variance = noise
        self.structure: Structure
        self.gain: Gain
        self.structure, self.gain = gaussian.structure.posterior(measurement, features)
        batch = torch.broadcast_shapes(noise.shape[:-2], gaussian.location.shape[:-2])
        self.location = gaussian.location.expand(*batch, -1, -1)

    def means(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns log p(x|k) ``(*S, *T, *B, K)`` up to a constant, and the means of z ``(*S, *T, *B, K, D)``."""
        return self.gain.explain((x / self.signal.unsqueeze(-1)).unsqueeze(-2), self.location)

    def mean(self, logits: Tensor, x: Tensor) -> Tensor:
        """Returns the mean of z over components of log weights ``(*B, K)``, in the shape of x."""
        evidence, means = self.means(x)
        return (torch.softmax(logits + evidence, -1).unsqueeze(-2) @ means).squeeze(-2)

    def within(self, v: Tensor) -> Tensor:
        """Returns each component's covariance of z given x times vectors ``(*S, *T, *B, D)``: ``(*S, *T, *B, K, D)``.

        A covariance is the noise's variance, in units of z, times the gain: what the mean makes of a record.
        """
        nothing = torch.zeros_like(self.location)
        return self.variance * self.gain.explain(v.unsqueeze(-2), nothing)[1]
