"""Files and folders that appear complete or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import MixtureError

__all__ = ["whole_file", "whole_folder"]


@contextmanager
def whole_file(path: str | Path, argument: str = "path") -> Iterator[Path]:
    """Yields a temporary path beside ``path``, which takes its place when the block ends without an error.

    Raises:
        MixtureError: If the folder does not exist or cannot be written, or ``path`` is a folder.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise MixtureError(f"`{argument}` must be a file; got the folder {path}. Add a name for the file.")
    with _temporary(path, argument) as folder:
        temporary = folder / path.name
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # some writers make files that only their owner can read
        os.replace(temporary, path)


@contextmanager
def whole_folder(path: str | Path, argument: str = "path") -> Iterator[Path]:
    """Yields an empty temporary folder beside ``path``, which takes its place when the block ends without an error.

    What stood at ``path`` is removed only then: the caller has checked that it may go.

    Raises:
        MixtureError: If the folder that ``path`` lies in does not exist or cannot be written.
    """
    path = Path(path).expanduser()
    with _temporary(path, argument) as folder:
        new, old = folder / "new", folder / "old"
        new.mkdir()
        yield new
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(new, path)
        except BaseException:
            if old.exists():
                os.rename(old, path)
            raise


@contextmanager
def _temporary(path: Path, argument: str) -> Iterator[Path]:
    parent = path.absolute().parent
    if not parent.is_dir():
        raise MixtureError(f"`{argument}` must lie in an existing folder; {parent} is none. Create it first.")
    try:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=f".{path.name}."))
    except OSError as error:
        advice = "Choose another place, or ask for permission to write there."
        raise MixtureError(
            f"`{argument}` must lie in a folder that can be written; {parent} cannot ({error.strerror}). {advice}"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
