"""What the clean rows behind recorded ones may have been: a rough idea, good enough to start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...components import Component, Family, Full, Gaussian
from ...components.covariance.columns import not_below_zero
from ...components.normal import of_rows
from ...components.observation import over
from ...data import EVERY, Rows, Summary, TensorRows, summary
from ...kernels import soft
from ...kernels.small import Limits
from ...mixture import Mixture
from ..expectation.expect import expect
from ..search.gaps_kind import GapsKind

__all__ = ["Clean", "clean_spread", "clean_summary", "roughly_clean"]

_ROUGH = 20  # iterations of the single Gaussian from which starts take the clean rows
_FEW = 2000  # rows that it looks at


@dataclass(frozen=True)
class Clean:
    """A rough idea of the clean rows, good enough to start from: those expected under a single Gaussian.

    Attributes:
        rows: The expected clean rows, in memory.
        summary: Their mean and range, and the single Gaussian's variance.
        spread: The mean covariance of the clean rows about what is expected of them, ``(D, D)``.
    """

    rows: TensorRows
    summary: Summary
    spread: Tensor

    @classmethod
    def exact(cls, sample: TensorRows, found: Summary) -> Clean:
        """Returns rows that were recorded as they were drawn."""
        return cls(sample, found, torch.zeros((), dtype=sample.dtype, device=sample.device))

    @classmethod
    def guessed(cls, sample: TensorRows, count: int, total: float) -> Clean:
        """Fits a single Gaussian through the observation and expects each row under it."""
        few = pooled(sample.take(torch.arange(0, len(sample), max(1, len(sample) // _FEW))))
        gaussian, whole = _single(few), pooled(sample)
        shift, spread = _expected(whole, gaussian)
        vectors, shape = gaussian.gaussian, sample.clean_shape
        x = (vectors.location[0] + shift).reshape(len(shift), *shape)
        mean, variance = (values[0].double().reshape(shape) for values in (vectors.location, vectors.variance))
        rows = TensorRows(x, sample.weight).labelled(sample.possible)
        return cls(rows, Summary(count, total, mean, variance, x.amin(0).double(), x.amax(0).double()), spread)

    def admitted(self, family: Family) -> Clean:
        """Returns the same with rows in the family's support, where a Gaussian expects them outside."""
        x = family.admitted(self.rows.tensor())
        return replace(self, rows=TensorRows(x, self.rows.weight).labelled(self.rows.possible))

    def widen(self, start: Mixture) -> Mixture:
        """Adds to the start's covariances what the expected rows lack."""
        if not (bool(self.spread.any()) and start.components.is_gaussian):
            return start
        gaussian = start.components.gaussian.to(torch.float64)
        dense = gaussian.structure.dense(gaussian.features) + self.spread
        wider = gaussian._replace(structure=gaussian.structure.with_covariance(dense)).to(start.components.dtype)
        return Mixture._of(start.logits, start.components.with_gaussian(wider))


def clean_summary(rows: Rows) -> Summary:
    """Returns mean and variance of the rows as they were drawn: by a single Gaussian where errors stand before them."""
    if rows.observation.exact:
        return summary(rows)
    gaussian, counted = _single(_some(rows)).gaussian, int(rows.total_weight)
    moments = (value[0].double().reshape(rows.clean_shape) for value in (gaussian.location, gaussian.variance))
    mean, variance = moments
    return Summary(counted, rows.total_weight, mean, variance, mean, mean)


def roughly_clean(rows: TensorRows) -> Tensor:
    """Returns the rows as they were drawn, or what a single Gaussian expects of them where errors stand before them."""
    return rows.tensor() if rows.observation.exact else Clean.guessed(rows, len(rows), rows.total_weight).rows.tensor()


def _some(rows: Rows) -> TensorRows:
    """A few of the rows that count, as a single component sees them."""
    counted = rows.counted()
    return pooled(rows.take(counted[:: max(1, len(counted) // _FEW)]))


def pooled(rows: TensorRows) -> TensorRows:
    """The rows as a single component sees them: labels forgotten, errors the mean of all components'."""
    alone = rows.observation.map(lambda tensor: tensor.mean(1, keepdim=True))
    return rows.recorded_as(rows.tensor(), rows.weight, observation=alone, possible=EVERY)


def clean_spread(rows: Rows) -> Tensor:
    """Returns the mean covariance ``(D, D)`` of clean rows about what a single Gaussian expects of them."""
    few = _some(rows)
    return _expected(few, _single(few))[1]


def _expected(rows: TensorRows, gaussian: Component) -> tuple[Tensor, Tensor]:
    """What one Gaussian expects of each clean row, about its mean, ``(N, D)``, and their mean covariance about that."""
    shift, second = rows.observation.clean_moments(gaussian, over(rows.tensor(), gaussian))
    shift, second = shift[:, 0], second[:, 0]
    spread = (second - shift.unsqueeze(-1) * shift.unsqueeze(-2)).mean(0)
    return shift, not_below_zero(spread)  # as rounding may leave the difference of large numbers


@torch.no_grad()
def _single(rows: TensorRows) -> Component:
    """One Gaussian after a few iterations of EM through the observation."""
    y = rows.tensor()
    mean, variance = rows.observation.first_guess(y.reshape(len(y), -1))
    scale = torch.diag(variance.clamp_min(torch.finfo(y.dtype).tiny).sqrt())
    gaussian = Gaussian._of(location=mean[None], structure=Full._of(factor=scale[None], tied=False))
    mixture = Mixture._of(y.new_zeros(1), of_rows(gaussian, bool(rows.clean_shape)))
    return _settled(mixture, rows) if GapsKind.serves(rows, mixture) else _updated(mixture, rows)


def _settled(mixture: Mixture, rows: TensorRows) -> Component:
    """The components after a few updates in one call, where the kernels serve."""
    start = mixture.map(lambda tensor: tensor.unsqueeze(0))
    kind = GapsKind.of(start)
    states, _ = kind.states(rows, start, torch.zeros(rows.features)).advanced(Limits(_ROUGH, 0.0, False))
    return kind.mixture(states).components.map(lambda tensor: tensor.squeeze(0))


def _updated(mixture: Mixture, rows: TensorRows) -> Component:
    """The components after a few updates, while there are any."""
    for _ in range(_ROUGH):
        proposed = mixture.components.update(expect(mixture, rows, soft))
        if not all(bool(tensor.isfinite().all()) for tensor in proposed.tensors()):
            break
        mixture = Mixture._of(mixture.logits, proposed)
    return mixture.components
