r"""A log-density and its gradient as one program: a head, a loop over the rows of each table, and a tail.

The gradient of a sum over rows by what a row is given, :math:`\eta(\theta)`, is a sum over rows, too (for mixtures this
is Fisher's identity); what all rows have in common comes out of the sum, and the chain rule through :math:`\eta` is
gone through once, after the rows:

.. math:: \nabla \log p(\theta) = \nabla h + \Big(\sum_n \frac{\partial \ell_n}{\partial \eta}\Big)
          \frac{\partial \eta}{\partial \theta} .
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .pullbacks import adjoints
from .tape import PARAMETER, ROW, Node, Tape
from .values import VALUES

__all__ = ["Loop", "Program", "evaluated", "needed"]


@dataclass
class Loop:
    """The rows of one table: its columns, and what is summed over rows."""

    tape: Tape
    number: int
    columns: Sequence[Tensor]
    weight: Node
    sums: list[Node] = field(default_factory=list)
    _known: dict[Node, tuple[Node, Node]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return len(self.columns[0]) if self.columns else 0

    def total(self, node: Node) -> Node:
        """The sum of a number over the rows, which have their weight in it already."""
        common, each = self._split(node)
        if not each.needs & PARAMETER:
            (values,) = evaluated([each], self)
            return common * float(values.expand(self.rows).sum())
        if each not in self.sums:
            self.sums.append(each)
        return common * self.tape.leaf("sum", self.number, self.sums.index(each))

    def _split(self, node: Node) -> tuple[Node, Node]:
        """What all rows have in common, times what each has of its own."""
        if node not in self._known:
            self._known[node] = self._factors(node)
        return self._known[node]

    def _factors(self, node: Node) -> tuple[Node, Node]:
        one = self.tape.lifted(1.0)
        if not node.needs & ROW:
            return node, one
        if node.op == "neg":
            common, each = self._split(node.args[0])
            return -common, each
        if node.op == "mul":
            (common, each), (also, other) = map(self._split, node.args)
            return (one, node) if common is one and also is one else (common * also, each * other)
        return one, node


@dataclass(frozen=True)
class Program:
    """What is computed: a value and its gradient, from parameters and sums over rows."""

    tape: Tape
    value: Node
    gradient: tuple[Node, ...]
    loops: tuple[Loop, ...]

    @classmethod
    def of(cls, tape: Tape, parameters: Sequence[Node], head: Node, loops: Sequence[Loop], rows: list[list[Node]]):
        """The program of a log-density: a head, and for each table what a row adds."""
        given: list[tuple[Node, Node]] = [(head, tape.lifted(1.0))]
        value = head
        for loop, each in zip(loops, rows, strict=True):
            for node in each:
                value = value + loop.total(loop.weight * node)
            found = adjoints([(node, loop.weight) for node in each], PARAMETER | ROW)
            shared = [(node, share) for node, share in found.items() if not node.needs & ROW]
            given += [(node, loop.total(share)) for node, share in shared]
        found = adjoints(given, PARAMETER)
        nothing = tape.lifted(0.0)
        return cls(tape, value, tuple(found.get(one, nothing) for one in parameters), tuple(loops))

    @property
    def results(self) -> list[Node]:
        """The value and the gradient."""
        return [self.value, *self.gradient]


def needed(results: Sequence[Node]) -> list[Node]:
    """All that results are computed from, and themselves, in an order in which they can be computed."""
    met: set[Node] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node not in met:
            met.add(node)
            waiting.extend(node.inner)
    return sorted(met, key=lambda one: one.index)


def evaluated(results: Sequence[Node], loop: Loop) -> list[Tensor]:
    """The values of nodes that need rows alone, for all rows, in torch."""
    found: dict[Node, Tensor] = {}
    for node in needed(results):
        found[node] = _leaf(node, loop) if not node.inner else VALUES[node.op](*(found[one] for one in node.args))
    return [found[node].to(torch.float64) for node in results]


def _leaf(node: Node, loop: Loop) -> Tensor:
    if node.op == "column":
        return loop.columns[node.args[1]]
    return torch.tensor(1.0 if node.value is None else node.value, dtype=torch.float64)
