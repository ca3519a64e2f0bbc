r"""Choosing the number of components and their shape by a criterion.

The rows are checked, summarised and sampled once; the starting centres of each K are found once and shared by all
structures; and a fit with K components, each split in turn, gives starts for K + 1. A candidate that collapses is
listed but cannot win. The best candidate is searched once more, by moves from where it ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, overload

import torch
from torch import Generator, Tensor

from ..components import Family, Structure, structure
from ..data import grouping
from ..errors import MixtureError, refuse
from .expectation.recorded import recorded
from .families import families, read_by
from .fit import learn
from .groups.fit_groups import features_beside, fit_groups
from .groups.select_groups import GroupSelection, select_groups
from .job import Job, whole
from .loop.method import Method
from .loop.progress import progress_report
from .loop.reason import Reason
from .loop.traces import State
from .methods.em import EM
from .results.fit import Fit
from .search.race import SAME
from .select_together import serve_together, together
from .starts.centres import Initialiser, MixedStart
from .starts.splitting import joined, splits

__all__ = ["Candidate", "Selection", "select"]

EVERY = ("full", "diagonal", "spherical", "tied-full", "tied-diagonal", "tied-spherical")
_CRITERIA = ("bic", "aic", "icl")
_RESTARTS = 16


class Candidate(NamedTuple):
    """One line of the table: what was tried and how it scored. Criteria are in nats, lower is better."""

    components: int
    covariance: str
    parameters: int
    log_likelihood: float
    aic: float
    bic: float
    icl: float
    reason: Reason


@dataclass(frozen=True, eq=False)
class Selection:
    """The outcome of a search over models.

    Arguments:
        best: The fit with the lowest criterion among those that did not collapse.
        table: One `Candidate` per model tried, best first; collapsed ones last.
        criterion: The criterion's name.
        fits: All fits, in the order of the table, made when they are asked for.
        interrupted: Whether Ctrl-C ended the search before all was tried.
    """

    best: Fit
    table: tuple[Candidate, ...]
    criterion: str
    fits: Sequence[Fit]
    interrupted: bool = False

    def value(self, candidate: Candidate) -> float:
        """Returns a candidate's criterion, in nats."""
        return getattr(candidate, self.criterion)

    def behind(self, candidate: Candidate) -> float:
        """Returns by how much a candidate's criterion is above the best one's, in nats."""
        return self.value(candidate) - self.value(self.table[0])

    @property
    def advice(self) -> str:
        """What to try next where the best number of components is at an end of the range; empty where it is not."""
        tried = sorted({candidate.components for candidate in self.table})
        best = self.table[0].components
        if len(tried) > 1 and best == tried[-1]:
            return f"The best number of components, {best}, is the largest that was tried: try more."
        if len(tried) > 1 and best == tried[0] > 1:
            return f"The best number of components, {best}, is the smallest that was tried: try fewer."
        return ""

    def __repr__(self) -> str:
        head = f"{'K':>3}  {'covariance':<15} {'parameters':>10} {'log-likelihood':>15} {self.criterion:>12}  reason"
        lines = [
            f"{c.components:>3}  {c.covariance:<15} {c.parameters:>10} {c.log_likelihood:>15.4f} "
            f"{self.value(c):>12.4f}  {c.reason.name.lower()}"
            for c in self.table
        ]
        return "\n".join([head, *lines, *filter(None, [self.advice])])


@overload
def select(
    x: Any,
    components: int | Iterable[int] = range(1, 10),
    covariance: Structure | str | Sequence[Structure | str] = EVERY,
    criterion: str = "bic",
    method: Method | None = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Initialiser | None = None,
    restarts: int = _RESTARTS,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    groups: None = None,
) -> Selection: ...


@overload
def select(
    x: Any,
    components: int | Iterable[int] = range(1, 10),
    covariance: Structure | str | Sequence[Structure | str] = EVERY,
    criterion: str = "bic",
    method: Method | None = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Initialiser | None = None,
    restarts: int = _RESTARTS,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    *,
    groups: Any,
) -> GroupSelection: ...


