"""A job: rows prepared for learning, and the runs from many starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Family
from ..data import Rows, Summary, TensorRows, check_data
from ..errors import MixtureError, refuse
from ..kernels import Step
from ..kernels.small import Table
from ..kernels.small_gaussians import Seeds, narrow
from ..mixture import Mixture
from .expectation.recorded import check_each_component, check_recorded
from .loop.leaps import plain_table, tabled
from .loop.method import Method
from .loop.reason import Reason
from .loop.traces import Run, State, stack
from .results.fit import Fit
from .search.flight import BROKEN
from .search.gaussian_kind import GaussianKind
from .search.saddles import off_saddle
from .search.search import searched, searched_flight
from .search.small_flight import SmallFlight
from .starts.centres import Initialiser, MixedStart
from .starts.class_centres import class_centres
from .starts.clean_rows import Clean
from .starts.dependent_columns import refuse_dependent
from .starts.small_starts import small_starts

__all__ = ["Job", "whole"]

_FEW = 50  # labelled rows of each class that a sample keeps
_FEW_DIGITS = 1e3 * torch.finfo(torch.float64).eps  # a share of a variance of which second moments keep three digits
_SURE = 14  # starts of several kinds at one optimum: on forty problems moves never led on from there
_SAMPLE = 10_000  # rows that starts and short runs look at


@dataclass(frozen=True)
class Job:
    """Rows prepared for learning: checked, summarised and sampled once, however many fits follow."""

    rows: Rows
    method: Method
    family: Family
    sample: TensorRows
    clean: Clean
    generator: Generator | None

    @classmethod
    def of(cls, rows: Rows, method: Method, family: Family, generator: Generator | None, components: int | None) -> Job:
        """Checks the rows, draws the sample on which starts are tried, and works out roughly what is behind it."""
        prepare = _exact if rows.observation.exact else _behind
        sample, clean = prepare(
            rows, family, generator, None if components is None else whole("components", components)
        )
        return cls(rows, method.seeded(generator), family.bind(rows, clean.summary), sample, clean, generator).checked()

    def checked(self) -> Job:
        """Refuses rows outside the family's support, as far as the record tells."""
        if self.rows.observation.exact:
            self.family.check(self.rows)
        return self

    @property
    def summary(self) -> Summary:
        """Count, mean and variance of the rows as they were drawn, perhaps roughly."""
        return self.clean.summary

    @property
    def drawn(self) -> TensorRows:
        """The sample's rows as they were drawn, perhaps roughly."""
        return self.clean.rows

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a row as it was drawn."""
        return self.rows.clean_shape

    @property
    def floor(self) -> Tensor:
        """The variance below which a component has collapsed: that of rounding, relative to the data's."""
        return 16 * torch.finfo(self.rows.dtype).eps * self.summary.variance.to(self.rows.device)

    @cached_property
    def embedded(self) -> Tensor:
        """The rows of the sample as vectors ``(n, F)`` in which the family sees nearness."""
        return self.family.embed(self.drawn.tensor())

    @property
    def scale(self) -> Tensor:
        """The standard deviation of each column, ``(F,)``: the unit in which starts measure distances."""
        if self.family.view is not None:
            spread = self.embedded.std(0, correction=0)
            return spread.where(spread > 0, 1)
        spread = self.summary.variance.sqrt().reshape(-1).to(self.rows.device, self.rows.dtype)
        return spread.where(spread > 0, 1)  # a column of zeros and ones may hold ones only

    @property
    def origin(self) -> Tensor:
        """The mean of each column, ``(F,)``, from which starts measure: far from zero, distances lose their digits."""
        if self.family.view is not None:
            return self.embedded.mean(0)
        return self.summary.mean.reshape(-1).to(self.rows.device, self.rows.dtype)

    def runs(
        self, init: Any, components: int | None, restarts: int | None, report: Callable[[int, float], None] | None
    ) -> list[Run]:
        """Runs the method from every start, and those continued to the end."""
        if init is not None and not callable(init):
            start = self.given(init, components)
            check_each_component(self.rows, start.logits.shape[-1])
            return self._off_saddle(self.pursue(self.rows, start, report))
        if components is None:
            raise MixtureError("`components` must be given: how many components should the mixture have?")
        count = whole("restarts", self.method.restarts if restarts is None else restarts)
        count = 1 if components == 1 else count
        if init is None and self.small:
            return self._flown(components, count, report)
        initialiser: Initialiser = MixedStart() if init is None else init  # type: ignore[assignment]
        start = self.starts(initialiser, components, count)
        return self._off_saddle(self.race(start, report))

    def _off_saddle(self, runs: list[Run]) -> list[Run]:
        """The runs, best first, of which the best is at no saddle of components that are alike."""
        best, *others = sorted(runs, key=_rank)
        higher = off_saddle(best, self.rows, self.sample, self.floor)
        return [best, *others] if higher is best else self._off_saddle([higher, *others])

    @property
    def small(self) -> bool:
        """Whether the kernels for small tables start and learn the family on these rows: Gaussians, drawn plainly."""
        known = self.method.alone and self.family.step is not None
        return known and len(self.sample) == self.summary.count and plain_table(self.rows)

    def seeds(self, table: Table, step: Step, components: int, restarts: int) -> Seeds:
        """Returns where Gaussians with that M-step start, after a check that columns do not determine each other."""
        found = small_starts(table, components, restarts, self.generator)
        if narrow(step.like(found.covariance), self._least.reshape(-1).double().cpu().numpy()):
            self._refuse_dependent()
        return found

    def _flown(self, components: int, restarts: int, report: Callable[[int, float], None] | None = None) -> list[Run]:
        """Runs the method from starts on a small table."""
        table, kind = tabled(self.rows, self.floor), GaussianKind.of_family(self.family, self.rows)
        starts = self.seeds(table, kind.step, components, restarts).starts(table, kind.step)
        flight = SmallFlight.of(self.method, kind, starts, 1)
        return flight.finished(report).runs() if restarts == 1 else searched_flight(flight, table.total, report, _SURE)

    def race(self, start: Mixture, report: Callable[[int, float], None] | None = None, moves: bool = True) -> list[Run]:
        """Races the starts on the sample; where that is not all rows, the best goes on through all of them."""
        if len(start.logits) == 1 or not self.method.races:
            return self.pursue(self.rows, start, report)
        whole = len(self.sample) == self.summary.count
        rows, told = (self.rows, report) if whole else (self.sample, None)
        runs = searched(self.method, rows, start, self.floor, told, moves)
        if whole or _interrupted(runs):
            return runs
        return self.pursue(self.rows, _ends(sorted(runs, key=_rank)[:1]), report)

    def pursue(self, rows: Rows, start: State, report: Callable[[int, float], None] | None = None) -> list[Run]:
        """Runs the method from a batch of starts to the end."""
        return self.method.pursue(rows, start, self.floor, report)

    def starts(self, initialiser: Initialiser, components: int, restarts: int) -> Mixture:
        """Returns a batch of starting mixtures from centres chosen on the sample."""
        return self._from_centres(self.centres(initialiser, components, restarts))

    def centres(self, initialiser: Initialiser, components: int, restarts: int) -> Tensor:
        """Returns centres ``(restarts, K, F)`` chosen on the sample, with distances in units of the columns' scales."""
        x, weight = self.embedded, self.sample.each_weight
        if int((weight > 0).sum()) < components:
            refuse("components", f"at most the {int((weight > 0).sum())} rows that count", components)
        found = initialiser((x - self.origin) / self.scale, weight, components, restarts, self.generator)
        return class_centres(found * self.scale + self.origin, x, weight, self.sample.possible)

    def given(self, init: Any, components: int | None) -> Mixture:
        """Returns the start, with batch shape ``(1,)``, that a mixture, means or labels describe."""
        if isinstance(init, Mixture):
            start = self._checked_start(init, components).to(device=self.rows.device, dtype=self.rows.dtype)
            return start.detach().map(lambda tensor: tensor.unsqueeze(0))
        init = torch.as_tensor(init, device=self.rows.device)
        if not init.is_floating_point() and init.shape == (len(self.rows),):
            return self._from_labels(init.long(), components)
        means = _flat(init).detach().to(self.rows.dtype)
        features = self.event_shape.numel()
        if means.ndim != 2 or means.shape[-1] != features or (components or len(means)) != len(means):
            expected = f"a mixture, {components or 'K'} means of {features} features, or one label per row"
            refuse("init", expected, f"{init.dtype} {tuple(init.shape)}")
        if not bool(means.isfinite().all()):
            refuse("init", "finite means", "NaN or infinity")
        means = means.reshape(-1, *self.event_shape)
        return self.method.at_means(means) or self._from_centres(self.family.embed(means).unsqueeze(0))

    def result(self, runs: list[Run]) -> Fit:
        """Returns what the runs amount to: for most methods, the best of them."""
        fit = self.method.result(sorted(runs, key=_rank), self.rows, self.family)
        return replace(fit, mixture=fit.mixture.named(self.columns))

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of a row as it was drawn."""
        return self.rows.observation.clean_columns(self.rows.columns)

    def _from_centres(self, means: Tensor) -> Mixture:
        x, weight = self.embedded, self.sample.each_weight
        x, centres = (x - self.origin) / self.scale, (means - self.origin) / self.scale
        nearest = torch.cdist(x, centres).argmin(-1).mT  # (B, N, K) to (N, B)
        for some, component in self.sample.possible.groups():
            if component is not None:
                nearest[some] = component  # a row whose label is known starts there, however far
        return self._from_responsibilities(torch.nn.functional.one_hot(nearest, means.shape[-2]), weight, self.drawn)

    def _from_labels(self, labels: Tensor, components: int | None) -> Mixture:
        count = int(labels.max()) + 1 if components is None else components
        if int(labels.min()) < 0 or int(labels.max()) >= count:
            refuse("init", f"labels between 0 and {count - 1}", f"{int(labels.min())} to {int(labels.max())}")
        rows = _all_clean(self.rows, self.summary)
        one_hot = torch.nn.functional.one_hot(labels, count).unsqueeze(1)
        return self._from_responsibilities(one_hot, rows.each_weight, rows)

    def _from_responsibilities(self, one_hot: Tensor, weight: Tensor, rows: TensorRows) -> Mixture:
        start = self.clean.widen(self.method.start(self.family, rows.tensor(), one_hot * weight[:, None, None]))
        if bool(self.method.collapsed(start, self._least).any()):
            self._refuse_dependent()
        return start

    @property
    def _least(self) -> Tensor:
        """The variance across other columns below which sums of squares keep too few digits of it."""
        return self.floor.maximum(_FEW_DIGITS * self.summary.variance.to(self.floor))

    def _refuse_dependent(self) -> None:
        refuse_dependent(self.rows, self.drawn, self._least.max().item() / self.summary.variance.max().item())

    def _checked_start(self, init: Mixture, components: int | None) -> Mixture:
        if init.event_shape != self.event_shape or init.batch_shape:
            refuse("init", f"one mixture on rows of shape {tuple(self.event_shape)}", repr(init))
        if components not in (None, init.logits.shape[-1]):
            refuse("components", f"the {init.logits.shape[-1]} of `init`", components)
        if init.columns and self.columns and init.columns != self.columns and {*init.columns} == {*self.columns}:
            refuse("columns", f"{', '.join(init.columns)}, in the order of `init`", ", ".join(self.columns))
        return init


def _exact(rows: Rows, family: Family, generator: Generator | None, components: int | None) -> tuple[TensorRows, Clean]:
    found = check_data(rows, components or 1, spread=not family.discrete)
    sample = _sample(rows, generator)
    return sample, Clean.exact(sample, found)


def _behind(
    rows: Rows, family: Family, generator: Generator | None, components: int | None
) -> tuple[TensorRows, Clean]:
    count = check_recorded(rows, components)
    sample = _sample(rows, generator)
    return sample, Clean.guessed(sample, count, rows.total_weight).admitted(family)


def _all_clean(rows: Rows, found: Summary) -> TensorRows:
    """All rows as they were drawn, perhaps roughly, in memory."""
    whole = rows.reweighted(rows.weight)
    return whole if rows.observation.exact else Clean.guessed(whole, found.count, found.weight).rows


def _rank(one: Run) -> tuple[bool, bool, float]:
    """Sorts sound runs before broken ones, optima of the data before spurious ones, and by falling objective."""
    return one.reason in BROKEN, one.spurious, -one.objective


def _interrupted(runs: list[Run]) -> bool:
    return any(one.reason is Reason.INTERRUPTED for one in runs)


def whole(argument: str, value: Any) -> int:
    """Returns a whole number of at least 1, of whatever integer type; an error for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        refuse(argument, "a whole number of at least 1", repr(value))
    return index(value)


def _ends(runs: list[Run]) -> State:
    """Batches the states where runs ended."""
    return stack([one.state for one in runs])


def _sample(rows: Rows, generator: Generator | None) -> TensorRows:
    """Returns the rows that count, or a sample of them drawn without replacement; a few of every class are among it."""
    counted = rows.counted()
    if len(counted) <= _SAMPLE:
        return rows.take(counted) if len(counted) < len(rows) else rows.reweighted(rows.weight)
    shuffled = counted[torch.randperm(len(counted), generator=generator)]
    few = [shuffled[index.cpu()[:_FEW]] for index, _ in rows.possible.at(shuffled).groups()]
    return rows.take(torch.cat((shuffled[:_SAMPLE], *few)).unique())


def _flat(x: Tensor) -> Tensor:
    return x.unsqueeze(-1) if x.ndim == 1 else x
