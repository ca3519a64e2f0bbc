"""Numba tells when it compiles something of ours."""

from functools import lru_cache
from typing import Any

from numba.core import event

from ..telling import tell

__all__ = ["listen"]

_OURS = __name__.rpartition(".")[0]


class _Listener(event.Listener):
    """Hears of all that numba compiles, but not of what it finds on disk."""

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(_OURS):
            tell()

    def on_end(self, event: Any) -> None:
        pass


@lru_cache
def listen() -> None:
    """From now on."""
    event.register("numba:compile", _Listener())
