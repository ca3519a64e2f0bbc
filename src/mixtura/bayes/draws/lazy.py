"""Arrays that are worked out when they are first looked at: large, and often never used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["lazily"]


@dataclass(frozen=True, eq=False)
class _Later:
    """Numbers that are not there yet."""

    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @cached_property
    def values(self) -> np.ndarray[Any, Any]:
        """The numbers, worked out once."""
        return self.make().detach().cpu().double().reshape(self.shape).numpy()


def lazily(shape: tuple[int, ...], make: Callable[[], Tensor]) -> Any:
    """Returns what xarray takes for an array of double precision, by its own door for arrays that come later.

    Arguments:
        shape: The shape, which is known before.
        make: Called at the first use, once; returns a tensor with as many numbers.
    """
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Later(BackendArray):
        """Its base is there only where xarray is."""

        def __init__(self, behind: _Later) -> None:
            self.behind, self.shape, self.dtype = behind, behind.shape, np.dtype("float64")

        def __getitem__(self, key: Any) -> Any:
            basic = indexing.IndexingSupport.BASIC
            return indexing.explicit_indexing_adapter(key, self.shape, basic, self.behind.values.__getitem__)

        def __deepcopy__(self, memo: Any) -> Later:
            return self  # nobody can change it

    return indexing.LazilyIndexedArray(Later(_Later(shape, make)))
