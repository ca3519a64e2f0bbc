r"""Log-density of rows that learning has not seen, with its standard error.

With weights w and held-out log-densities :math:`\ell_n`,

.. math:: \bar\ell = \frac{\sum_n w_n \ell_n}{W}, \qquad
    \mathrm{se}^2 = \frac{1}{W}\,\frac{\sum_n w_n (\ell_n - \bar\ell)^2}{W}, \qquad W = \sum_n w_n .

In V-fold cross-validation every row is scored by the mixture learned without its fold (Smyth, 2000). Two numbers of
components are compared by the differences row by row, whose standard error is much smaller than that of either score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ...components.observation_sequence import as_one
from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.columns import rows_of
from ..expectation.expect import as_read, log_density
from ..expectation.recorded import recorded
from ..families import asked_of
from ..fit import fit

__all__ = ["CrossValidation", "HeldOut", "cross_validate", "held_out"]


class HeldOut(NamedTuple):
    """A mean log-density in nats per row, and its standard error."""

    log_density: float
    standard_error: float


def held_out(
    mixture: Mixture, x: Any, sample_weight: Any = None, columns: Any = None, observation: Any = None
) -> HeldOut:
    """Returns the mean log-density of rows under a mixture that was learned from others.

    Arguments:
        mixture: The mixture.
        x: The rows, in any form that `fit` takes.
        sample_weight: How much each row counts.
        columns: Which columns of a table; those of the mixture's names by default.
        observation: How these rows were recorded, as in `fit`.

    Raises:
        MixtureError: If the rows do not have the shape of the mixture's.

    Example:
        >>> x = mx.datasets.old_faithful()
        >>> mx.held_out(mx.fit(x[:200], 2).mixture, x[200:]).log_density < -3
        True
    """
    through = x.observation if isinstance(x, Rows) else None
    through = through if observation is None else as_one(observation)
    rows = recorded(rows_of(mixture, x, columns, sample_weight, through), observation=observation)
    return _mean(densities_of(mixture, rows), rows.weight)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Held-out log-densities for several numbers of components.

    Arguments:
        components: The numbers of components.
        densities: The log-density of each row under the mixture learned without its fold, with shape ``(len, N)``.
        weight: The weight of each row, or none.
    """

    components: tuple[int, ...]
    densities: Tensor
    weight: Tensor | None

    @property
    def scores(self) -> tuple[HeldOut, ...]:
        """The mean and its standard error for each number of components."""
        return tuple(_mean(row, self.weight) for row in self.densities)

    @property
    def best(self) -> int:
        """The number of components with the highest held-out log-density."""
        means = [score.log_density for score in self.scores]
        return self.components[means.index(max(means))]

    def difference(self, first: int, second: int) -> HeldOut:
        """Returns by how much one number of components is ahead of another, and the standard error of that.

        Example:
            >>> found = mx.cross_validate(mx.datasets.old_faithful(), (1, 2), folds=3)
            >>> ahead = found.difference(2, 1)
            >>> ahead.log_density > 3 * ahead.standard_error
            True
        """
        at = [self.components.index(k) if k in self.components else self._unknown(k) for k in (first, second)]
        return _mean(self.densities[at[0]] - self.densities[at[1]], self.weight)

    def _unknown(self, k: int) -> int:
        refuse("components", f"among {', '.join(map(str, self.components))}", k)

    def __repr__(self) -> str:
        lines = [
            f"{k:>3}  {score.log_density:>12.5f}  {score.standard_error:>10.5f}"
            for k, score in zip(self.components, self.scores, strict=True)
        ]
        return "\n".join([f"{'K':>3}  {'nats per row':>12}  {'std. error':>10}", *lines])


def cross_validate(
    x: Any,
    components: int | Iterable[int],
    folds: int = 10,
    sample_weight: Any = None,
    columns: Any = None,
    observation: Any = None,
    labels: Any = None,
    generator: Generator | None = None,
    **options: Any,
) -> CrossValidation:
    """Scores numbers of components by the log-density of rows that were left out.

    Arguments:
        x: The rows, in any form that `fit` takes; held in memory.
        components: One number of components or several; all are scored on the same folds.
        folds: How many parts the rows are divided into; each is left out once.
        sample_weight: How much each row counts.
        columns: Which columns of a table.
        observation: How the rows were recorded, as in `fit`; rows that are left out are read through it too.
        labels: The component of each row where it is known, as in `fit`.
        generator: The source of randomness, of the folds and of the fits.
        options: Anything else that `fit` takes, such as ``covariance=`` or ``method=``.

    Raises:
        MixtureError: If there are fewer rows than folds, or a fit is refused.

    Example:
        >>> mx.cross_validate(mx.datasets.old_faithful(), (1, 2), folds=3).best
        2
    """
    counts = (components,) if isinstance(components, int) else tuple(components)
    rows = recorded(x, asked_of(options, x, columns), sample_weight, observation, labels, min(counts))
    if not 2 <= folds <= len(rows):
        refuse("folds", f"between 2 and {len(rows)}, the number of rows", folds)
    device = "cpu" if generator is None else generator.device
    fold = (torch.randperm(len(rows), generator=generator, device=device) % folds).to(rows.device)
    densities = torch.stack([_held_out_densities(rows, fold, k, generator, options) for k in counts])
    return CrossValidation(counts, densities, rows.weight)


def _held_out_densities(
    rows: Rows, fold: Tensor, components: int, generator: Generator | None, options: dict[str, Any]
) -> Tensor:
    """The log-density of each row under the mixture learned without its fold, ``(N,)``."""
    densities = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    for v in fold.unique():
        kept, out = ((fold != v).nonzero().squeeze(-1), (fold == v).nonzero().squeeze(-1))
        learned = fit(rows.take(kept), components, generator=generator, **options)
        densities[out] = densities_of(learned.mixture, rows.take(out))
    return densities


@torch.no_grad()
def densities_of(mixture: Mixture, rows: Rows) -> Tensor:
    """Returns the log-density of what was recorded of each row, in nats, ``(N,)``."""
    return rows.gather(lambda block: log_density(mixture, as_read(mixture, block))).double()


def _mean(values: Tensor, weight: Tensor | None) -> HeldOut:
    values = values.double()
    share = torch.ones_like(values) if weight is None else weight.double()
    total = share.sum()
    values = torch.where(share > 0, values, 0)
    mean = (share * values).sum() / total
    variance = (share * (values - mean).square()).sum() / total
    return HeldOut(mean.item(), (variance / total).sqrt().item())
