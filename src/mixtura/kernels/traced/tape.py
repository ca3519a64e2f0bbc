r"""A function of numbers, written down as a graph: each node is one operation on nodes before it.

Equal nodes are one node, and what is constant is computed when it is written. Each node knows what it needs: the
parameters (known once a call), a row of data (once a row), its weight, or sums over rows (once a call, after the rows).
So a log-density falls into a head, a loop and a tail by itself:

.. math:: \log p(\theta) = h(\theta) + \sum_n \ell(\eta(\theta), T(x_n)) .
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch

from ...errors import MixtureError
from .values import TRUTHS, VALUES

__all__ = [
    "PARAMETER",
    "ROW",
    "SUM",
    "WEIGHT",
    "Node",
    "Tape",
    "Untraceable",
    "chosen",
    "larger",
    "power",
    "smaller",
]

PARAMETER: Final = 1
ROW: Final = 2
SUM: Final = 4
WEIGHT: Final = 8

_LEAVES = {"constant": 0, "parameter": PARAMETER, "column": ROW, "weight": ROW | WEIGHT, "sum": PARAMETER | SUM}


class Untraceable(MixtureError):
    """A function that cannot be written as a graph of numbers; the message says at which operation."""


class Node:
    """A number that is known later; arithmetic on it writes down more."""

    __slots__ = ("tape", "op", "args", "index", "needs", "value")

    def __init__(self, tape: Tape, op: str, args: tuple[Any, ...], needs: int, value: float | None) -> None:
        self.tape, self.op, self.args, self.needs, self.value = tape, op, args, needs, value
        self.index = len(tape.nodes)

    @property
    def inner(self) -> tuple[Node, ...]:
        """The nodes that this one is computed from."""
        return () if self.op in _LEAVES else self.args

    @property
    def truth(self) -> bool:
        """Whether its value is true or false."""
        return self.op in TRUTHS

    def __add__(self, other: Any) -> Node:
        other = self.tape.lifted(other)
        return self | other if self.truth and other.truth else _sum(_number(self), _number(other))

    def __radd__(self, other: Any) -> Node:
        return self.tape.lifted(other) + self

    def __sub__(self, other: Any) -> Node:
        return _difference(_number(self), _number(self.tape.lifted(other)))

    def __rsub__(self, other: Any) -> Node:
        return self.tape.lifted(other) - self

    def __mul__(self, other: Any) -> Node:
        other = self.tape.lifted(other)
        return self & other if self.truth and other.truth else _product(_number(self), _number(other))

    def __rmul__(self, other: Any) -> Node:
        return self.tape.lifted(other) * self

    def __truediv__(self, other: Any) -> Node:
        return _ratio(_number(self), _number(self.tape.lifted(other)))

    def __rtruediv__(self, other: Any) -> Node:
        return self.tape.lifted(other) / self

    def __neg__(self) -> Node:
        return _negative(_number(self))

    def __lt__(self, other: Any) -> Node:
        return self.tape.node("lt", _number(self), _number(self.tape.lifted(other)))

    def __le__(self, other: Any) -> Node:
        return self.tape.node("le", _number(self), _number(self.tape.lifted(other)))

    def __gt__(self, other: Any) -> Node:
        return self.tape.lifted(other) < self

    def __ge__(self, other: Any) -> Node:
        return self.tape.lifted(other) <= self

    def same(self, other: Node) -> Node:
        """Whether two numbers are equal."""
        return self.tape.node("eq", _number(self), _number(other))

    def differs(self, other: Node) -> Node:
        """Whether two numbers are not equal, as not-a-number is not to itself."""
        return self.tape.node("ne", _number(self), _number(other))

    def __and__(self, other: Node) -> Node:
        one, rest = (self, other) if self.value is not None else (other, self)
        if one.value is not None:
            return _truth(rest) if one.value else self.tape.lifted(0.0)
        return self.tape.node("both", _truth(self), _truth(other))

    def __or__(self, other: Node) -> Node:
        one, rest = (self, other) if self.value is not None else (other, self)
        if one.value is not None:
            return self.tape.lifted(1.0) if one.value else _truth(rest)
        return self.tape.node("either", _truth(self), _truth(other))

    def __invert__(self) -> Node:
        return self.tape.node("not", _truth(self))

    def of(self, op: str, *others: Node) -> Node:
        """An operation on this number, and perhaps on more."""
        return self.tape.node(op, _number(self), *others)


class Tape:
    """The nodes of a function, in an order in which they can be computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Any, Node] = {}

    def leaf(self, op: str, *key: int) -> Node:
        """A parameter, a column of a table, the weight of a row, or a sum over rows, by its numbers."""
        return self._kept(op, key, _LEAVES[op], None, (op, key))

    def lifted(self, number: Any) -> Node:
        """A node of this tape, for a number of Python's."""
        if isinstance(number, (int, float)):
            value = float(number)
            key = "constant", value, math.copysign(1.0, value)
            return self._kept("constant", (), 0, value, key)
        return number

    def node(self, op: str, *args: Node) -> Node:
        """An operation on nodes; on constants it is done at once."""
        if all(one.value is not None for one in args):
            return self.lifted(_computed(op, [one.value for one in args]))
        needs = 0
        for one in args:
            needs |= one.needs
        return self._kept(op, args, needs, None, (op, *(one.index for one in args)))

    def _kept(self, op: str, args: tuple[Any, ...], needs: int, value: float | None, key: Any) -> Node:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Node(self, op, args, needs, value)
            self.nodes.append(found)
        return found


