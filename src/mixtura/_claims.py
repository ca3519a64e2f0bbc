"""A folder to write in that one process has at a time, beside the place of what is to be written.

The folder ``.NAME.mixtura`` belongs to whoever has locked the file ``.NAME.mixtura-lock``. A lock is made before its
folder and removed after it, and the system opens it when a process ends, however that ends. So a folder whose lock is
open belongs to nobody, and the next process that writes beside it removes it. Where a file system has no locks, the
folder alone tells that somebody writes, and what a killed process leaves is removed by hand.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from .errors import MixtureError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl: Any = None

__all__ = ["OLD", "claimed"]

OLD = "old"
"""The name under which what is to be replaced waits in the folder, and from which it comes back."""

_LOCK = ".mixtura-lock"


class _Claim(NamedTuple):
    """What is to be written, and the folder and lock that stand for it."""

    path: Path

    @property
    def folder(self) -> Path:
        return self.path.with_name(f".{self.path.name}.mixtura")

    @property
    def lock(self) -> Path:
        return self.path.with_name(f".{self.path.name}{_LOCK}")

    def clear(self) -> None:
        """Removes the folder; what was to be replaced comes back where nothing replaced it."""
        if (self.folder / OLD).is_dir() and not self.path.exists():
            os.rename(self.folder / OLD, self.path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Removes folder and lock, in this order."""
        self.clear()
        if not self.folder.exists():
            self.lock.unlink(missing_ok=True)


@contextmanager
def claimed(path: Path, argument: str, wait: bool) -> Iterator[Path]:
    """Yields an empty folder beside ``path`` that no other process has, and removes it at the end.

    Arguments:
        path: What is to be written, in an existing folder.
        argument: What the caller calls it.
        wait: Whether to wait while another process has the folder. Who does not wait cleans up after dead ones.

    Raises:
        MixtureError: If another process has the folder and this one does not wait.
        OSError: If nothing can be written there.
    """
    claim = _Claim(path)
    if not wait:
        _clean(path.parent)
    with _alone(claim, argument, wait):
        try:
            claim.folder.mkdir(0o700)
        except FileExistsError as error:
            advice = f"If no process writes it, remove {claim.folder}."
            raise MixtureError(f"`{argument}` must be free to write; {path} is being written. {advice}") from error
        try:
            try:
                yield claim.folder
            finally:
                claim.clear()
        finally:
            claim.clear()  # once more, where Ctrl-C came meanwhile


@contextmanager
def _alone(claim: _Claim, argument: str, wait: bool) -> Iterator[None]:
    """Holds the lock, where there are locks; what a dead process left under it is cleared."""
    try:
        file = _locked(claim.lock, wait)
    except BlockingIOError as error:
        by = claim.lock.read_text().strip() or "that has just begun"
        advice = "Wait until it is done, or choose another name."
        came = f"{claim.path} is being written by process {by}"
        raise MixtureError(f"`{argument}` must be free to write; {came}. {advice}") from error
    if file is None:
        yield
        return
    try:
        if os.fstat(file).st_size:
            claim.clear()
        os.pwrite(file, f"{os.getpid():<12}".encode(), 0)
        yield
    finally:
        claim.lock.unlink(missing_ok=True)
        os.close(file)


def _locked(lock: Path, wait: bool, create: int = os.O_CREAT) -> int | None:
    """The locked file; none where there are no locks.

    Raises:
        BlockingIOError: If another process has locked it and this one does not wait.
    """
    while fcntl is not None:
        file = os.open(lock, os.O_RDWR | create | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_still(file, lock):
                return file
        except OSError as error:
            os.close(file)
            if isinstance(error, BlockingIOError) or not create:
                raise
            return lock.unlink(missing_ok=True)  # there are no locks here
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # whoever had it has removed it meanwhile
    return None


def _is_still(file: int, lock: Path) -> bool:
    """Whether a path leads to an open file."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), os.stat(lock))
    return False


def _clean(parent: Path) -> None:
    """Removes folders and locks of processes that have ended; what belongs to others or cannot be removed stays."""
    for lock in parent.glob(f".?*{_LOCK}"):
        with suppress(OSError):
            file = _locked(lock, wait=False, create=0)
            if file is not None:
                _Claim(lock.with_name(lock.name[1 : -len(_LOCK)])).release()
                os.close(file)
