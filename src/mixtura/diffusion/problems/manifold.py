r"""Many narrow components along a smooth random curve: a prior whose covariance given noise is far from round.

With :math:`a, b, c` uniform on [0, 1] for each coordinate and :math:`z_k` uniform,

.. math:: \mu_k = \sum_{j=1}^{10} \frac{a_j}{j^3}\sin 2\pi(j b_j z_k + c_j), \qquad \text{stretched to } [-2, 2]^3,
    \qquad \Sigma_k = 0.01^2 I .
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from ...components import Gaussian, Spherical
from ...mixture import Mixture
from ...observation import LinearMeasurement
from ..schedules import EDM
from .problem import Problem

__all__ = ["rozet2024_manifold"]

_WAVES = 10
_SCALE = 0.01


def rozet2024_manifold(seed: int = 0) -> Problem:
    """Returns the problem of Rozet et al. (2024): 256 components in three dimensions, one direction recorded.

    Theirs: the laws of the curve, A (a unit vector) and y, scale 0.01 of components and of errors, and levels of noise
    up to 10. Not theirs: the draws, and a sampler: they compare the laws of noisy draws. As in their code, the clean
    value is the first component's mean.

    Arguments:
        seed: Which curve, direction and y.

    Source: Rozet, Andry, Lanusse and Louppe (2024), arXiv 2405.13712, appendix.

    Example:
        >>> mx.diffusion.problems.rozet2024_manifold().posterior.logits.shape
        torch.Size([256])
    """
    draw = Generator().manual_seed(seed)
    means = _curve(256, 3, draw)
    one = torch.tensor(_SCALE**2, dtype=torch.float64)
    mixture = Mixture(torch.ones(256, dtype=torch.float64), Gaussian(means, Spherical(one, tied=True)))
    matrix = torch.randn(1, 3, generator=draw, dtype=torch.float64)
    matrix = matrix / matrix.norm()
    y = matrix @ means[0] + _SCALE * torch.randn(1, generator=draw, dtype=torch.float64)
    measured = LinearMeasurement(matrix, scale=torch.tensor(_SCALE, dtype=torch.float64))
    return Problem(f"rozet2024_manifold seed={seed}", mixture, measured, y, means[0], EDM(10.0))


def _curve(points: int, features: int, draw: Generator) -> Tensor:
    """Points of a curve that fills the cube from -2 to 2."""
    height, pitch, phase = torch.rand(3, features, _WAVES, generator=draw, dtype=torch.float64)
    wave = torch.arange(1, _WAVES + 1, dtype=torch.float64)
    along = torch.rand(points, 1, 1, generator=draw, dtype=torch.float64)
    x = (height / wave**3 * torch.sin(2 * math.pi * (wave * pitch * along + phase))).sum(-1)
    low, high = x.amin(0), x.amax(0)
    return 4 * (x - low) / (high - low) - 2
