r"""The posterior in a covariance's own axes: where errors are round and A turns all coordinates, at one scale.

With :math:`\Sigma = Q\,\mathrm{diag}(\lambda)\,Q^\top`, :math:`A A^\top = c^2 I` and errors of variance s, the record
in those axes is :math:`Q^\top A^{-1} y = Q^\top x + e`, with errors of variance :math:`s / c^2` along each of them, and
no axis tells of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..columns import times
from ..patterns import similar
from .coordinates import by_coordinates
from .gain import Gain
from .measurement import Coordinates, Measurement

__all__ = ["by_axes", "is_round"]


@dataclass(frozen=True, eq=False, repr=False)
class _ByAxes(Gain):
    axes: Tensor  # Q, (*L, D, D)
    inner: Gain

    def explain(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        log_prob, found = self.inner.explain(y, times(self.axes.mT, mean))
        return log_prob, times(self.axes, found)


def is_round(measurement: Measurement) -> bool:
    """Whether a measurement is of all coordinates turned, at one scale, with round errors; one look on the host."""
    matrix, noise = measurement.matrix, measurement.noise
    if not measurement.diagonal or measurement.absent is not None or not bool((noise == noise[..., :1]).all()):
        return False
    return matrix is None or (matrix.shape[-2] == matrix.shape[-1] and similar(matrix))


def by_axes(axes: Tensor, spectrum: Tensor, measurement: Measurement) -> tuple[Tensor, Gain]:
    """Returns the posterior variances along the axes, and the gain, of a round measurement."""
    square, turned = torch.ones_like(measurement.noise[..., :1]), axes
    if measurement.matrix is not None:
        square = measurement.matrix[..., 0, :].square().sum(-1, keepdim=True)
        turned = measurement.matrix @ axes / square.unsqueeze(-1)
    noise = measurement.noise / square
    stretch = -0.5 * noise.shape[-1] * square.squeeze(-1).log()
    seen = torch.ones_like(noise, dtype=torch.bool)
    left, inner = by_coordinates(spectrum, Coordinates(turned, noise, seen, stretch))
    return left, _ByAxes(axes, inner)
