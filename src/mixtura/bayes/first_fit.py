"""A maximum-likelihood fit of a model's family: where its rows are, and how wide."""

from __future__ import annotations

import torch

from ..components import Family
from ..data import EVERY, Rows, TensorRows
from ..errors import NotClosedForm
from ..learning.fit import learn
from ..learning.methods.em import EM
from ..mixture import Mixture

__all__ = ["first_fit"]

_RESTARTS = 8


def first_fit(rows: Rows, family: Family, components: int) -> Mixture | None:
    """Returns a fit to rows as they were recorded; where that is beyond EM, to whole rows taken as they are.

    It is none for a density written by hand, which nothing but its priors knows.

    Raises:
        MixtureError: If the rows cannot be fitted.
    """
    rows = rows.labelled(EVERY) if components == 1 else rows
    for some in (rows, _taken_as_they_are(rows)):
        try:
            return learn(some, EM(), family, None, components, _RESTARTS, torch.Generator().manual_seed(0)).mixture
        except NotClosedForm:
            continue
    return None


def _taken_as_they_are(rows: Rows) -> TensorRows:
    """The rows without gaps, as if nothing stood between a draw and its record."""
    x = rows.tensor()
    whole = x.reshape(len(x), -1).isfinite().all(-1).nonzero().squeeze(-1)
    some = rows.take(whole)
    return TensorRows(some.tensor(), some.weight, rows.columns)