def select(
    x: Any,
    components: int | Iterable[int] = range(1, 10),
    covariance: Structure | str | Sequence[Structure | str] = EVERY,
    criterion: str = "bic",
    method: Method | None = None,
    observation: Any = None,
    sample_weight: Any = None,
    init: Initialiser | None = None,
    restarts: int = _RESTARTS,
    generator: Generator | None = None,
    progress: bool = False,
    columns: str | Sequence[str] | None = None,
    family: Any = None,
    groups: Any = None,
) -> Any:
    """Fits every combination of K, family and covariance structure and returns the best by a criterion.

    Arguments:
        x: Rows in any form that `fit` takes.
        components: The numbers of components to try.
        covariance: The structures to try, or their names; all six by default. Of those that are the same for one
            column, the first is tried.
        criterion: "bic", "aic" or "icl"; lower is better.
        method: How to learn; `EM()` if none is given.
        observation: How the rows were observed, as in `fit`.
        sample_weight: How much each row counts.
        init: An initialiser; `MixedStart` by default.
        restarts: The number of short runs for each candidate.
        generator: The source of randomness.
        progress: Whether to show a progress bar.
        columns: Which columns of a table or file, in order.
        family: The families to try, in any form that `fit` takes, or one of them; Gaussians by default. Those with a
            covariance structure are tried with each structure.
        groups: The group of each row, or the name of the column that says it: the best model is chosen for each group.

    Returns:
        A `Selection`, or a `GroupSelection` where there are groups.

    Raises:
        MixtureError: If an argument or the data cannot be used, or every candidate collapsed.

    Example:
        >>> found = mx.select(mx.datasets.old_faithful(), components=(2, 3), covariance=("full", "tied-full"))
        >>> found.table[0].components, found.table[0].covariance
        (3, 'tied-full')
    """
    if criterion not in _CRITERIA:
        refuse("criterion", f"one of {', '.join(_CRITERIA)}", repr(criterion))
    counts, restarts = _counts(components), whole("restarts", restarts)
    shapes = [structure(one) for one in _several(covariance)]
    columns = read_by([one for some in _listed(family) for one in families(some, shapes)], x, columns)
    columns = features_beside(x, groups, sample_weight) if columns is None else columns
    rows, method = recorded(x, columns, sample_weight, observation), EM() if method is None else method
    method.check(rows)
    shapes = shapes if rows.clean_shape.numel() > 1 else _on_a_line(shapes)
    kinds = [kind for one in _listed(family) for kind in families(one, shapes)]
    if groups is not None:
        found = grouping(x, groups)
        return select_groups(
            lambda k, kind: fit_groups(rows, found, method, kind, k, learn, init, restarts or None, generator),
            counts, kinds, criterion,
        )  # fmt: skip
    job = Job.of(rows, method, kinds[0], generator, max(counts))
    kinds = [replace(job, family=kind.bind(rows, job.summary)).checked().family for kind in kinds]
    found, interrupted = _search(job, counts, kinds, init, restarts, progress)
    return _polished(job, kinds, _ranked(found, criterion, interrupted))


Found = tuple[Candidate, Callable[[], Fit]]
"""A candidate, and what makes its fit when it is asked for."""


def _search(
    job: Job, counts: list[int], kinds: list[Family], init: Initialiser | None, restarts: int, progress: bool
) -> tuple[list[Found], bool]:
    """Returns what was tried, and whether Ctrl-C ended it; before the first fit there is nothing to keep."""
    found: list[Found] = []
    alike = serve_together(job, kinds, init)
    tried = (
        _together(job, counts, kinds, restarts) if alike else _tried(job, counts, kinds, init or MixedStart(), restarts)
    )
    with progress_report(progress, len(counts) * len(kinds)) as report:
        try:
            for candidate, fit in tried:
                found.append((candidate, fit))
                if report is not None:
                    report(len(found), candidate.log_likelihood / job.rows.total_weight)
                if candidate.reason is Reason.INTERRUPTED:
                    return found, True
        except KeyboardInterrupt:
            if not found:
                raise
            return found, True
    return found, False


def _together(job: Job, counts: list[int], kinds: list[Family], restarts: int) -> Iterator[Found]:
    for one in together(job, counts, kinds, restarts):
        aic = 2 * one.parameters - 2 * one.log_likelihood
        bic = one.parameters * math.log(job.rows.total_weight) - 2 * one.log_likelihood
        scores = one.parameters, one.log_likelihood, aic, bic, one.icl, one.reason
        yield Candidate(one.components, one.kind.name, *scores), one.fit