_QUICK: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def _computed(op: str, values: list[Any]) -> float:
    if op in _QUICK:
        return float(_QUICK[op](*values))
    return float(VALUES[op](*(torch.tensor(one, dtype=torch.float64) for one in values)))


def _number(node: Node) -> Node:
    """True is one and false is zero, where numbers are asked for."""
    return node.tape.node("select", node, node.tape.lifted(1.0), node.tape.lifted(0.0)) if node.truth else node


def _truth(node: Node) -> Node:
    return node if node.truth or node.value is not None else node.differs(node.tape.lifted(0.0))


def _sum(a: Node, b: Node) -> Node:
    if a.value == 0:
        return b
    if b.value == 0:
        return a
    if b.op == "neg":
        return a - b.args[0]
    if a.op == "neg":
        return b - a.args[0]
    return _gathered(a, b) or _gathered(b, a) or a.tape.node("add", *_ordered(a, b))


def _gathered(a: Node, b: Node) -> Node | None:
    """a + b, where a is a sum of what a row needs and what it does not, and b can join the latter."""
    if b.needs & ROW or a.op not in ("add", "sub") or not a.needs & ROW:
        return None
    one, other = a.args
    if not other.needs & ROW:
        return one + (other + b if a.op == "add" else b - other)
    if not one.needs & ROW:
        return (one + b) + other if a.op == "add" else (one + b) - other
    return None


def _difference(a: Node, b: Node) -> Node:
    if b.value == 0:
        return a
    if a.value == 0:
        return -b
    if b.op == "neg":
        return a + b.args[0]
    return (_gathered(a, -b) if not b.needs & ROW else None) or a.tape.node("sub", a, b)


def _product(a: Node, b: Node) -> Node:
    if b.value is not None:
        a, b = b, a
    if a.value in _TIMES:
        return _TIMES[a.value](b)
    if a.op == "neg":
        return -(a.args[0] * b)
    if b.op == "neg":
        return -(a * b.args[0])
    return _scaled(a, b) or _scaled(b, a) or a.tape.node("mul", *_ordered(a, b))


def _scaled(a: Node, b: Node) -> Node | None:
    """a b, where a is a product of what a row needs and what it does not, and b can join the latter."""
    if b.needs & ROW or a.op != "mul" or not a.needs & ROW:
        return None
    one, other = a.args
    if not other.needs & ROW:
        return one * (other * b)
    return (one * b) * other if not one.needs & ROW else None


_TIMES: dict[float | None, Callable[[Node], Node]] = {
    0.0: lambda b: b.tape.lifted(0.0),
    1.0: lambda b: b,
    -1.0: lambda b: -b,
}


def _ratio(a: Node, b: Node) -> Node:
    if b.value in (1.0, -1.0):
        return a * b
    if a.value == 0:
        return a
    if a.op == "neg":
        return -(a.args[0] / b)
    if a.needs & ROW and not b.needs & ROW:
        return a * (a.tape.lifted(1.0) / b)  # a division once a call, and a product a row
    return a.tape.node("div", a, b)


def _negative(a: Node) -> Node:
    if a.op == "neg":
        return a.args[0]
    return a.args[1] - a.args[0] if a.op == "sub" else a.tape.node("neg", a)


def _ordered(a: Node, b: Node) -> tuple[Node, Node]:
    return (a, b) if a.index <= b.index else (b, a)


def chosen(truth: Node, one: Node, other: Node) -> Node:
    """One number where something is true, another where it is false."""
    if truth.value is not None:
        return one if truth.value else other
    if one is other:
        return one
    if one.truth and other.truth:
        return (truth & one) | (~truth & other)
    return truth.tape.node("select", _truth(truth), _number(one), _number(other))


def larger(a: Node, b: Node) -> Node:
    """The larger of two numbers, and not a number where either is not."""
    return a if a is b else _number(a).of("maximum", _number(b))


def smaller(a: Node, b: Node) -> Node:
    """The smaller of two numbers, and not a number where either is not."""
    return a if a is b else _number(a).of("minimum", _number(b))


_SQUARINGS = 64


def power(a: Node, b: Node) -> Node:
    """A power; whole and half ones by products and roots, so that numbers below zero have them too."""
    a, b = _number(a), _number(b)
    if b.value is None:
        return a.of("pow", b)
    if b.value < 0:
        return a.tape.lifted(1.0) / power(a, a.tape.lifted(-b.value))
    if b.value == 0.5:
        return a.of("sqrt")
    return _whole(a, int(b.value)) if b.value == int(b.value) <= _SQUARINGS else a.of("pow", b)


def _whole(a: Node, times: int) -> Node:
    if times < 2:
        return a if times else a.tape.lifted(1.0)
    half = _whole(a, times // 2)
    return half * half * a if times % 2 else half * half
