"""A bar for chains under way, by rich where it is installed and silent where nobody asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["sampling_bar"]


@contextmanager
def sampling_bar(wanted: bool, total: int) -> Iterator[Callable[[int, list[int]], None] | None]:
    """Yields a function to tell how many draws there are and how many diverged, or None where no bar is wanted.

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
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[diverged]} divergences"))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("sampling", total=total, diverged=0)
        yield lambda done, diverged: bar.update(task, completed=done, diverged=sum(diverged))
