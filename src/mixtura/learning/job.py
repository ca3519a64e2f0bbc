"""A job: rows prepared for learning, and the runs from many starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from operator import index
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Template
from ..data import Rows, Summary, TensorRows, check_data
from ..errors import MixtureError, refuse
from ..mixture import Mixture
from .expectation.known_labels import Labelled, class_centres
from .expectation.observed_rows import Clean, ObservedRows
from .families import Family
from .loop.method import Method
from .loop.reason import Reason
from .loop.run import run
from .loop.traces import Run, State, stack
from .results.fit import Fit
from .starts.centres import Initialiser, MixedStart
from .starts.dependent_columns import refuse_dependent

__all__ = ["Job", "job_of", "whole"]

_CONTINUED = 3  # how many of the short runs go on
_SHORT = 10  # iterations of a short run
_FEW = 50  # labelled rows of each class that a sample keeps
_SAMPLE = 10_000  # rows that starts and short runs look at


@dataclass(frozen=True)
class Job:
    """Rows prepared for learning: checked, summarised and sampled once, however many fits follow."""

    rows: Rows
    method: Method
    family: Family
    summary: Summary
    sample: TensorRows
    generator: Generator | None

    @classmethod
    def of(cls, rows: Rows, method: Method, family: Family, generator: Generator | None, components: int | None) -> Job:
        """Checks the rows and draws the sample on which starts are tried."""
        components = None if components is None else whole("components", components)
        discrete = isinstance(family, Template) and family.discrete
        found = check_data(rows, components or 1, spread=not discrete)
        family = family.bind(rows, found)
        family.check(rows)
        return cls(rows, method.seeded(generator), family, found, _sample(rows, generator), generator)

    @property
    def drawn(self) -> TensorRows:
        """The sample's rows as they were drawn, before any observation."""
        return self.sample

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a row as it was drawn."""
        return self.drawn.event_shape

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
            return self.pursue(self.rows, start, report)
        if components is None:
            raise MixtureError("`components` must be given: how many components should the mixture have?")
        count = whole("restarts", self.method.restarts if restarts is None else restarts)
        count = 1 if components == 1 else count
        initialiser: Initialiser = MixedStart() if init is None else init  # type: ignore[assignment]
        start = self.starts(initialiser, components, count)
        return self.race(start, report)

    def race(self, start: Mixture, report: Callable[[int, float], None] | None) -> list[Run]:
        """Gives every start a short run on the sample, and the best few a full one on all rows."""
        if len(start.logits) == 1 or not self.method.races:
            return self.pursue(self.rows, start, report)
        tried = sorted(run(self.method.short(_SHORT), self.sample, start, self.floor), key=_rank)[:_CONTINUED]
        if _interrupted(tried):
            return tried
        if len(self.sample) < self.summary.count:
            tried = sorted(self.pursue(self.sample, _ends(tried)), key=_rank)[:1]
            if _interrupted(tried):
                return tried
            return self.pursue(self.rows, _ends(tried), report)
        finished = self.pursue(self.rows, _ends(tried), report)
        return [then.after(first) for first, then in zip(tried, finished, strict=True)]

    def pursue(self, rows: Rows, start: State, report: Callable[[int, float], None] | None = None) -> list[Run]:
        """Runs the method from a batch of starts to the end."""
        return self.method.pursue(rows, start, self.floor, report)

    def starts(self, initialiser: Initialiser, components: int, restarts: int) -> Mixture:
        """Returns a batch of starting mixtures from centres chosen on the sample."""
        return self._from_centres(self.centres(initialiser, components, restarts))

    def centres(self, initialiser: Initialiser, components: int, restarts: int) -> Tensor:
        """Returns centres ``(restarts, K, F)`` chosen on the sample, with distances in units of the columns' scales."""
        x, weight = self.embedded, _weight(self.sample)
        if int((weight > 0).sum()) < components:
            refuse("components", f"at most the {int((weight > 0).sum())} rows that count", components)
        found = initialiser((x - self.origin) / self.scale, weight, components, restarts, self.generator)
        return found * self.scale + self.origin

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
        fit = self.method.result(sorted(runs, key=_rank), self.rows)
        return replace(fit, mixture=fit.mixture.named(self.columns))

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns of a row as it was drawn."""
        return self.rows.columns

    def _from_centres(self, means: Tensor) -> Mixture:
        x, weight = self.embedded, _weight(self.sample)
        x, centres = (x - self.origin) / self.scale, (means - self.origin) / self.scale
        nearest = torch.cdist(x, centres).argmin(-1).mT  # (B, N, K) to (N, B)
        return self._from_responsibilities(torch.nn.functional.one_hot(nearest, means.shape[-2]), weight, self.drawn)

    def _from_labels(self, labels: Tensor, components: int | None) -> Mixture:
        count = int(labels.max()) + 1 if components is None else components
        if int(labels.min()) < 0 or int(labels.max()) >= count:
            refuse("init", f"labels between 0 and {count - 1}", f"{int(labels.min())} to {int(labels.max())}")
        rows = self._all_drawn()
        one_hot = torch.nn.functional.one_hot(labels, count).unsqueeze(1)
        return self._from_responsibilities(one_hot, _weight(rows), rows)

    def _from_responsibilities(self, one_hot: Tensor, weight: Tensor, rows: TensorRows) -> Mixture:
        start = self.method.start(self.family, rows.tensor(), one_hot * weight[:, None, None])
        if bool(self.method.collapsed(start, self.floor).any()):
            refuse_dependent(self.rows, self.sample, self.floor.max().item() / self.summary.variance.max().item())
        return start

    def _all_drawn(self) -> TensorRows:
        return TensorRows(self.rows.tensor(), self.rows.weight)

    def _checked_start(self, init: Mixture, components: int | None) -> Mixture:
        if init.event_shape != self.event_shape or init.batch_shape:
            refuse("init", f"one mixture on rows of shape {tuple(self.event_shape)}", repr(init))
        if components not in (None, init.logits.shape[-1]):
            refuse("components", f"the {init.logits.shape[-1]} of `init`", components)
        return init


@dataclass(frozen=True)
class ObservedJob(Job):
    """Rows seen through an observation, prepared for learning: starts look at what the clean rows may have been."""

    clean: Clean

    @classmethod
    def prepared(
        cls, rows: ObservedRows, method: Method, family: Family, generator: Generator | None, components: int | None
    ) -> ObservedJob:
        """Checks the rows, draws the sample and works out roughly what was behind it."""
        count = rows.check(1 if components is None else whole("components", components))
        sample = rows.sample(_SAMPLE, generator)
        clean = Clean.of(sample, count, rows.total_weight)
        return cls(rows, method.seeded(generator), family, clean.summary, sample, generator, clean)  # type: ignore[arg-type]

    @property
    def drawn(self) -> TensorRows:
        return self.clean.rows

    @property
    def columns(self) -> tuple[str, ...] | None:
        return self.rows.observation.clean_columns(self.rows.columns)  # type: ignore[attr-defined]

    def _all_drawn(self) -> TensorRows:
        return Clean.of(self.rows, len(self.rows), self.rows.total_weight).rows  # type: ignore[arg-type]

    def _from_responsibilities(self, one_hot: Tensor, weight: Tensor, rows: TensorRows) -> Mixture:
        return self.clean.widen(self.method.start(self.family, rows.tensor(), one_hot * weight[:, None, None]))


@dataclass(frozen=True)
class LabelledJob(Job):
    """Rows whose labels are partly known, prepared for learning: starts put each known class in its place."""

    @classmethod
    def of(
        cls, rows: Rows, method: Method, family: Family, generator: Generator | None, components: int | None
    ) -> LabelledJob:
        job = super().of(rows, method, family, generator, components)
        return replace(job, sample=_labelled_sample(rows, generator))  # type: ignore[arg-type]

    def centres(self, initialiser: Initialiser, components: int, restarts: int) -> Tensor:
        found = super().centres(initialiser, components, restarts)
        return class_centres(found, self.embedded, _weight(self.sample), self.sample.labels)  # type: ignore[attr-defined]


def _labelled_sample(rows: Labelled, generator: Generator | None) -> Labelled:
    """Returns the rows that count, or a sample of them; a few of every class are among them."""
    counted = torch.arange(len(rows)) if rows.weight is None else (rows.weight > 0).nonzero().squeeze(-1).cpu()
    if len(counted) <= _SAMPLE:
        return rows.take(counted)
    shuffled = counted[torch.randperm(len(counted), generator=generator)]
    labels = rows.labels.cpu()[shuffled]
    first = torch.cat([(labels == k).nonzero().squeeze(-1)[:_FEW] for k in labels.unique()])
    keep = torch.cat((shuffled[first], shuffled[:_SAMPLE])).unique()
    return rows.take(keep)


def job_of(rows: Rows, method: Method, family: Family, generator: Generator | None, components: int | None) -> Job:
    """Prepares rows for learning, however they were observed."""
    if isinstance(rows, Labelled):
        return LabelledJob.of(rows, method, family, generator, components)
    if isinstance(rows, ObservedRows):
        if not method.observes:
            refuse("method", "one that learns through an observation, such as `EM`", type(method).__name__)
        return ObservedJob.prepared(rows, method, family, generator, components)
    return Job.of(rows, method, family, generator, components)


def _rank(one: Run) -> tuple[bool, float]:
    """Sorts sound runs before collapsed ones, and by falling objective within each."""
    broken = one.reason in (Reason.COLLAPSED, Reason.NOT_FINITE)
    return broken, -one.objective


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
    """Returns all rows where they are few, and otherwise a sample drawn without replacement."""
    if len(rows) <= _SAMPLE:
        return _counted(rows.tensor(), rows.weight)
    counted = torch.arange(len(rows)) if rows.weight is None else rows.weight.nonzero().squeeze(-1).cpu()
    keep = counted[torch.randperm(len(counted), generator=generator)[:_SAMPLE].sort().values]
    pieces, start = [], 0
    for x, weight in rows.blocks(rows.suggested_size):
        inside = keep[(keep >= start) & (keep < start + len(x))] - start
        pieces.append((x[inside], None if weight is None else weight[inside]))
        start += len(x)
    weights = [weight for _, weight in pieces if weight is not None]
    return TensorRows(torch.cat([x for x, _ in pieces]), torch.cat(weights) if weights else None)


def _counted(x: Tensor, weight: Tensor | None) -> TensorRows:
    """The rows without those of weight zero, so that these cannot move a start."""
    if weight is None or bool((weight > 0).all()):
        return TensorRows(x, weight)
    return TensorRows(x[weight > 0], weight[weight > 0])


def _weight(rows: TensorRows) -> Tensor:
    return torch.ones(len(rows), dtype=rows.dtype, device=rows.device) if rows.weight is None else rows.weight


def _flat(x: Tensor) -> Tensor:
    return x.unsqueeze(-1) if x.ndim == 1 else x
