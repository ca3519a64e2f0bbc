"""Writing a mixture, and what is needed to read rows like those it was learned from, to a safetensors file.

The JSON header holds the format's version, a description of the mixture, the names of its columns, how the rows were
recorded, and a checksum of all of it; the tensors are named by their path in the description.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from .._value import Value
from .._writing import whole_file
from ..errors import refuse
from .checksum import checksum
from .description import describe
from .verifying import verify

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["FORMAT", "KEY", "described", "save"]

FORMAT = 3  # 1 did not say how rows were recorded, and 2 had no checksum
KEY = "mixtura"


def save(mixture: Mixture, path: str | Path, recording: Value | None = None) -> None:
    """Writes a mixture, the names of its columns, and how its rows were recorded; complete or not at all.

    Raises:
        MixtureError: If no file can be written there, or parameters are such that no file could be read again.
    """
    verify(mixture)
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {"format": FORMAT, **described(mixture, recording, tensors), "columns": mixture.columns}
    header["checksum"] = checksum(header, tensors)
    with whole_file(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={KEY: json.dumps(header)})
        except SafetensorError as error:
            refuse("path", "a file that can be written", f"{path}, where {error}", "Is the disk full?")


def described(mixture: Mixture, recording: Value | None, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Returns the description of a mixture and of how its rows were recorded, and files their tensors."""
    tree = {name: describe(getattr(mixture, name), name, tensors) for name in ("logits", "components")}
    return {"mixture": tree, "recording": describe(recording, "recording", tensors)}
