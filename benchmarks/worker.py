"""One subject in a process of its own: it answers requests for measurements until the pipe closes.

An iterative task is timed as the difference of two numbers of iterations, so that set-up cancels. Each time is the
shortest of a few, for what disturbs a run only ever makes it longer. The first calls warm up; then one gives the peak
memory beyond what the process held before it, and beyond the result.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from . import limits
from .cases import Case

_MOST_ITERATIONS = 50
_REPEATS = 2
_clock = time.perf_counter
_SLOW = 5.0  # seconds of a call that is not repeated


def serve(name: str, busy: bool, pipe: Connection) -> None:
    """Answers requests: a dictionary with what was measured, or with the reason why it could not be."""
    global _clock
    _clock = time.process_time if busy else time.perf_counter
    warnings.simplefilter("ignore")
    prepared: dict[tuple[str, Case], Cell] = {}
    while True:
        try:
            task, case, seconds = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(_answer(name, task, case, seconds, prepared))


def _answer(name: str, task: str, case: Case | None, seconds: float, prepared: dict[Any, Cell]) -> dict[str, Any]:
    try:
        if case is None:
            return limits.measure(_clock)
        if (task, case) not in prepared:
            prepared.clear()  # one cell at a time: its data must not count as another's workspace
            prepared[task, case] = Cell.of(name, task, case, seconds)
        return prepared[task, case].measure()
    except NotImplementedError as error:
        return {"reason": str(error)}
    except Exception as error:
        return {"reason": f"{type(error).__name__}: {error}".splitlines()[0][:160]}


class Cell:
    """A task prepared on a case, warm."""

    def __init__(self, name: str, task: str, case: Case, seconds: float) -> None:
        subject = import_module(f"benchmarks.subjects.{name}")
        make = getattr(subject, task, None)
        if make is None:
            raise NotImplementedError(f"has no {task}")
        if hasattr(subject, "pid") and _clock is time.process_time:
            raise NotImplementedError("works in another process, whose time is not seen here")
        self.run: Callable[..., Any] = make(case)
        self.case = case
        self.found: dict[str, Any] = {}
        self.pid = getattr(subject, "pid", os.getpid)()

    @staticmethod
    def of(name: str, task: str, case: Case, seconds: float) -> Cell:
        cell = (Iterated if task in ITERATED else Called)(name, task, case, seconds)
        cell.prepare(seconds)
        return cell

    def prepare(self, seconds: float) -> None:
        raise NotImplementedError

    def seconds(self) -> float:
        raise NotImplementedError

    def measure(self) -> dict[str, Any]:
        """Seconds of one call or iteration, with what was found in preparation."""
        return {"seconds": self.seconds(), **self.found}


class Iterated(Cell):
    """A task with a number of iterations."""

    def prepare(self, seconds: float) -> None:
        self.run(1)
        peak, result = _peak(self.pid, lambda: self.run(3))
        self.found = {"workspace": peak, "value": result.log_likelihood(self.case.x)}
        each = max((_shortest(lambda: self.run(3)) - _shortest(lambda: self.run(1))) / 2, 1e-5)
        self.count = min(_MOST_ITERATIONS, max(2, math.ceil(seconds / each)))
        self.repeats = 1 if each > seconds else _REPEATS
        if self.count != 2:
            self.run(1 + self.count)  # some compile for each number of iterations

    def seconds(self) -> float:
        short = _shortest(lambda: self.run(1), self.repeats)
        return (_shortest(lambda: self.run(1 + self.count), self.repeats) - short) / self.count


class Called(Cell):
    """A task that is one call."""

    def prepare(self, seconds: float) -> None:
        start = _clock()
        peak, result = _peak(self.pid, self.run)
        self.only = _clock() - start
        self.slow = self.only > _SLOW  # then the first call must do
        if not self.slow:
            peak, result = _peak(self.pid, self.run)
            self.repeats = min(100, max(2, math.ceil(seconds / max(_shortest(self.run), 1e-6))))
        size = math.prod(result.shape) * result.dtype.itemsize / 2**20
        self.found = {
            "workspace": None if peak is None else max(0.0, peak - size),
            "value": float(np.asarray(result, dtype=np.float64).mean()),
        }

    def seconds(self) -> float:
        return self.only if self.slow else _shortest(self.run, self.repeats)


ITERATED = {"em"}


def _shortest(run: Callable[[], Any], repeats: int = 1) -> float:
    times = []
    for _ in range(repeats):
        start = _clock()
        run()
        times.append(_clock() - start)
    return min(times)


def _peak(pid: int, run: Callable[[], Any]) -> tuple[float | None, Any]:
    """The highest resident memory during a call beyond that before it, in MiB; none where the system does not tell."""
    process = Path(f"/proc/{pid}")
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        (process / "clear_refs").write_text("5")  # the high-water mark starts again
        before = _mebibytes(process, "VmRSS")
    except (OSError, AttributeError):
        return None, run()
    result = run()
    return _mebibytes(process, "VmHWM") - before, result


def _mebibytes(process: Path, name: str) -> float:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
