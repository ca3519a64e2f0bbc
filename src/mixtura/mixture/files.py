"""Saving and loading mixtures: a safetensors file whose JSON header says what the tensors are.

The header holds the format's version and, nested, the class and plain settings of every value; tensors are named by
their path. Nothing in a file is executed, and only classes that Mixtura knows can be built from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributions import Distribution, Independent

from .._value import Value, registry
from .._writing import whole_file
from ..components.torch_component import _parameters, _settings
from ..errors import FileFormatError, NotClosedForm

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["load", "save"]

FORMAT = 1
_KEY = "mixtura"


def save(mixture: Mixture, path: str | Path) -> None:
    """Writes a mixture and the names of its columns; the file appears complete or not at all."""
    tensors: dict[str, Tensor] = {}
    tree = {"logits": _describe(mixture.logits, "logits", tensors)}
    tree["components"] = _describe(mixture.components, "components", tensors)
    header = {_KEY: json.dumps({"format": FORMAT, "mixture": tree, "columns": mixture.columns})}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(path: str | Path) -> Mixture:
    """Reads a mixture that `Mixture.save` wrote.

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
    from .value import Mixture

    header, tensors = _read(Path(path))
    try:
        tree = header["mixture"]
        mixture = Mixture._of(tensors[tree["logits"]["tensor"]], _build(tree["components"], tensors))
        return mixture.named(header.get("columns"))
    except FileFormatError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileFormatError(f"{path} has a header that does not describe a mixture ({error!r}).") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
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


def _describe(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Turns a value into a nested description, filing its tensors under their paths."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().contiguous().clone()
        return {"tensor": path}
    if isinstance(value, Value):
        inside = {name: _describe(item, f"{path}.{name}", tensors) for name, item in value._fields().items()}
        return {"class": type(value).tag(), "fields": inside}
    if isinstance(value, Independent):
        inside = _describe(value.base_dist, f"{path}.base", tensors)
        return {"independent": inside, "dims": value.reinterpreted_batch_ndims}
    if isinstance(value, Distribution):
        inside = {name: _describe(item, f"{path}.{name}", tensors) for name, item in _parameters(value).items()}
        if not inside or getattr(torch.distributions, type(value).__name__, None) is not type(value):
            raise NotClosedForm(
                f"A {type(value).__name__} distribution cannot be saved: only torch's own, plain ones can."
            )
        settings = {name: {"value": setting} for name, setting in _settings(value).items()}
        return {"torch": type(value).__name__, "fields": inside | settings}
    if isinstance(value, tuple):
        return {"tuple": [_describe(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]}
    return {"value": value}


def _build(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "tuple" in tree:
        return tuple(_build(item, tensors) for item in tree["tuple"])
    if "value" in tree:
        return tree["value"]
    if "independent" in tree:
        return Independent(_build(tree["independent"], tensors), tree["dims"])
    fields = {name: _build(item, tensors) for name, item in tree["fields"].items()}
    if "torch" in tree:
        return _torch_class(tree["torch"])(**fields)
    if tree["class"] not in registry:
        raise FileFormatError(f"The file needs the class {tree['class']!r}; import the module that defines it first.")
    return registry[tree["class"]]._of(**fields)


def _torch_class(name: str) -> type[Distribution]:
    found = getattr(torch.distributions, name, None)
    if not (isinstance(found, type) and issubclass(found, Distribution)):
        raise FileFormatError(f"The file names {name!r}, which is not a torch distribution.")
    return found
