"""A line on stderr when something of ours is compiled, once in a process: it takes a moment, and is kept on disk."""

import sys
from functools import lru_cache

__all__ = ["tell"]


@lru_cache
def tell() -> None:
    """Says so, the first time."""
    print("mixtura: compiling for this machine, once; this takes a moment.", file=sys.stderr, flush=True)
