"""Values as nested descriptions and named tensors, and back: what a file holds.

A description is a dictionary that JSON can hold: the class of every value and its plain settings; tensors are named by
their path. Nothing in it is executed, and only classes that Mixtura knows can be built from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from .._value import Value, registry
from ..components.torch_component import _parameters, _settings
from ..errors import FileFormatError, NotClosedForm

__all__ = ["build", "describe"]


def describe(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Returns a nested description of a value, and files its tensors under their paths.

    Raises:
        NotClosedForm: If it holds a distribution that is none of torch's own.
    """
    if isinstance(value, Tensor):
        tensors[path] = value.detach().contiguous().clone()
        return {"tensor": path}
    if isinstance(value, Value):
        inside = {name: describe(item, f"{path}.{name}", tensors) for name, item in value._fields().items()}
        return {"class": type(value).tag(), "fields": inside}
    if isinstance(value, Independent):
        inside = describe(value.base_dist, f"{path}.base", tensors)
        return {"independent": inside, "dims": value.reinterpreted_batch_ndims}
    if isinstance(value, Distribution):
        inside = {name: describe(item, f"{path}.{name}", tensors) for name, item in _parameters(value).items()}
        if not inside or getattr(torch.distributions, type(value).__name__, None) is not type(value):
            raise NotClosedForm(
                f"A {type(value).__name__} distribution cannot be saved: only torch's own, plain ones can."
            )
        settings = {name: {"value": setting} for name, setting in _settings(value).items()}
        return {"torch": type(value).__name__, "fields": inside | settings}
    if isinstance(value, tuple):
        return {"tuple": [describe(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]}
    return {"value": value}


def build(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Builds what was described.

    Raises:
        FileFormatError: If it names a class that is not known.
    """
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "tuple" in tree:
        return tuple(build(item, tensors) for item in tree["tuple"])
    if "value" in tree:
        return tree["value"]
    if "independent" in tree:
        return Independent(build(tree["independent"], tensors), tree["dims"])
    fields = {name: build(item, tensors) for name, item in tree["fields"].items()}
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
