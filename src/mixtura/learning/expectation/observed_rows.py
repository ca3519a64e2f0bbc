r"""Rows and how they were observed: what lets every method learn through errors, projections, gaps and limits.

`ObservedRows` are rows with an observation beside them. A pass over them asks the observation, not the components, for
the statistics of a block; what the observation knows of single rows travels with the block.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ...components import Full, Gaussian, Normal, Statistics
from ...data import Block, Rows, Summary, TensorRows
from ...data import rows as as_rows
from ...errors import MixtureError, refuse
from ...kernels import soft
from ...mixture import Mixture
from ...observation import Binned
from ...observation.base import Frame, Observation

__all__ = ["Clean", "ObservedRows", "Parted", "like_clean", "observed", "parts", "recorded"]

_ROUGH = 20  # iterations of the single Gaussian from which starts take the clean rows
_FEW = 2000  # rows that it looks at


class Parted(Rows):
    """Rows whose blocks come with how they were observed."""

    @abstractmethod
    def parts(self, size: int) -> Iterator[tuple[Block, Observation | None]]:
        """Blocks, each with the observation of its rows, or None where rows are as they were drawn."""


class ObservedRows(Parted):
    """Rows that were recorded through an observation.

    Arguments:
        rows: What was recorded.
        observation: How; resolved here for these rows.

    Attributes:
        observation: The resolved observation.
        clean_shape: The event shape of the clean rows, which a projection changes.
    """

    def __init__(self, rows: Rows, observation: Observation) -> None:
        self.rows = rows
        self.columns, self.event_shape, self.dtype, self.device = (
            rows.columns,
            rows.event_shape,
            rows.dtype,
            rows.device,
        )
        features = observation.clean_features(rows.features)
        self.clean_shape = rows.event_shape if features == rows.features else torch.Size((features,))
        frame = Frame(self.clean_shape, None, len(rows), rows.dtype, rows.device)
        self.observation = observation.resolve(frame)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def weight(self) -> Tensor | None:
        return self.rows.weight

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    def _blocks(self, size: int) -> Iterator[Block]:
        return self.rows.blocks(size)

    def parts(self, size: int) -> Iterator[tuple[Block, Observation]]:
        """Blocks, each with the observation of its rows."""
        start, side = 0, self.observation.side
        for block in self.blocks(size):
            stop = start + len(block.x)
            yield block, self.observation.at([tensor[start:stop] for tensor in side])
            start = stop

    def take(self, index: Tensor) -> ObservedRows:
        """Some of the rows, in memory."""
        start, x, weight = 0, [], []
        for block in self.blocks(self.suggested_size):
            inside = index[(index >= start) & (index < start + len(block.x))] - start
            x.append(block.x[inside])
            weight.append(block.x.new_ones(len(inside)) if block.weight is None else block.weight[inside])
            start += len(block.x)
        rows = TensorRows(torch.cat(x), torch.cat(weight) if self.weighted else None, self.columns)
        return ObservedRows(rows, self.observation.at([tensor[index] for tensor in self.observation.side]))

    @property
    def pooled(self) -> Observation:
        """The observation of a single component, with the mean of all components' errors."""
        return self.observation.map(lambda tensor: tensor.mean(1, keepdim=True))

    def sample(self, size: int, generator: Generator | None) -> ObservedRows:
        """At most so many of the rows that count, drawn without replacement."""
        counted = torch.arange(len(self)) if self.weight is None else (self.weight > 0).nonzero().squeeze(-1).cpu()
        if len(counted) > size:
            counted = counted[torch.randperm(len(counted), generator=generator)[:size].sort().values]
        return self.take(counted)

    def check(self, components: int) -> int:
        """The number of rows that count, after checks: enough rows, no infinity, gaps only where they are meant.

        A row of which nothing was recorded is allowed; a column of which nothing was recorded is not.
        """
        kinds = {tensor.shape[1] for tensor in self.observation.led} - {1, components}
        if kinds:
            expected = f"shared, or given for each of {len(self)} rows or {components} components"
            refuse("observation", expected, f"tensors for {min(kinds)}", "See `per_row`.")
        count, seen = 0, torch.zeros(self.features, dtype=torch.bool, device=self.device)
        for x, weight in self.blocks(self.suggested_size):
            values = x.reshape(len(x), -1)
            counted = values if weight is None else values[weight > 0]
            self._check_values(counted)
            count += len(counted)
            seen |= (~counted.isnan()).any(0)
        if count < components:
            refuse("components", f"at most the number of rows that count, {count}", components)
        if not bool(seen.all()):
            names = [self._name(j) for j in (~seen).nonzero().squeeze(-1).tolist()]
            refuse("x", "recorded somewhere in every column", f"nothing at all in {', '.join(names)}", "Leave it out.")
        return count

    def _check_values(self, values: Tensor) -> None:
        if bool(values.isinf().any()):
            column = int(values.isinf().any(0).nonzero()[0])
            refuse("x", "finite, or NaN where nothing was recorded", f"infinity in {self._name(column)}")
        if not self.observation.gaps and bool(values.isnan().any()):
            column = int(values.isnan().any(0).nonzero()[0])
            advice = "Where a gap is meant, add `mixtura.observation.Missing()` as the last observation."
            refuse("x", "free of NaN under this observation", f"NaN in {self._name(column)}", advice)

    def _name(self, column: int) -> str:
        return f"column {self.columns[column]!r}" if self.columns else f"column {column}"

    @property
    def empty(self) -> int:
        """The number of rows of which nothing was recorded: they keep their prior weights."""
        blocks = self.blocks(self.suggested_size)
        return sum(int(block.x.reshape(len(block.x), -1).isnan().all(1).sum()) for block in blocks)


