r"""Twenty-five round components on a grid, seen through a few directions.

.. math:: \mu_{ij} = (-8i, -8j, -8i, -8j, \dots), \quad i, j \in \{-2, \dots, 2\}, \qquad \Sigma = I, \qquad
    A = U\,\mathrm{diag}(s)\,V^\top,

with U and V of the singular value decomposition of a standard normal :math:`d_y \times d` matrix and s uniform on
[0, 1], sorted to fall. Three papers ask it:

===================  ==========================  ==========================  =============================
problem              weights                     :math:`\sigma_y`            noise of the diffusion
===================  ==========================  ==========================  =============================
`cardoso2023`        :math:`\propto z_k^2`       :math:`u \max s`            999 rates, 0.02 to 0.0001
`cardoso_benchopt`   the same, after the seed    the same                    the same
`boys2023`           equal                       given                       :math:`\beta` from 0.1 to 25
===================  ==========================  ==========================  =============================

The 999 rates fall with time, as in the authors' code: most noise comes first.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ...components import Gaussian, Spherical
from ...errors import refuse
from ...mixture import Mixture
from ...observation import LinearMeasurement
from ..schedules import Discrete, VariancePreserving
from .problem import Problem

__all__ = ["boys2023", "cardoso2023", "cardoso_benchopt"]

_RATES = tuple(torch.linspace(0.02, 1e-4, 999, dtype=torch.float64).tolist())


def cardoso2023(d: int = 8, d_y: int = 2, seed: int = 0) -> Problem:
    r"""Returns the problem of Cardoso et al. (2023) on d coordinates, of which :math:`d_y` directions are recorded.

    Theirs: means, covariance, the laws of weights, A, :math:`\sigma_y` and y, and the rates of noise. Not theirs: the
    draws. Their weights were drawn before their seed was set, so the published table can be met in law only.

    Arguments:
        d: The number of coordinates, even.
        d_y: The number of directions, at most d.
        seed: Which draw of weights, A, :math:`\sigma_y`, clean value and y.

    Raises:
        MixtureError: If d is odd, or a number is out of range.

    Source: Cardoso, Janati El Idrissi, Le Corff and Moulines (2023), arXiv 2308.07983, section 4.1.

    Example:
        >>> problem = mx.diffusion.problems.cardoso2023(d=8, d_y=1, seed=3)
        >>> problem.y.shape, problem.posterior.logits.shape
        (torch.Size([1]), torch.Size([25]))
    """
    _check(d, d_y)
    draw = Generator().manual_seed(seed)
    weights = torch.randn(25, generator=draw, dtype=torch.float64).square()
    matrix, largest = _matrix(torch.randn(d_y, d, generator=draw, dtype=torch.float64), draw)
    scale = torch.rand((), generator=draw, dtype=torch.float64) * largest
    mixture = _mixture(weights, d)
    return _posed(f"cardoso2023 d={d} d_y={d_y} seed={seed}", mixture, matrix, scale, draw)


def boys2023(scale: float = 0.1, d: int = 8, d_y: int = 2, seed: int = 0) -> Problem:
    r"""Returns the problem of Boys et al. (2023): equal weights, and errors of a scale that is given.

    Theirs: means, covariance, weights, the law of A, and :math:`\beta`; scales 0.01, 0.1 and 1. Not theirs: the draws.

    Arguments:
        scale: The standard deviation of the errors of y, positive.
        d: The number of coordinates, even.
        d_y: The number of directions, at most d.
        seed: Which draw of A, clean value and y.

    Raises:
        MixtureError: If d is odd, or a number is out of range.

    Source: Boys, Girolami, Pidstrigach, Reich, Mosca and Akyildiz (2023), arXiv 2310.06721.
    """
    _check(d, d_y)
    if not scale > 0:
        refuse("scale", "positive", scale)
    draw = Generator().manual_seed(seed)
    matrix, _ = _matrix(torch.randn(d_y, d, generator=draw, dtype=torch.float64), draw)
    mixture = _mixture(torch.ones(25, dtype=torch.float64), d)
    name = f"boys2023 scale={scale:g} d={d} d_y={d_y} seed={seed}"
    problem = _posed(name, mixture, matrix, torch.tensor(scale, dtype=torch.float64), draw)
    return problem.under(VariancePreserving(0.1, 25.0))


def cardoso_benchopt(d_y: int = 2, seed: int = 27) -> Problem:
    """Returns the one instance that the authors of `cardoso2023` put into their public benchmark: d = 8, seed 27.

    Everything is theirs: torch's own generator on a CPU, in single precision, is asked in the order of their code
    (weights, matrix, singular values, clean value, scale, errors), and what comes is kept in double precision. The
    clean value is drawn as `torch.distributions` draws it. The numbers are those of torch's generator; nobody has
    published them, so that they are the authors' own follows from the order of calls, and cannot be looked up.

    Arguments:
        d_y: The number of directions: 1, 2 or 4 in the benchmark.
        seed: Theirs is 27.

    Raises:
        MixtureError: If a number is out of range.

    Source: the benchopt benchmark of Cardoso et al. (2023).
    """
    _check(8, d_y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = torch.randn(25).square()
        weights = weights / weights.sum()
        matrix, largest = _matrix(torch.randn(d_y, 8), None)
        clean = _drawn_as_torch_does(weights)
        scale = torch.rand(1)[0] * largest
        y = matrix @ clean + torch.randn(d_y) * scale
    observation = LinearMeasurement(matrix.double(), scale=scale.double())
    mixture = _mixture(weights.double(), 8)
    name = f"cardoso_benchopt d_y={d_y} seed={seed}"
    return Problem(name, mixture, observation, y.double(), clean.double(), Discrete(_RATES))


def _check(d: int, d_y: int) -> None:
    if d < 2 or d % 2:
        refuse("d", "an even number of at least 2", d)
    if not 1 <= d_y <= d:
        refuse("d_y", f"from 1 to d = {d}", d_y)


def _means(d: int) -> Tensor:
    line = torch.arange(-2.0, 3.0, dtype=torch.float64)
    return -8 * torch.cartesian_prod(line, line).repeat(1, d // 2)


def _mixture(weights: Tensor, d: int) -> Mixture:
    one = torch.ones((), dtype=torch.float64)
    return Mixture(weights, Gaussian(_means(d), Spherical(one, tied=True)))


def _matrix(normal: Tensor, draw: Generator | None) -> tuple[Tensor, Tensor]:
    """The matrix with new singular values, and the largest of them."""
    left, _, right = torch.linalg.svd(normal, full_matrices=False)
    values = torch.rand(len(normal), generator=draw, dtype=normal.dtype).sort(descending=True).values
    return left @ (values.unsqueeze(-1) * right), values[0]


def _posed(name: str, mixture: Mixture, matrix: Tensor, scale: Tensor, draw: Generator) -> Problem:
    clean = mixture.sample((), draw)
    y = matrix @ clean + scale * torch.randn(len(matrix), generator=draw, dtype=torch.float64)
    return Problem(name, mixture, LinearMeasurement(matrix, scale=scale), y, clean, Discrete(_RATES))


def _drawn_as_torch_does(weights: Tensor) -> Tensor:
    """A draw in single precision of the labels and of all components, from which the label's is taken."""
    family = torch.distributions
    each = family.MultivariateNormal(_means(8).float(), torch.eye(8).repeat(25, 1, 1), validate_args=False)
    return family.MixtureSameFamily(
        family.Categorical(weights, validate_args=False), each, validate_args=False
    ).sample()
