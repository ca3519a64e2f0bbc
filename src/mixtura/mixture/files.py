"""Reading what `Mixture.save` and `Fit.save` wrote: the mixture, its columns, and how its rows were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import FileFormatError, MixtureError, refuse
from .checksum import checksum
from .description import build
from .saving import FORMAT, KEY, described
from .value import Mixture
from .verifying import verify

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
    path = Path(path)
    header, tensors = _read(path)
    try:
        model = _built(header, tensors)
        told: dict[str, Tensor] = {}
        _check_told(header, described(*model, told) | {"columns": model.mixture.columns}, set(tensors) - set(told))
        return model
    except _DAMAGE as error:
        raise _damaged(path, error if isinstance(error, MixtureError) else f"header: {error!r}") from error


def _built(header: dict[str, Any], tensors: dict[str, Tensor]) -> Model:
    """The model that a header and tensors describe; any error of `_DAMAGE` where they describe none."""
    tree = header["mixture"]
    mixture = Mixture._of(build(tree["logits"], tensors), build(tree["components"], tensors))
    verify(mixture)
    recording = build(header.get("recording", {"value": None}), tensors)
    if recording is not None:
        recording.verify()
        recording.features(mixture.components)
    return Model(mixture.named(header.get("columns")), recording)


def _check_told(header: dict[str, Any], again: dict[str, Any], spare: set[str]) -> None:
    """Refuses what a file says beyond what its model says of itself: unknown fields, and tensors nobody asked for."""
    unknown = sorted(set(header) - {"format", "checksum", *again})
    if unknown or spare:
        refuse("file", "free of unknown entries", ", ".join([*unknown, *sorted(spare)]))
    again = json.loads(json.dumps(again))
    for name in set(header) & set(again):
        if not _within(header[name], again[name]):
            refuse("file", f"a description of a model under {name!r}", "fields that are unknown, or of another kind")


def _within(told: Any, again: Any) -> bool:
    """Whether all that was told is said again; fields that were added since may be absent."""
    if isinstance(told, dict) and isinstance(again, dict):
        return all(key in again and _within(value, again[key]) for key, value in told.items())
    if isinstance(told, list) and isinstance(again, list):
        return len(told) == len(again) and all(map(_within, told, again))
    return type(told) is type(again) and told == again


_DAMAGE = (KeyError, TypeError, AttributeError, ValueError, IndexError, RuntimeError, NotImplementedError)


def _damaged(path: Path, wrong: object) -> FileFormatError:
    return FileFormatError(f"{path} does not hold a whole model. {wrong} Save the mixture again, or take a copy.")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            header = _checked_header(path, text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise FileFormatError(
            f"{path} is not a complete safetensors file ({error}). Save the mixture again."
        ) from error
    if ("checksum" in header or header["format"] > 2) and header.get("checksum") != checksum(header, tensors):
        raise _damaged(path, "Its checksum differs from its contents.")
    return header, tensors


def _checked_header(path: Path, text: str | None) -> dict[str, Any]:
    if text is None:
        raise FileFormatError(f"{path} is a safetensors file, but not one that Mixtura wrote: it lacks our header.")
    try:
        header = json.loads(text)
        version = int(header["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "Its header is damaged.") from error
    if version > FORMAT:
        raise FileFormatError(
            f"{path} has format {version}; this version of Mixtura reads up to {FORMAT}. Upgrade Mixtura to open it."
        )
    return header | {"format": version}