def recorded(x: Any, columns: Any, weight: Any, observation: Any) -> Rows:
    """The rows as they were recorded; for None, those that the observation itself holds, such as a histogram's bins."""
    if x is None:
        if not isinstance(observation, Binned):
            refuse("x", "rows", None, "Only `mixtura.observation.Binned` with counts brings its own.")
        x, weight = observation.recorded()
    try:
        return observed(as_rows(x, columns, weight), observation)
    except MixtureError as error:  # what rows call their weight, learners call sample_weight
        raise MixtureError(str(error).replace("`weight`", "`sample_weight`")) from error


def observed(rows: Rows, observation: Any) -> Rows:
    """The rows with how they were observed, in sequence where it is several; the rows themselves for None."""
    if observation is None:
        return rows
    steps = list(observation) if isinstance(observation, (list, tuple)) else [observation]
    if not steps or not all(isinstance(step, Observation) for step in steps):
        refuse("observation", "one of mixtura.observation, or a sequence of them", repr(observation))
    return ObservedRows(rows, steps[0].followed_by(steps[1:]))


def like_clean(rows: Rows) -> Rows:
    """Rows of the shape that the clean ones have."""
    if not isinstance(rows, ObservedRows):
        return rows
    return TensorRows(torch.empty((0, *rows.clean_shape), dtype=rows.dtype, device=rows.device))


def parts(rows: Rows, size: int) -> Iterator[tuple[Block, Observation | None]]:
    """Blocks of rows, each with the observation of its rows, or None where rows are as they were drawn."""
    return rows.parts(size) if isinstance(rows, Parted) else ((block, None) for block in rows.blocks(size))


@dataclass(frozen=True)
class Clean:
    """A rough idea of the clean rows, good enough to start from: those expected under a single Gaussian.

    Attributes:
        rows: The expected clean rows, in memory.
        summary: Their mean, and the single Gaussian's variance.
        spread: The mean covariance of the clean rows about what is expected of them, ``(D, D)``.
    """

    rows: TensorRows
    summary: Summary
    spread: Tensor

    @classmethod
    def of(cls, sample: ObservedRows, count: int, total: float) -> Clean:
        """Fits a single Gaussian through the observation and expects each row under it."""
        few = sample.take(torch.arange(0, len(sample), max(1, len(sample) // _FEW)))
        one = _single(few.pooled, few.tensor(), few.weight, sample.clean_shape)
        y, weight, seen = sample.tensor(), sample.weight, sample.pooled
        shift, second = seen.clean_moments(one.components, y)
        shift, second = shift[:, 0], second[:, 0]
        gaussian = one.components.gaussian_law
        x = gaussian.location[0] + shift
        spread = (second - shift.unsqueeze(-1) * shift.unsqueeze(-2)).mean(0)
        variance = gaussian.variance[0].double().reshape(sample.clean_shape)
        mean = gaussian.location[0].double().reshape(sample.clean_shape)
        rows = TensorRows(x.reshape(len(x), *sample.clean_shape), weight)
        return cls(rows, Summary(count, total, mean, variance, mean, mean), spread)

    def widen(self, start: Mixture) -> Mixture:
        """Adds to the start's covariances what the expected rows lack."""
        if not start.components.is_gaussian:
            return start
        gaussian = start.components.gaussian_law
        dense = gaussian.structure.dense(gaussian.features) + self.spread
        wider = gaussian._replace(structure=gaussian.structure.with_covariance(dense))
        return Mixture._of(start.logits, start.components.with_gaussian(wider))


@torch.no_grad()
def _single(observation: Observation, y: Tensor, weight: Tensor | None, shape: torch.Size) -> Mixture:
    """One Gaussian after a few iterations of EM through the observation."""
    mean, variance = observation.first_guess(y.reshape(len(y), -1))
    variance = variance.clamp_min(torch.finfo(y.dtype).tiny)
    gaussian = Gaussian._of(
        location=mean[None], structure=Full._of(factor=torch.diag(variance.sqrt())[None], tied=False)
    )
    components = gaussian if len(shape) else Normal.of(gaussian)
    logits = y.new_zeros(1)
    for _ in range(_ROUGH):
        statistics: Statistics = observation.expect(components, logits, y, weight, soft)
        proposed = components.update(statistics)
        if not all(bool(tensor.isfinite().all()) for tensor in proposed.tensors()):
            break
        components = proposed
    return Mixture._of(logits, components)
