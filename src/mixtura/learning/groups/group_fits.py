r"""What learning a mixture for each group returns: one batched mixture, and a line of a table for each group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...components import Family
from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ..loop.method import Method
from ..loop.reason import Reason
from ..results.fit import Fit
from ..results.optimum import Optimum

__all__ = ["GroupFit", "GroupFits", "Tellings", "Told", "refused"]


class GroupFit(NamedTuple):
    """One line of the table: a group, and what its fit came to. Criteria are in nats, lower is better."""

    name: Any
    rows: int
    reason: Reason
    log_likelihood: float
    aic: float
    bic: float
    detail: str


class Told(NamedTuple):
    """Why the fit of a group stopped, the particulars, and its objective by update, in nats by row."""

    reason: Reason
    detail: str
    trace: tuple[float, ...]


class Tellings(Sequence[Told]):
    """What is told of each group, found when it is asked for.

    Arguments:
        reasons: Why each fit stopped.
        tell: Tells the rest, by the number of the group.
    """

    def __init__(self, reasons: Sequence[Reason], tell: Callable[[int], Told]) -> None:
        self.reasons, self._tell = reasons, tell

    def __len__(self) -> int:
        return len(self.reasons)

    def __getitem__(self, group: Any) -> Any:
        return self._tell(range(len(self))[group])


@dataclass(frozen=True, eq=False, repr=False)
class GroupFits:
    """One mixture for each group of rows.

    Arguments:
        mixture: The mixtures, with batch shape ``(G,)``; NaN where a group could not be fitted.
        names: The label of each group, in order.
        told: How each fit went.
        log_likelihood: The total log-likelihood of each group's rows under its mixture, in nats, ``(G,)``.
        counts: The number of rows in each group.
        total: The weight of each group's rows, ``(G,)``.
        method: How they were learned.
        family: What was learned.

    Example:
        >>> x, gene = torch.tensor([1.0, 2.0, 4.0, 9.0, 8.0, 6.5]), ["a", "a", "a", "b", "b", "b"]
        >>> fits = mx.fit(x, 1, groups=gene)
        >>> fits.mixture.batch_shape, [line.name for line in fits.table]
        (torch.Size([2]), ['a', 'b'])
        >>> round(fits["b"].mixture.mean.item(), 2)
        7.83
    """

    mixture: Mixture
    names: tuple[Any, ...]
    told: Tellings
    log_likelihood: Tensor
    counts: tuple[int, ...]
    total: Tensor
    method: Method
    family: Family
    rows: Rows = field(repr=False)
    codes: Tensor = field(repr=False)

    @property
    def parameters(self) -> int:
        """The number of free parameters of each mixture."""
        return self.method.parameters(self.mixture.batch(0))

    @property
    def aic(self) -> Tensor:
        """Akaike's criterion of each group, ``(G,)``; lower is better."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> Tensor:
        """The Bayesian information criterion of each group (Schwarz, 1978), ``(G,)``; lower is better."""
        return self.parameters * self.total.log() - 2 * self.log_likelihood

    @cached_property
    def icl(self) -> Tensor:
        """The integrated completed likelihood of each group, ``(G,)``; lower is better. It reads the rows once more."""
        each = zip(self.names, self.told.reasons, strict=True)
        return torch.tensor([math.nan if reason is Reason.REFUSED else self[name].icl for name, reason in each])

    @property
    def table(self) -> tuple[GroupFit, ...]:
        """One line for each group."""
        numbers = zip(self.log_likelihood.tolist(), self.aic.tolist(), self.bic.tolist(), strict=True)
        each = zip(self.names, self.counts, self.told, numbers, strict=True)
        return tuple(GroupFit(name, rows, told.reason, *three, told.detail) for name, rows, told, three in each)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: Any) -> Fit:
        """Returns the fit of one group, by its label."""
        if name not in self.names:
            refuse("name", f"a group such as {self.names[0]!r}", repr(name))
        g = self.names.index(name)
        told = self.told[g]
        if told.reason is Reason.REFUSED:
            refuse("name", "a group that could be fitted", f"{name!r}: {told.detail}")
        trace = torch.tensor(told.trace, dtype=torch.float64)
        only = (Optimum(told.trace[-1], 1, told.reason, False),)
        rows = self.rows.take((self.codes == g).nonzero().squeeze(-1))
        mixture = self.mixture.batch(g).named(self.mixture.columns)
        return Fit(mixture, self.method, told.reason, told.detail, trace, only, rows, self.family)

    def __repr__(self) -> str:
        counted = Counter(self.told.reasons)
        said = ", ".join(f"{count} {reason.name.lower()}" for reason, count in counted.items())
        return f"GroupFits({len(self)} groups, {self.mixture.logits.shape[-1]} components, {said})"


def refused(detail: str) -> Told:
    """What is told of a group that cannot be fitted."""
    return Told(Reason.REFUSED, detail, (math.nan,))
