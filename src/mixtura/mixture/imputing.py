r"""Filling gaps: every entry that was not recorded, from those of its row that were.

Given the recorded coordinates b of a row the others, a, follow a mixture of conditional Gaussians,
:math:`p(x_a | x_b) = \sum_k r_k(x_b)\, N(x_a; \mu_{a|b,k}, \Sigma_{a|b,k})`. A way to impute picks one value of it: the
mean, which errs least in the mean square; the mode, which is the likeliest; or a draw, which keeps the spread of the
data (multiple imputation: Rubin, 1987).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from ..data import is_table
from ..errors import NotClosedForm, refuse
from .columns import rows_of

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["Draw", "Imputed", "Mean", "Mode", "impute"]


class Imputed(NamedTuple):
    """Rows without gaps, and how uncertain each entry is.

    Arguments:
        values: The rows ``(N, D)``, entries that were recorded as they were.
        scale: The conditional standard deviation of each entry that was not, zero for those that were.
    """

    values: Tensor
    scale: Tensor


class Way(Protocol):
    """How one value of a conditional distribution is picked."""

    def __call__(self, given: Mixture) -> Tensor:
        """Returns a row of each mixture in a batch, ``(n, A)``."""
        ...


@dataclass(frozen=True)
class Mean:
    """The conditional mean: the value with the least mean square error.

    Example:
        >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance))
        >>> mixture.impute(torch.tensor([[2.0, torch.nan]]), mx.observation.Mean()).values
        tensor([[2., 1.]])
    """

    def __call__(self, given: Mixture) -> Tensor:
        return given.mean


@dataclass(frozen=True)
class Mode:
    """The highest mode of the conditional density, found by fixed-point steps from each component's mean.

    (Carreira-Perpiñán, 2000.)

    Arguments:
        iterations: The number of steps.

    Example:
        >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance))
        >>> mixture.impute(torch.tensor([[2.0, torch.nan]]), mx.observation.Mode()).values
        tensor([[2., 1.]])
    """

    iterations: int = 100

    def __call__(self, given: Mixture) -> Tensor:
        mean, precision = given.components.mean, torch.linalg.inv(given.components.covariance)
        pulled = (precision @ mean.unsqueeze(-1)).squeeze(-1)
        x = mean.movedim(-2, 0)  # one start per component, in front
        for _ in range(self.iterations):
            r = given.responsibilities(x)
            total = (r[..., None, None] * precision).sum(-3)
            x = torch.linalg.solve(total, (r.unsqueeze(-1) * pulled).sum(-2))
        best = given.log_prob(x).argmax(0)
        return x.gather(0, best[None, :, None].expand(1, *x.shape[1:])).squeeze(0)


@dataclass(frozen=True, eq=False)
class Draw:
    """A draw from the conditional distribution.

    Arguments:
        generator: The source of randomness.

    Example:
        >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance))
        >>> draw = mx.observation.Draw(torch.Generator().manual_seed(0))
        >>> mixture.impute(torch.tensor([[2.0, torch.nan]]), draw).values.shape
        torch.Size([1, 2])
    """

    generator: Generator | None = None

    def __call__(self, given: Mixture) -> Tensor:
        return given.sample((), self.generator)


def impute(mixture: Mixture, rows: Any, how: Way) -> Imputed:
    """Fills the gaps of rows ``(N, D)``, those with the same gaps together."""
    if mixture.batch_shape or len(mixture.event_shape) != 1:
        raise NotClosedForm("Gaps are filled by one mixture on vectors; index its batch.")
    rows = rows_of(mixture, rows).tensor() if is_table(rows) else torch.as_tensor(rows)
    if rows.ndim != 2 or rows.shape[1:] != mixture.event_shape:
        refuse("rows", f"a table (N, {mixture.event_shape[0]})", tuple(rows.shape))
    if bool(rows.isinf().any()):
        refuse("rows", "finite, or NaN where there is a gap", "infinity")
    rows = rows.to(mixture.device, mixture.dtype)
    values, scale = rows.clone(), torch.zeros_like(rows)
    with torch.no_grad():
        for index, known, gaps in _patterns(rows):
            given = _given(mixture, rows[index][:, known], known)
            place = index.unsqueeze(-1), torch.tensor(gaps, device=rows.device)
            values[place] = how(given)
            scale[place] = given.variance.sqrt()
    return Imputed(values, scale)


def _given(mixture: Mixture, values: Tensor, known: list[int]) -> Mixture:
    if not known:  # nothing recorded: the mixture as it is, once for each row
        return mixture.expand(torch.Size([len(values)]))
    return mixture.condition(known, values)


def _patterns(rows: Tensor) -> Iterator[tuple[Tensor, list[int], list[int]]]:
    """Rows of each pattern of gaps: their indices, and the coordinates recorded and not; complete rows left out."""
    gap = rows.isnan()
    patterns, which = torch.unique(gap, dim=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        gaps = pattern.nonzero().squeeze(-1).tolist()
        if gaps:
            yield (which == i).nonzero().squeeze(-1), (~pattern).nonzero().squeeze(-1).tolist(), gaps
