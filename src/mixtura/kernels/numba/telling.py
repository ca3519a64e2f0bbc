"""A line on stderr when something of ours is compiled, once in a process: it takes seconds, and is kept on disk."""

import sys
from functools import lru_cache
from typing import Any

from numba.core import event

__all__ = ["tell"]

_OURS = __name__.rpartition(".")[0]


class _Told(event.Listener):
    """Hears of all that numba compiles, but not of what it finds on disk."""

    told = False

    def on_start(self, event: Any) -> None:
        if not self.told and event.data["dispatcher"].py_func.__module__.startswith(_OURS):
            self.told = True
            print("mixtura: compiling for this machine, once; this takes some seconds.", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


@lru_cache
def tell() -> None:
    """From now on."""
    event.register("numba:compile", _Told())
