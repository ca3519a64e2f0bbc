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
    plain = method.alone and family.step is not None and plain_rows(rows)
    return plain and small(int(groups.sizes.max()), rows.features)


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
    sizes, (x, weight) = groups.sizes, _sorted(rows, groups)
    faults = _faults(x, weight, sizes, components)
    good = np.array([not fault for fault in faults])
    if not good.any():
        raise MixtureError(f"No group can be fitted; the first one, {groups.names[0]!r}: {faults[0]}")
    if not good.all():
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
    starts = seeded(table, uniforms, np.resize(_KINDS, (uniforms.shape[1], 2))).starts(table, kind.step)
    flight = raced(SmallFlight.of(method, kind, starts, len(sizes)), table.total, course=SHORT).flight
    return flight.first, table.total


def _gathered(
    rows: Rows, groups: Groups, flight: SmallFlight[Starts], total: Array, faults: list[str], family: Family
) -> GroupFits:
    """The fits of all groups, with those between that could not be fitted."""
    good, sizes = np.array([not fault for fault in faults]), groups.sizes
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
        tuple(sizes.tolist()),
        torch.from_numpy(sizes if rows.weight is None else np.bincount(groups.codes, rows.weight, len(good))).double(),
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
    x, weight, codes = rows.tensor().reshape(len(rows), -1), rows.weight, groups.codes.numpy()
    if (codes[1:] >= codes[:-1]).all():
        return x, weight
    order = torch.from_numpy(np.argsort(codes, kind="stable"))
    return x[order], None if weight is None else weight[order]


def _faults(x: Tensor, weight: Tensor | None, sizes: Array, components: int) -> list[str]:
    """What keeps each group from being fitted; nothing, mostly."""
    low = high = x.double().numpy()
    begin, enough = np.cumsum(sizes) - sizes, sizes
    if weight is not None:
        counts = (weight > 0).numpy()
        low, high = (np.where(counts[:, None], low, none) for none in (np.inf, -np.inf))
        enough = np.add.reduceat(counts.astype(int), begin)
    low, high = np.minimum.reduceat(low, begin, 0), np.maximum.reduceat(high, begin, 0)  # NaN where one is
    finite = (np.isfinite(low) & np.isfinite(high)).all(1) | (enough == 0)
    each = zip(enough.tolist(), finite.tolist(), np.logical_and.reduce(high > low, 1).tolist(), strict=True)
    return [_fault(count, sound, spread, components) for count, sound, spread in each]


def _fault(count: int, finite: bool, spread: bool, components: int) -> str:
    if not finite:
        return "It has values that are NaN or infinite."
    if count < components:
        return f"It has {count} rows, fewer than {components} components."
    return "" if spread else "A column is constant."
