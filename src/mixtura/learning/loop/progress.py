"""A progress bar for long work, by rich where it is installed and silent where nobody asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .run import Report

__all__ = ["progress_report"]


@contextmanager
def progress_report(wanted: bool, total: int) -> Iterator[Report | None]:
    """Yields a function to call after each iteration, or None where no progress is wanted.

    Raises:
        ImportError: If progress is wanted and rich is not installed.
    """
    if not wanted:
        yield None
        return
    try:
        from rich.progress import Progress, TextColumn
    except ImportError as error:
        raise ImportError("`progress=True` needs rich: pip install 'mixtura[cli]'.") from error
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[objective]:.6f} nats per row"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("fitting", total=total, objective=float("nan"))
        yield lambda iteration, objective: bar.update(task, completed=iteration, objective=objective)
