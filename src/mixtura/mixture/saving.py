"""Writing a mixture, and what is needed to read rows like those it was learned from, to a safetensors file.

The JSON header holds the format's version, a description of the mixture, the names of its columns, and how the rows
were recorded; the tensors are named by their path in the description.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor

from .._value import Value
from .._writing import whole_file
from .description import describe

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["FORMAT", "KEY", "save"]

FORMAT = 2  # 1 did not say how rows were recorded
KEY = "mixtura"


def save(mixture: Mixture, path: str | Path, recording: Value | None = None) -> None:
    """Writes a mixture, the names of its columns, and how its rows were recorded; complete or not at all."""
    tensors: dict[str, Tensor] = {}
    tree = {name: describe(getattr(mixture, name), name, tensors) for name in ("logits", "components")}
    header = {"format": FORMAT, "mixture": tree, "columns": mixture.columns}
    header["recording"] = describe(recording, "recording", tensors)
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: json.dumps(header)})