class _Fits(Sequence[Fit]):
    """Fits that are made when they are asked for."""

    def __init__(self, makers: Sequence[Callable[[], Fit]]) -> None:
        self._makers = tuple(makers)

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fit]: ...
    def __getitem__(self, index: int | slice) -> Fit | Sequence[Fit]:
        return _Fits(self._makers[index]) if isinstance(index, slice) else self._makers[index]()


def _tried(job: Job, counts: list[int], kinds: list[Family], init: Initialiser, restarts: int) -> Iterator[Found]:
    earlier: dict[tuple[str, int], Fit] = {}
    for k in counts:
        centres: dict[Hashable, Tensor] = {}
        for kind in kinds:
            shaped = replace(job, family=kind)
            if kind.view not in centres:
                centres[kind.view] = shaped.centres(init, k, 1 if k == 1 else restarts)
            start = _with_splits(shaped._from_centres(centres[kind.view]), earlier.get((kind.name, k - 1)))
            fit = earlier[kind.name, k] = shaped.result(shaped.race(start, moves=False))
            yield _candidate(fit, kind.name), partial(_same, fit)


def _same(fit: Fit) -> Fit:
    return fit


def _polished(job: Job, kinds: list[Family], found: Selection) -> Selection:
    """Searches the best candidate once more from where it ended, by moves, and keeps what is better."""
    best, line = found.best, found.table[0]
    if not best.method.alone or found.interrupted or line.components < 3:
        return found
    kind = next(one for one in kinds if one.name == line.covariance)
    shaped = replace(job, family=kind)
    again = shaped.result(shaped.race(best.mixture.map(lambda tensor: torch.stack([tensor] * 2))))
    if not (again.log_likelihood > best.log_likelihood + SAME and again.reason not in _BROKEN and not again.spurious):
        return found
    table = (_candidate(again, line.covariance), *found.table[1:])
    makers = partial(_same, again), *(partial(found.fits.__getitem__, i) for i in range(1, len(found.fits)))
    return replace(found, best=again, table=table, fits=_Fits(makers))


def _with_splits(start: State, smaller: Fit | None) -> State:
    """Adds the starts that a sound fit with one component less suggests, where it is of the same kind."""
    if smaller is None or smaller.reason in _BROKEN or smaller.mixture.logits.shape[-1] != start.logits.shape[-1] - 1:
        return start
    halves = splits(smaller.mixture)
    if halves is None or type(halves.components) is not type(start.components):
        return start
    return joined(start, halves)


def _candidate(fit: Fit, covariance: str) -> Candidate:
    return Candidate(
        fit.mixture.logits.shape[-1],
        covariance,
        fit.parameters,
        fit.log_likelihood,
        fit.aic,
        fit.bic,
        fit.icl,
        fit.reason,
    )


def _ranked(found: list[Found], criterion: str, interrupted: bool) -> Selection:
    def key(pair: Found) -> tuple[bool, float]:
        return pair[0].reason in _BROKEN, getattr(pair[0], criterion)

    ranked = sorted(found, key=key)
    if ranked[0][0].reason in _BROKEN:
        raise MixtureError(f"Every candidate failed; the last one: {ranked[-1][1]().advice}")
    table, makers = zip(*ranked, strict=True)
    fits = _Fits(makers)
    return Selection(fits[0], table, criterion, fits, interrupted)


_BROKEN = (Reason.COLLAPSED, Reason.NOT_FINITE, Reason.FELL)


def _on_a_line(shapes: list[Structure]) -> list[Structure]:
    """The structures that differ in one dimension, where a covariance is a variance: one each, or one in common."""
    return list({one.parameters(2, 1): one for one in reversed(shapes)}.values())[::-1]


def _counts(components: int | Iterable[int]) -> list[int]:
    counts = list(components) if isinstance(components, Iterable) else [components]
    if not counts:
        refuse("components", "at least one number of components", counts)
    return [whole("components", k) for k in counts]


def _listed(family: Any) -> list[Any]:
    listed = list(family) if isinstance(family, (list, tuple)) else [family]
    if not listed:
        refuse("family", "at least one family", listed)
    return listed


def _several(covariance: Structure | str | Sequence[Structure | str]) -> list[Structure | str]:
    several = [covariance] if isinstance(covariance, (Structure, str)) else list(covariance)
    if not several:
        refuse("covariance", "at least one structure", several)
    return several
