"""The one pool of threads for work outside of torch: kept between passes, asleep while it waits, new after a fork."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

__all__ = ["in_threads", "workers"]

T = TypeVar("T")


def workers(work: float, grain: float) -> int:
    """How many threads so much work is worth, at a grain for each: torch's number at most."""
    return max(1, min(torch.get_num_threads(), int(work // grain)))


def in_threads(run: Callable[[int, int], T], rows: int, workers: int) -> list[T]:
    """The results of run(begin, end) for equal shares of the rows, in order."""
    if workers == 1:
        return [run(0, rows)]
    edges = [rows * i // workers for i in range(workers + 1)]
    later = _pool(os.getpid()).map(run, edges[1:-1], edges[2:])
    return [run(0, edges[1]), *later]


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads start as they are first needed. A forked process has none of its parent's, so it has its own pool."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="mixtura")
