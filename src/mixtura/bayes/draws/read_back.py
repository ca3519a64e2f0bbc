"""From ArviZ's data back to tensors, whichever of its versions wrote it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import refuse

__all__ = ["Drawn", "draws_of", "held_of", "parameters_of", "set_of"]

Drawn = Any  # ArviZ's InferenceData, or the DataTree that replaces it


def set_of(idata: Drawn, group: str) -> Any:
    """Returns a group as xarray's data set.

    Raises:
        MixtureError: If it is not there.
    """
    if group not in _groups(idata):
        refuse("idata", f"ArviZ's data with a group `{group}`", ", ".join(_groups(idata)) or "none")
    found = idata[group]
    return found.to_dataset() if hasattr(found, "to_dataset") else found


def _groups(idata: Drawn) -> list[str]:
    """The names of the groups: a method of ArviZ's data, a property of xarray's trees."""
    names = idata.groups if isinstance(idata.groups, tuple) else idata.groups()
    return [name.strip("/") for name in names if name.strip("/")]


def parameters_of(idata: Drawn) -> dict[str, Tensor]:
    """Returns the draws of each parameter, ``(chains, draws, ...)``."""
    return {str(name): torch.tensor(one.values) for name, one in set_of(idata, "posterior").data_vars.items()}


def draws_of(idata: Drawn) -> dict[str, Tensor]:
    """Returns the draws of each parameter chain by chain, ``(chains * draws, ...)``."""
    return {name: value.flatten(0, 1) for name, value in parameters_of(idata).items()}


def held_of(idata: Drawn) -> dict[str, Tensor]:
    """Returns what the model held, in the shape of one draw; ArviZ leaves out a group of nothing."""
    if "constant_data" not in _groups(idata):
        return {}
    return {str(name): torch.tensor(one.values) for name, one in set_of(idata, "constant_data").data_vars.items()}
