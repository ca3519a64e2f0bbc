"""One mixture for each group of rows: all of them by the kernels where these serve, else one after another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from ...components import Family
from ...data import Rows
from ...data.groups import Groups
from ...errors import MixtureError
from ..loop.method import Method
from ..loop.traces import stack
from ..results.fit import Fit
from .group_fits import GroupFits, Told, refused
from .small_groups import fitted_together, together

__all__ = ["fit_groups"]


def fit_groups(
    rows: Rows,
    groups: Groups,
    method: Method,
    family: Family,
    components: int,
    learn: Any,
    init: Any = None,
    restarts: int | None = None,
    generator: Generator | None = None,
) -> GroupFits:
    """Learns a mixture for each group of rows.

    Arguments:
        rows: All rows.
        groups: Which group each row belongs to.
        method: How to learn.
        family: What to learn.
        components: The number of components of each mixture.
        learn: Learns from the rows of one group; see `mixtura.learning.fit.learn`.
        init: Where to start, as in `fit`.
        restarts: The number of starts of each group.
        generator: The source of randomness.

    Raises:
        MixtureError: If no group can be fitted.
    """
    if init is None and together(rows, groups, method, family):
        return fitted_together(rows, groups, method, family, components, restarts, generator)
    fits = [_tried(learn, part, method, family, init, components, restarts, generator) for part in _parts(rows, groups)]
    sound = [one for one in fits if isinstance(one, Fit)]
    if not sound:
        raise MixtureError(f"No group can be fitted; the first one: {fits[0]}")
    nothing = sound[0].mixture.map(lambda tensor: torch.full_like(tensor, torch.nan))
    mixtures = [one.mixture if isinstance(one, Fit) else nothing for one in fits]
    return GroupFits(
        stack(mixtures).named(sound[0].mixture.columns),
        groups.names,
        tuple(_told(one) for one in fits),
        torch.tensor([one.log_likelihood if isinstance(one, Fit) else torch.nan for one in fits], dtype=torch.float64),
        tuple(torch.bincount(groups.codes, minlength=len(groups.names)).tolist()),
        totals(rows, groups),
        sound[0].method,
        family,
        rows,
        groups.codes,
    )


def totals(rows: Rows, groups: Groups) -> Tensor:
    """The weight of the rows of each group, ``(G,)``."""
    return torch.bincount(groups.codes, rows.weight, len(groups.names)).double()


def _parts(rows: Rows, groups: Groups) -> list[Rows]:
    order = torch.argsort(groups.codes, stable=True)
    return [rows.take(index) for index in order.split(torch.bincount(groups.codes).tolist())]


def _tried(learn: Any, rows: Rows, method: Method, family: Family, *arguments: Any) -> Fit | MixtureError:
    init, components, restarts, generator = arguments
    try:
        return learn(rows, method, family, init, components, restarts, generator)
    except MixtureError as error:
        return error


def _told(one: Fit | MixtureError) -> Told:
    return Told(one.reason, one.detail, tuple(one.trace.tolist())) if isinstance(one, Fit) else refused(str(one))
