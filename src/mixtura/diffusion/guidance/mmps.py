r"""Moment matching posterior sampling: the same Gaussian as `TMPD`, without its matrix.

:math:`\hat p(y|x_t) = N(y; A E, A\,\mathrm{Cov}[x_0|x_t]A^\top + \Sigma_y)`, and

.. math:: \big(A\,\mathrm{Cov}\,A^\top + \Sigma_y\big)\,u = y - A E

is solved by k iterations of conjugate gradients, each of one product with the covariance. After M of them u is exact,
but for rounding; fewer are another approximation, which pulls along the directions that were most surprising.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import refuse
from .rule import Likelihood, Rule
from .seen import Seen
from .tmpd import TMPD

__all__ = ["MMPS", "conjugate_gradients"]


@dataclass(frozen=True, eq=False)
class MMPS(Rule):
    """Moment matching, by conjugate gradients.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row.
        iterations: k, at least 1.

    Raises:
        MixtureError: If it is not a whole number of at least 1.

    Source: Rozet, Andry, Lanusse and Louppe (2024), algorithm 3.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.MMPS(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0), iterations=1)
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    iterations: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:
            refuse("iterations", "a whole number of at least 1", repr(self.iterations))

    def expected(self, seen: Seen) -> Tensor:
        pull = conjugate_gradients(
            lambda u: seen.seen_covariance(u) + seen.record.noise.times(u), seen.residual, self.iterations
        )
        return seen.mean + seen.covariance(seen.record.back(pull))

    def believed(self, seen: Seen) -> Likelihood:
        return TMPD(self.observation, self.y).believed(seen)


def conjugate_gradients(times: Callable[[Tensor], Tensor], right: Tensor, iterations: int) -> Tensor:
    """Solves a symmetric system for each row ``(*S, M)`` by so many products, from zero.

    A row is done where nothing is left, or where a matrix of a network's is not positive along its direction.

    Source: Hestenes and Stiefel (1952).
    """
    solution, left, direction = torch.zeros_like(right), right, right
    square = left.square().sum(-1, keepdim=True)
    for _ in range(iterations):
        image = times(direction)
        curve = (direction * image).sum(-1, keepdim=True)
        step = _share(square, curve)
        solution, left = solution + step * direction, left - step * image
        after = left.square().sum(-1, keepdim=True)
        direction, square = left + _share(after, square) * direction, after
    return solution


def _share(number: Tensor, of: Tensor) -> Tensor:
    """A quotient, or zero where there is nothing positive to divide by."""
    return torch.where(of > 0, number / torch.where(of > 0, of, 1.0), 0.0)
