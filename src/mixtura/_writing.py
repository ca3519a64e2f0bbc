"""Files and folders that appear complete or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._claims import OLD, claimed
from .errors import MixtureError

__all__ = ["whole_file", "whole_folder"]


@contextmanager
def whole_file(path: str | Path, argument: str = "path", wait: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside ``path``, which takes its place when the block ends without an error.

    Arguments:
        path: The file; one that exists is replaced.
        argument: What the caller calls it.
        wait: Whether to wait while another process writes the same file; to refuse is for long work.

    Raises:
        MixtureError: If the folder does not exist, cannot be written or is full, ``path`` is a folder, or another
            process writes it.
    """
    path = _place(path, argument)
    with _temporary(path, argument, wait) as folder:
        if path.is_dir():
            raise MixtureError(f"`{argument}` must be a file; got the folder {path}. Add a name for the file.")
        temporary = folder / path.name
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # some writers make files that only their owner can read
        os.replace(temporary, path)


@contextmanager
def whole_folder(path: str | Path, argument: str = "path") -> Iterator[Path]:
    """Yields an empty temporary folder beside ``path``, which takes its place when the block ends without an error.

    What stood at ``path`` is removed only then: the caller has checked that it may go.

    Raises:
        MixtureError: If the folder that ``path`` lies in does not exist, cannot be written or is full, or another
            process writes ``path``.
    """
    path = _place(path, argument)
    with _temporary(path, argument, wait=False) as folder:
        new, old = folder / "new", folder / OLD
        new.mkdir()
        yield new
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)


def _place(path: str | Path, argument: str) -> Path:
    """The path from the root; refused where it has no name or lies in no folder."""
    path = Path(path).expanduser().absolute()
    if not path.name:
        raise MixtureError(f"`{argument}` must have a name; got {path}. Add one.")
    return path


@contextmanager
def _temporary(path: Path, argument: str, wait: bool) -> Iterator[Path]:
    """A folder beside ``path`` that is removed at the end; what was renamed away in it comes back after a failure."""
    if not path.parent.is_dir():
        raise MixtureError(f"`{argument}` must lie in an existing folder; {path.parent} is none. Create it first.")
    began = False
    try:
        with claimed(path, argument, wait) as folder:
            began = True
            yield folder
    except OSError as error:
        if began and error.errno not in _FULL:
            raise
        expected = "room" if began else "a folder that can be written"
        came = f"{path} cannot be written ({error.strerror or error})"
        advice = "Choose another place, or make room." if began else "Choose another place, or ask for permission."
        raise MixtureError(f"`{argument}` must lie where there is {expected}; {came}. {advice}") from error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
