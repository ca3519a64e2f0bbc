r"""Components of one long direction each, at random places, recorded where no draw may be.

.. math:: \mu_k \sim U(-8, 8)^d, \qquad \Sigma_k = I + u_k u_k^\top, \quad u_k \sim U(0, 1)^d, \qquad
    y = A\,E[x] + \text{offset} .
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Generator

from ...components import Gaussian, LowRank
from ...errors import refuse
from ...mixture import Mixture
from ...observation import LinearMeasurement
from ..schedules import VariancePreserving
from .problem import Problem

__all__ = ["zhao2025"]


def zhao2025(d: int = 10, d_y: int = 1, offset: float = 0.0, exact: bool = False, seed: int = 0) -> Problem:
    r"""Returns the problem of Zhao et al. (2025): ten components, and a y that may be an outlier.

    Theirs: the laws of weights, means, covariances, A and the errors' covariance, y, and the noise: constant rate 4 on
    [0, 1], their Ornstein-Uhlenbeck process to time 2. Not theirs: the draws. There is no clean draw behind y; `clean`
    is the prior's mean.

    Arguments:
        d: The number of coordinates; 256 in the largest of theirs.
        d_y: The number of directions that are recorded, at most d.
        offset: How far y is from what the prior's mean would give; 0, 5 and 10 in theirs.
        exact: Whether errors have variance 1e-8.
        seed: Which draw.

    Raises:
        MixtureError: If a number is out of range.

    Source: Zhao (2025), arXiv 2506.01083.

    Example:
        >>> mx.diffusion.problems.zhao2025(d=256).mixture.components.structure
        LowRank(1, tensor(10, 256, 2))
    """
    if not 1 <= d_y <= d:
        refuse("d_y", f"from 1 to d = {d}", d_y)
    draw = Generator().manual_seed(seed)
    uniform = partial(torch.rand, generator=draw, dtype=torch.float64)
    normal = partial(torch.randn, generator=draw, dtype=torch.float64)
    weights = normal(10).square()
    means = 16 * uniform(10, d) - 8
    structure = LowRank.from_loadings(uniform(10, d, 1), torch.ones(10, d, dtype=torch.float64))
    left, _, right = torch.linalg.svd(normal(d_y, d), full_matrices=False)
    values = uniform(d_y).sort(descending=True).values + 1e-3
    matrix, tilt = left @ (values.unsqueeze(-1) * right), uniform(d_y)
    eye = torch.eye(d_y, dtype=torch.float64)
    covariance = 1e-8 * eye if exact else tilt.outer(tilt) + values[0].square() * eye
    mixture = Mixture(weights, Gaussian(means, structure))
    name = f"zhao2025 d={d} d_y={d_y} offset={offset:g}{' exact' if exact else ''} seed={seed}"
    measured = LinearMeasurement(matrix, covariance)
    return Problem(name, mixture, measured, matrix @ mixture.mean + offset, mixture.mean, VariancePreserving(4.0, 4.0))
