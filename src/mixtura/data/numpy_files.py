"""NumPy's own files: one array, mapped into memory, or an archive of arrays by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.errors import MixtureError

__all__ = ["array_names", "arrays_of", "mapped"]


def mapped(path: Path) -> np.ndarray:
    """The array of an .npy file, which stays on disk; MixtureError for a damaged file."""
    with _reading(path):
        return np.lib.format.open_memmap(path, mode="r")


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; MixtureError for a damaged file."""
    with _archive(path) as archive:
        return dict(archive)


def array_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays of an .npz file; MixtureError for a damaged file."""
    with _archive(path) as archive:
        return tuple(archive.files)


@contextmanager
def _archive(path: Path) -> Iterator[Any]:
    with _reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        yield archive


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns NumPy's complaint about a file into a MixtureError that names the file."""
    try:
        yield
    except Exception as error:  # of damaged bytes its parsers say what they happen to meet
        raise MixtureError(f"`x` must be a file that can be read; got {path}, where {error}") from error
