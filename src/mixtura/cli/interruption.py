"""Ctrl-C, remembered: a library in C may turn the exception that it raises into one of its own."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Interruption"]


class Interruption:
    """Whether Ctrl-C came while it was open. Everything else about Ctrl-C stays as it is.

    Example:
        >>> from mixtura.cli.interruption import Interruption
        >>> with Interruption() as interruption:
        ...     pass
        >>> interruption.came
        False
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # or somebody else owns Ctrl-C
            self._before = signal.signal(signal.SIGINT, self._told)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)
