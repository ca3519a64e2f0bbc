"""Groups of few rows, fitted together: EM for Gaussians by the kernels for small tables, a race for each group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ...components import Family
from ...data import Rows
from ...data.groups import Groups
from ...errors import MixtureError
from ...kernels.small import End, Table, small
from ...kernels.small_gaussians import Starts, seeded
from ..loop.leaps import REASONS, plain_rows
from ..loop.method import Method
from ..loop.reason import Reason
from ..search.flight import Array
from ..search.gaussian_kind import GaussianKind
from ..search.race import SHORT, raced
from ..search.small_flight import SmallFlight
from .group_fits import GroupFits, Tellings, Told, refused

__all__ = ["fitted_together", "together"]

_STARTS = 4  # for each group
_KINDS = (0, 3), (0, 1), (1, 1), (1, 1)  # whether centres may be any rows, updates of K-means


def together(rows: Rows, groups: Groups, method: Method, family: Family) -> bool:
    """Whether the kernels serve all groups at once."""
    largest = int(torch.bincount(groups.codes).max())
    return method.alone and family.step is not None and plain_rows(rows) and small(largest, rows.features)


def fitted_together(
    rows: Rows,
    groups: Groups,
    method: Method,
    family: Family,
    components: int,
    restarts: int | None,
    generator: Generator | None,
) -> GroupFits:
    """Learns a mixture for each group, all in the same few calls; see `fit_groups`."""
    sizes = torch.bincount(groups.codes, minlength=len(groups.names)).numpy()
    x, weight = _sorted(rows, groups)
    faults = _faults(x, weight, sizes, components)
    good = np.array([not fault for fault in faults])
    if not good.any():
        raise MixtureError(f"No group can be fitted; the first one, {groups.names[0]!r}: {faults[0]}")
    keep = torch.from_numpy(np.repeat(good, sizes))
    x, weight, sizes = x[keep], None if weight is None else weight[keep], sizes[good]
    starts = _STARTS if restarts is None else restarts
    uniforms = torch.rand(len(sizes), starts, components, 1, generator=generator, dtype=torch.float64).numpy()
    kind = GaussianKind.of_family(family, rows)
    flight, total = _flown(x, weight, sizes, method, kind, uniforms)
    return _gathered(rows, groups, flight, total, faults, family)


def _flown(
    x: Tensor, weight: Tensor | None, sizes: Array, method: Method, kind: GaussianKind, uniforms: Array
) -> tuple[SmallFlight[Starts], Array]:
    """The best start of each group, where it ended, and the weight of each group's rows."""
    table = Table.of(x, weight, 16 * torch.finfo(kind.dtype).eps, sizes)
    starts = seeded(x, weight, table, sizes, uniforms, np.resize(_KINDS, (uniforms.shape[1], 2))).starts(
        table, kind.step
    )
    flight = raced(SmallFlight.of(method, kind, starts, len(sizes)), table.total, course=SHORT).flight
    return flight.first, table.total


def _gathered(
    rows: Rows, groups: Groups, flight: SmallFlight[Starts], total: Array, faults: list[str], family: Family
) -> GroupFits:
    """The fits of all groups, with those between that could not be fitted."""
    good = np.array([not fault for fault in faults])
    places = torch.from_numpy(np.flatnonzero(good))

    def spread(tensor: Tensor) -> Tensor:
        whole = tensor.new_full((len(good), *tensor.shape[1:]), torch.nan)
        whole[places] = tensor
        return whole

    return GroupFits(
        flight.kind.mixture(flight.starts).map(spread).named(rows.columns),
        groups.names,
        _tellings(flight, good, faults),
        spread(torch.from_numpy(flight.last * total)),
        tuple(torch.bincount(groups.codes, minlength=len(good)).tolist()),
        torch.bincount(groups.codes, rows.weight, len(good)).double(),
        flight.method,
        family,
        rows,
        groups.codes,
    )


@dataclass(frozen=True, eq=False)
class _Telling:
    """Tells how the fit of a group went; faults are what kept some from being fitted."""

    flight: SmallFlight[Starts]
    faults: list[str]
    lines: Array

    def __call__(self, group: int) -> Told:
        fault = self.faults[group]
        return refused(fault) if fault else Told(*self.flight.told(self.lines[group]))


def _tellings(flight: SmallFlight[Starts], good: Array, faults: list[str]) -> Tellings:
    ends = np.array([REASONS[End(end)] for end in range(len(REASONS))], object)
    reasons = np.full(len(good), Reason.REFUSED, object)
    reasons[good] = ends[flight.ends]
    return Tellings(reasons.tolist(), _Telling(flight, faults, np.cumsum(good) - 1))


def _sorted(rows: Rows, groups: Groups) -> tuple[Tensor, Tensor | None]:
    """Rows (N, D) and weights with those of a group together."""
    order = torch.from_numpy(np.argsort(groups.codes.numpy(), kind="stable"))
    x = rows.tensor().reshape(len(rows), -1)[order]
    return x, None if rows.weight is None else rows.weight[order]


def _faults(x: Tensor, weight: Tensor | None, sizes: Array, components: int) -> list[str]:
    """What keeps each group from being fitted; nothing, mostly."""
    values, begin = x.double().numpy(), np.cumsum(sizes) - sizes
    counts = np.ones(len(x), bool) if weight is None else (weight > 0).numpy()
    finite = np.logical_and.reduceat(np.isfinite(values).all(1) | ~counts, begin)
    shown = np.where(counts[:, None] & np.isfinite(values), values, np.nan)
    with np.errstate(invalid="ignore"):
        wide = np.fmax.reduceat(shown, begin, 0) > np.fmin.reduceat(shown, begin, 0)
    enough = np.add.reduceat(counts.astype(int), begin)
    each = zip(enough.tolist(), finite.tolist(), np.logical_and.reduce(wide, 1).tolist(), strict=True)
    return [_fault(count, sound, spread, components) for count, sound, spread in each]


def _fault(count: int, finite: bool, spread: bool, components: int) -> str:
    if not finite:
        return "It has values that are NaN or infinite."
    if count < components:
        return f"It has {count} rows, fewer than {components} components."
    return "" if spread else "A column is constant."
