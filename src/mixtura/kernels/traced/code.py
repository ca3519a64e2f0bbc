r"""A program as one function of C, ``int logp(dim, x, gradient, value, data)``, by LLVM.

It answers 0 where value and gradient are finite, above zero where a sampler may go on from elsewhere, and below zero
where it was called wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from llvmlite import ir

from ..native import lanes
from ..native.values import INT, NUMBERS, REAL
from .columns import LANES, Table
from .program import Loop, Program, needed
from .tape import ROW, SUM, Node
from .writing import Lanes, Numbers

__all__ = ["FINE", "MISUSED", "NOT_FINITE", "module"]

FINE, NOT_FINITE, MISUSED = 0, 1, -1
_KIND = ir.FunctionType(INT, [INT, NUMBERS, NUMBERS, NUMBERS, NUMBERS])
_LINE = 64  # bytes to which the columns are aligned


def module(program: Program, tables: Sequence[Table], name: str) -> Any:
    """A module with a function of this name."""
    made = ir.Module()
    function = ir.Function(made, _KIND, name)
    _Function(function, program, tables).write()
    return made


class _Function:
    def __init__(self, function: Any, program: Program, tables: Sequence[Table]) -> None:
        self.function, self.program, self.tables = function, program, tables
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.numbers = Numbers(self.builder)
        self.known: dict[Node, Any] = {}

    def write(self) -> None:
        """The head, the loops, the tail, and what is answered."""
        _, x, gradient, value, _ = self.function.args
        self._refuse_other_sizes()
        for node in needed([*self.program.results, *(one for loop in self.program.loops for one in loop.sums)]):
            if not node.needs & (ROW | SUM):
                self.known[node] = self._computed(node, x)
        starts = accumulate((table.numbers.size for table in self.tables), initial=0)
        for loop, table, start in zip(self.program.loops, self.tables, starts, strict=False):
            if loop.sums:
                self._sum(loop, table, start)
        for node in needed(self.program.results):
            if node.needs & SUM and node not in self.known:
                self.known[node] = self._computed(node, x)
        found = [self.known[node] for node in self.program.results]
        self.builder.store(found[0], value)
        for place, one in enumerate(found[1:]):
            self.builder.store(one, self.builder.gep(gradient, [INT(place)]))
        self.builder.ret(self._status(found))

    def _refuse_other_sizes(self) -> None:
        wrong = self.builder.icmp_unsigned("!=", self.function.args[0], INT(len(self.program.gradient)))
        with self.builder.if_then(wrong):
            self.builder.ret(INT(MISUSED))

    def _computed(self, node: Node, x: Any) -> Any:
        if node.value is not None:
            return self.numbers.constant(node.value)
        if node.op == "parameter":
            return self.builder.load(self.builder.gep(x, [INT(node.args[0])]))
        return self.numbers.apply(node.op, [self.known[one] for one in node.args])

    def _sum(self, loop: Loop, table: Table, start: int) -> None:
        """One loop over the blocks of a table; sums stay in registers where there are enough."""
        body = _Body(self, loop, table, start)
        totals = body.write()
        self.builder.position_at_end(body.after)
        for place, total in enumerate(totals):
            leaf = self.program.tape.leaf("sum", loop.number, place)
            self.known[leaf] = lanes.total(self.builder, total)

    def _status(self, found: list[Any]) -> Any:
        b, answer = self.builder, REAL(0.0)
        for one in found:
            answer = b.fadd(answer, b.fmul(one, REAL(0.0)))  # not a number where one of them is not finite
        return b.select(b.fcmp_ordered("==", answer, REAL(0.0)), INT(FINE), INT(NOT_FINITE))


class _Body:
    """What is done with a block of rows."""

    def __init__(self, whole: _Function, loop: Loop, table: Table, start: int) -> None:
        self.builder, self.lanes = whole.builder, Lanes(whole.builder, LANES)
        self.table, self.loop, self.start = table, loop, start
        self.data = whole.function.args[4]
        self.nodes = [node for node in needed(loop.sums) if node.needs & ROW]
        self.known = {node: self._spread(node, whole.known) for node in self._shared()}
        self.before = whole.builder.block
        self.block, self.after = whole.function.append_basic_block(), whole.function.append_basic_block()

    def write(self) -> list[Any]:
        """The loop; the sums of its lanes."""
        b = self.builder
        b.branch(self.block)
        b.position_at_end(self.block)
        index = b.phi(INT)
        sums = [b.phi(self.lanes.kind) for _ in self.loop.sums]
        self._rows(index)
        index.add_incoming(INT(0), self.before)
        following = b.add(index, INT(1))
        index.add_incoming(following, self.block)
        totals = [b.fadd(one, self.known[node]) for one, node in zip(sums, self.loop.sums, strict=True)]
        for one, total in zip(sums, totals, strict=True):
            one.add_incoming(self.lanes.constant(0.0), self.before)
            one.add_incoming(total, self.block)
        b.cbranch(b.icmp_signed("<", following, INT(self.table.blocks)), self.block, self.after)
        return totals

    def _shared(self) -> list[Node]:
        """What the rows ask for and does not depend on them."""
        asked = {one: None for node in self.nodes if node not in self.table.places for one in node.inner}
        return [one for one in asked if not one.needs & ROW]

    def _spread(self, node: Node, known: dict[Node, Any]) -> Any:
        if node.value is not None:
            return self.lanes.constant(node.value)
        if node.truth:
            return lanes.spread(self.builder, known[node], ir.VectorType(ir.IntType(1), LANES))
        return lanes.spread(self.builder, known[node], self.lanes.kind)

    def _rows(self, index: Any) -> None:
        places = self.table.places
        first = self.builder.add(self.builder.mul(index, INT(len(places) * LANES)), INT(self.start))
        asked = set(_asked(self.loop.sums, places))
        for node in self.nodes:
            if node not in asked:
                continue
            if node in places:
                self.known[node] = self._column(first, places[node], node.truth)
            elif node.op == "weight":
                self.known[node] = self._weight(index)
            else:
                self.known[node] = self.lanes.apply(node.op, [self.known[one] for one in node.args])

    def _column(self, first: Any, place: int, truth: bool) -> Any:
        at = self.builder.gep(self.data, [self.builder.add(first, INT(place * LANES))])
        found = self.builder.load(self.builder.bitcast(at, self.lanes.kind.as_pointer()), align=_LINE)
        return self.lanes.apply("ne", [found, self.lanes.constant(0.0)]) if truth else found

    def _weight(self, index: Any) -> Any:
        """One for each row; in the last block, nothing for what fills it up."""
        rest = self.table.rows - LANES * (self.table.blocks - 1)
        end = ir.Constant(self.lanes.kind, [1.0] * rest + [0.0] * (LANES - rest))
        last = self.builder.icmp_signed("==", index, INT(self.table.blocks - 1))
        return self.builder.select(last, end, self.lanes.constant(1.0))


def _asked(sums: Sequence[Node], places: dict[Node, int]) -> list[Node]:
    """The nodes from which sums are made in the loop; what is stored is not made again."""
    met: dict[Node, None] = {}
    waiting = list(sums)
    while waiting:
        node = waiting.pop()
        if node not in met:
            met[node] = None
            waiting.extend(() if node in places else node.inner)
    return list(met)
