"""Immutable values made of tensors, other values and plain settings.

Components, covariance structures, priors and mixtures are such values. Moving one to a device, indexing its batch,
choosing between two elementwise, saving and loading are then written once, here, instead of once per class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from .errors import refuse

__all__ = ["Value", "permuted", "registry"]

registry: dict[str, type[Value]] = {}


@dataclass(frozen=True, eq=False, repr=False)
class Value:
    """An immutable record whose fields are tensors, values, tuples of them, or plain settings."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        registry[cls.tag()] = cls

    @classmethod
    def tag(cls) -> str:
        """Returns the name under which files know the class: a class from elsewhere never stands for one of ours."""
        ours = cls.__module__.split(".")[0] == __name__.split(".")[0]
        return cls.__qualname__ if ours else f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def _of(cls, **values: Any) -> Self:
        """Builds a value from its fields without validation: for inner code that trusts its inputs."""
        new = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(new, name, value)
        return new

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _replace(self, **changes: Any) -> Self:
        return self._of(**{**self._fields(), **changes})

    def _take(self, axis: int, index: Any, size: int) -> Self:
        """Indexes one dimension, of this size, of every tensor but those that are shared along it."""
        at = (slice(None),) * axis + (index,)

        def pick(value: Any) -> Any:
            if isinstance(value, Value):
                return value._take(axis, index, size)
            return _map(lambda t: t if size != 1 and t.shape[axis] == 1 else t[at], value)

        return self._of(**{name: pick(value) for name, value in self._fields().items()})

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Returns the same value with ``function`` applied to each of its tensors.

        Arguments:
            function: A function from tensor to tensor.

        Example:
            >>> mx.Normal(torch.zeros(2), torch.ones(2)).map(lambda t: t + 1).loc
            tensor([1., 1.])
        """
        return self._of(**{name: _map(function, value) for name, value in self._fields().items()})

    def tensors(self) -> Iterator[Tensor]:
        """Iterates over the tensors of the value, depth first in the order of the fields."""
        for value in self._fields().values():
            yield from _tensors(value)

    def where(self, mask: Tensor, other: Self) -> Self:
        """Chooses ``self`` where ``mask`` (over the leading batch dimensions) holds and ``other`` elsewhere."""
        others = other.tensors()
        return self.map(lambda mine: torch.where(_align(mask, mine), mine, next(others)))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Returns the value on another device or in another floating point type, as ``torch.Tensor.to``.

        Example:
            >>> mx.Normal(torch.zeros(2), torch.ones(2)).to(torch.float64).dtype
            torch.float64
        """
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Self:
        """Returns the value cut from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def requires_grad(self) -> bool:
        """Tells whether any tensor of the value requires a gradient."""
        return any(tensor.requires_grad for tensor in self.tensors())

    @property
    def dtype(self) -> torch.dtype:
        """The floating point type of the value's tensors."""
        return next(self.tensors()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the value's tensors."""
        return next(self.tensors()).device

    def verify(self) -> None:
        """Refuses fields that no constructor makes; what is made without a look at its numbers is looked at here.

        Raises:
            MixtureError: If a field is of another kind than it is declared, or a tensor holds NaN; a class adds what
                else holds of its fields.
        """
        for one in fields(self):
            _verify(one.name, str(one.type), getattr(self, one.name, None))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_describe(value)}" for name, value in self._fields().items())
        return f"{type(self).__name__}({inside})"


def _map(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Value):
        return value.map(function)
    if isinstance(value, tuple):
        return tuple(_map(function, item) for item in value)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Value):
        yield from value.tensors()
    elif isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)


_KINDS: dict[str, tuple[type, ...]] = {
    "Tensor": (Tensor,),
    "Tensor | None": (Tensor, type(None)),
    "bool": (bool,),
    "int": (int,),
    "float | None": (float, int, type(None)),
}


def _verify(name: str, kind: str, value: Any) -> None:
    """Refuses a field that is not what its declaration says, or that holds NaN."""
    if not isinstance(value, _KINDS.get(kind, object)):
        refuse(name, f"a {kind}", type(value).__name__)
    if isinstance(value, Tensor) and bool(value.isnan().any()):
        refuse(name, "free of NaN", "NaN")
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, Value):
            item.verify()


def _align(mask: Tensor, tensor: Tensor) -> Tensor:
    return mask.reshape(mask.shape + (1,) * (tensor.ndim - mask.ndim))


def _describe(value: Any) -> str:
    return f"tensor{tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def permuted(tensor: Tensor, order: Tensor) -> Tensor:
    """Returns a tensor ``(B, K, ...)`` with each entry in its own order ``(B, K)``; what is shared over K as it is."""
    if tensor.ndim < 2 or tensor.shape[1] != order.shape[1]:
        return tensor
    return torch.take_along_dim(tensor, order.reshape(*order.shape, *(1,) * (tensor.ndim - 2)), 1)
