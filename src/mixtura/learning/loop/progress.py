"""A progress bar for long work, by rich where it is installed and silent where nobody asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .run import Report

__all__ = ["bar", "progress_report"]


@contextmanager
def progress_report(wanted: bool, total: int) -> Iterator[Report | None]:
    """Yields a function to call after each iteration, or None where no progress is wanted.

    Raises:
        ImportError: If progress is wanted and rich is not installed.
    """
    with bar(wanted, "fitting", total, "{task.fields[told]:.6f} nats per row", float("nan")) as tell:
        yield tell


@contextmanager
def bar(wanted: bool, what: str, total: int, words: str, first: Any) -> Iterator[Callable[[int, Any], None] | None]:
    """Yields a function to tell how much is done and what is shown beside it, or None where no bar is wanted.

    Arguments:
        wanted: Whether there is to be a bar.
        what: What goes on.
        total: How much there is to do.
        words: What is shown beside the bar, as rich has it, with what is told as ``task.fields[told]``.
        first: What is told before anything is done.

    Raises:
        ImportError: If a bar is wanted and rich is not installed.
    """
    if not wanted:
        yield None
        return
    try:
        from rich.progress import Progress, TextColumn
    except ImportError as error:
        raise ImportError("`progress=True` needs rich: pip install 'mixtura[cli]'.") from error
    with Progress(*Progress.get_default_columns(), TextColumn(words), transient=True) as shown:
        task = shown.add_task(what, total=total, told=first)
        yield lambda done, told: shown.update(task, completed=done, told=told)
