"""Reading what `Mixture.save` and `Fit.save` wrote: the mixture, its columns, and how its rows were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import FileFormatError
from .description import build
from .saving import FORMAT, KEY
from .value import Mixture

__all__ = ["Model", "load", "read_model"]


class Model(NamedTuple):
    """A saved mixture, and how the rows were recorded that it was learned from; none where that was not saved."""

    mixture: Mixture
    recording: Any


def load(path: str | Path) -> Mixture:
    """Reads a mixture that `Mixture.save` or `Fit.save` wrote, with the names of its columns.

    Arguments:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: If the file is damaged, is not a mixture, or comes from a newer version of Mixtura.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 1.0]), torch.ones(2)))
        >>> path = getfixture("tmp_path") / "model.safetensors"
        >>> mixture.save(path)
        >>> mx.load(path).components.loc
        tensor([0., 1.])
    """
    return read_model(path).mixture


def read_model(path: str | Path) -> Model:
    """Reads a mixture and how its rows were recorded, one of `mixtura.observation.recording`.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: As `load`.

    Example:
        >>> noise = mx.observation.AdditiveNoise(scale=2.0)
        >>> mx.fit(mx.datasets.old_faithful()[:, 1], 2, observation=noise).save("model.safetensors")
        >>> saved = mx.mixture.read_model("model.safetensors")
        >>> saved.mixture.observed(saved.recording.through).components.batch_shape
        torch.Size([2])
    """
    header, tensors = _read(Path(path))
    try:
        tree = header["mixture"]
        mixture = Mixture._of(build(tree["logits"], tensors), build(tree["components"], tensors))
        return Model(mixture.named(header.get("columns")), build(header.get("recording", {"value": None}), tensors))
    except FileFormatError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileFormatError(f"{path} has a header that does not describe a mixture ({error!r}).") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            header = _checked_header(path, text)
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise FileFormatError(
            f"{path} is not a complete safetensors file ({error}). Save the mixture again."
        ) from error


def _checked_header(path: Path, text: str | None) -> dict[str, Any]:
    if text is None:
        raise FileFormatError(f"{path} is a safetensors file, but not one that Mixtura wrote: it lacks our header.")
    try:
        header = json.loads(text)
        version = int(header["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path} has a damaged header.") from error
    if version > FORMAT:
        raise FileFormatError(
            f"{path} has format {version}; this version of Mixtura reads up to {FORMAT}. Upgrade Mixtura to open it."
        )
    return header
