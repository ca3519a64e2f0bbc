"""One mixture for each group of rows: all of them by the kernels where these serve, else one after another."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Generator

from ...components import Family
from ...data import Rows
from ...data.groups import Groups
from ...data.reading import names_but
from ...errors import MixtureError
from ..loop.method import Method
from ..loop.traces import stack
from ..results.fit import Fit
from .group_fits import GroupFits, Tellings, Told, refused
from .small_groups import fitted_together, together

__all__ = ["features_beside", "fit_groups"]


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
    method = method.repeated(None)  # all mixtures of a batch have as many components
    if init is None and together(rows, groups, method, family):
        return fitted_together(rows, groups, method, family, components, restarts, generator)
    tried = [
        _tried(learn, part, method, family, init, components, restarts, generator) for part in _parts(rows, groups)
    ]
    sound = next((one.fit for one in tried if one.fit is not None), None)
    if sound is None:
        raise MixtureError(f"No group can be fitted; the first one: {tried[0].told.detail}")
    nothing = sound.mixture.map(lambda tensor: torch.full_like(tensor, torch.nan))
    return GroupFits(
        stack([nothing if one.fit is None else one.fit.mixture for one in tried]).named(sound.mixture.columns),
        groups.names,
        Tellings([one.told.reason for one in tried], [one.told for one in tried].__getitem__),
        torch.tensor([torch.nan if one.fit is None else one.fit.log_likelihood for one in tried], dtype=torch.float64),
        tuple(torch.bincount(groups.codes, minlength=len(groups.names)).tolist()),
        torch.bincount(groups.codes, rows.weight, len(groups.names)).double(),
        method,
        family,
        rows,
        groups.codes,
    )


def features_beside(x: Any, groups: Any, weight: Any) -> tuple[str, ...] | None:
    """The columns of a table that are features, where one by name holds the groups, and perhaps one the weights."""
    named = [name for name in (groups, weight) if isinstance(name, str)]
    return names_but(x, named) if isinstance(groups, str) else None


class _Tried(NamedTuple):
    """A group's fit, none where there could be none, and what is told of it."""

    fit: Fit | None
    told: Told


def _parts(rows: Rows, groups: Groups) -> list[Rows]:
    order = torch.argsort(groups.codes, stable=True)
    return [rows.take(index) for index in order.split(torch.bincount(groups.codes).tolist())]


def _tried(learn: Any, rows: Rows, method: Method, family: Family, *arguments: Any) -> _Tried:
    init, components, restarts, generator = arguments
    try:
        fit = learn(rows, method, family, init, components, restarts, generator)
    except MixtureError as error:
        return _Tried(None, refused(str(error)))
    return _Tried(fit, Told(fit.reason, fit.detail, tuple(fit.trace.tolist())))
