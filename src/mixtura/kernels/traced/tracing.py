"""What torch does while a function runs, written down on a tape.

The function runs on one example, and each operation of torch is answered twice: by torch, and by its rule on nodes.
An operation without a rule, or a look at a number, ends it: `Untraceable` names the operation. A look at the data alone
is answered for all rows together, as torch would; a look at another truth is remembered, and `turned` is the number of
one that is answered the other way round, to see what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .arrays import Array, lifted
from .rules import RULES
from .rules.shapes import index, index_put
from .tape import ROW, Node, Tape, Untraceable

__all__ = ["Tracer"]

_MOST_NODES = 60_000
_MOST_VIEWED = 4_096


class Tracer(TorchDispatchMode):
    """While it is entered, operations on tensors that it knows are written down."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares the import of torch's own compiler, which takes seconds, for what it would not be asked."""
        return False

    def __init__(self, tape: Tape, turned: int = -1) -> None:
        super().__init__()
        self.tape, self._turned = tape, turned
        self.looks: list[tuple[Node, bool]] = []
        self.asked: Callable[[Node], Tensor] = _unknown
        self._folds: dict[int, Callable[[Tensor], Tensor]] = {}  # truths that were taken together over entries
        self._arrays: dict[int, tuple[Tensor, Array | None]] = {}  # tensors are held, so no other one takes their place

    def know(self, tensor: Tensor, nodes: Array | None) -> Tensor:
        """Says which nodes a tensor stands for."""
        self._arrays[id(tensor)] = tensor, nodes
        return tensor

    def nodes(self, tensor: Tensor) -> Array:
        """The nodes of a tensor."""
        if id(tensor) not in self._arrays:
            self.know(tensor, lifted(self.tape, tensor))
        found = self._arrays[id(tensor)][1]
        if found is None:
            raise Untraceable("The function uses a place or a count that depends on a number that is not known.")
        return found

    def answer(self, tensor: Tensor, node: Node) -> bool:
        """A truth that the function looks at; of data alone it is asked of all rows: are there gaps anywhere?"""
        if not node.truth:
            _unknown(node)
        if node.needs != ROW:
            self.looks.append((node, bool(tensor)))
            return bool(tensor) != (len(self.looks) - 1 == self._turned)
        found = self.asked(node) != 0
        if bool(found.all()) != bool(found.any()) and id(tensor) not in self._folds:
            _unknown(node)
        return bool(self._folds.get(id(tensor), torch.any)(found))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, writes = func._schema.name.split("::")[-1], func._schema.is_mutable
        if not self._concerned([*args, *kwargs.values()], func):
            return func(*args, **kwargs)
        if name in _ANSWERS:
            return _ANSWERS[name](self, args[0])
        found = func(*args, **kwargs)
        if name in _MADE_NEW:
            return found
        made = self._made(name.removesuffix("_") if writes else name, args, kwargs)
        if writes:
            self.nodes(kwargs["out"] if "out" in kwargs else args[0])[...] = self._lifted(made)
        else:
            self._remember(func, found, made)
        return found

    def _concerned(self, given: list[Any], func: Any) -> bool:
        """Whether any tensor is known; views of constants are followed, too, for what may be written to them."""
        flat = [one for each in given for one in (each if isinstance(each, (list, tuple)) else [each])]
        tensors = [one for one in flat if isinstance(one, Tensor)]
        known = any(id(one) in self._arrays for one in tensors)
        return known or (func.is_view and sum(one.numel() for one in tensors) <= _MOST_VIEWED)

    def _made(self, name: str, args: Any, kwargs: Any) -> Any:
        given = [self._given(one) for one in args]
        options = {key: self._given(one) for key, one in kwargs.items() if key not in _OPTIONS}
        if name in _PLACED:
            truths = [one is not None and one.dtype == torch.bool for one in args[1]]
            return _PLACED[name](given, truths)
        if name not in RULES:
            raise Untraceable(f"The operation {name} of torch has no rule.")
        try:
            with np.errstate(all="ignore"):
                made = RULES[name](*given, **options)
        except (TypeError, IndexError, AttributeError) as error:
            raise Untraceable(f"The operation {name} of torch has no rule for how it was called: {error}.") from error
        if len(self.tape.nodes) > _MOST_NODES:
            raise Untraceable("The function is too long to be written out.")
        return made

    def _given(self, one: Any) -> Any:
        if isinstance(one, Tensor):
            return self.nodes(one)
        if isinstance(one, (list, tuple)) and any(isinstance(each, Tensor) for each in one):
            return [None if each is None else self.nodes(each) for each in one]
        return one

    def _lifted(self, made: Any) -> Array:
        return np.asarray(np.frompyfunc(self.tape.lifted, 1, 1)(made), object)

    def _remember(self, func: Any, found: Any, made: Any) -> None:
        name = func._schema.name.split("::")[-1]
        if name in _FOLDS:
            self._folds[id(found)] = _FOLDS[name]
        pairs = zip(found, made, strict=True) if isinstance(found, (list, tuple)) else [(found, made)]
        for tensor, nodes in pairs:
            if nodes is not None and np.shape(nodes) != tuple(tensor.shape):
                raise Untraceable(f"The rule of {func} gives {np.shape(nodes)}, and torch gives {tuple(tensor.shape)}.")
            self.know(tensor, None if nodes is None else nodes if func.is_view else self._lifted(nodes))


_OPTIONS = frozenset({"out", "dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "sparse_grad"})


def _unknown(node: Node) -> Tensor:
    raise Untraceable("The function looks at a number to decide how to go on.")


def _looked_at(tracer: Tracer, tensor: Tensor) -> Any:
    (node,) = tracer.nodes(tensor).reshape(-1)
    return tensor.detach().reshape(()).tolist() if node.value is not None else tracer.answer(tensor, node)


def _all_looked_at(tracer: Tracer, tensor: Tensor) -> Tensor:
    if any(node.value is None for node in tracer.nodes(tensor).reshape(-1)):
        raise Untraceable("The function looks at numbers to decide how to go on.")
    return tensor.all()


def _went_well(tracer: Tracer, tensor: Tensor) -> None:
    """Where a factorisation of the machine code goes wrong, a root is not a number, and so is all that follows."""


_FOLDS: dict[str, Callable[[Tensor], Tensor]] = {"any": torch.any, "all": torch.all}
_ANSWERS: dict[str, Callable[[Tracer, Tensor], Any]] = {
    "_local_scalar_dense": _looked_at,
    "_is_all_true": _all_looked_at,
    "_linalg_check_errors": _went_well,
}
_MADE_NEW = frozenset(
    f"{name}{ending}"
    for name, ending in [
        *((one, "_like") for one in ("zeros", "ones", "empty", "full")),
        *((one, "") for one in ("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided")),
    ]
)
_PLACED: dict[str, Callable[[Sequence[Any], Sequence[bool]], Any]] = {
    "index": lambda given, truths: index(given[0], given[1], truths),
    "index_put": lambda given, truths: index_put(given[0], given[1], truths, given[2], any(given[3:])),
}
