"""Statements of Python on numbers, as LLVM code: assignments, loops, choices, returns.

A variable is one place in memory, of one kind; LLVM keeps it in a register where it can. What a variable or a function
holds is found while the code is written: where a whole number turns out to be a number, it is written once more.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import Any

from .expressions import Expressions
from .values import INT, REAL, VOID, converted, truth

__all__ = ["Again", "Guess", "Statements"]


class Guess:
    """What is known of a function before it is written: variables that are no whole numbers, and what it returns."""

    def __init__(self, returns: Any = None) -> None:
        self.numbers: set[str] = set()
        self.returns = returns


class Again(Exception):
    """The guess was wrong and is better now."""


class Statements(Expressions):
    """Writes the statements of one function; see `Expressions` for the other arguments."""

    def __init__(self, names: Mapping[str, Any], called: Callable[[Any, Any, list[Any]], Any], guess: Guess) -> None:
        super().__init__(names, called)
        self._guess, self._loops = guess, []

    def run(self, statements: list[ast.stmt]) -> None:
        """Writes statements, up to the first that leads away."""
        for statement in statements:
            if not self.builder.block.is_terminated:
                self.write(statement)

    @singledispatchmethod
    def write(self, node: ast.stmt) -> None:
        """Writes one statement."""
        raise TypeError(f"no machine code for {ast.unparse(node)}")

    @write.register
    def _(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # what a docstring is
            self.value(node.value)

    @write.register
    def _(self, node: ast.Return) -> None:
        if node.value is None:
            self.builder.ret_void()
            return
        value, known = self.value(node.value), self._guess.returns
        if known is None or (known == INT and value.type == REAL):
            self._guess.returns = value.type
            raise Again
        self.builder.ret(converted(self.builder, value, known))

    @write.register
    def _(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._assign(target, value)

    @write.register
    def _(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.keep(node.target.id, self.combined(node.op, self.value(node.target), self.value(node.value)))
            return
        place = self._place(node.target)
        self._store(self.combined(node.op, self.builder.load(place), self.value(node.value)), place)

    @write.register
    def _(self, node: ast.If) -> None:
        yes, no, end = self.blocks(3)
        self.builder.cbranch(truth(self.builder, self.value(node.test)), yes, no)
        for block, body in ((yes, node.body), (no, node.orelse)):
            self.builder.position_at_end(block)
            self.run(body)
            self._on_to(end)
        self.builder.position_at_end(end)

    @write.register
    def _(self, node: ast.While) -> None:
        test, body, end = self.blocks(3)
        self.builder.branch(test)
        self.builder.position_at_end(test)
        self.builder.cbranch(truth(self.builder, self.value(node.test)), body, end)
        self.builder.position_at_end(body)
        self._turn(node.body, test, end)

    @write.register
    def _(self, node: ast.For) -> None:
        first, last, step = self._range(node.iter)
        test, body, more, end = self.blocks(4)
        at = self.room.alloca(INT)
        self.builder.store(first, at)
        self.builder.branch(test)
        self.builder.position_at_end(test)
        now = self.builder.load(at)
        self.builder.cbranch(self.builder.icmp_signed("<", now, last), body, end)
        self.builder.position_at_end(more)
        self.builder.store(self.builder.add(now, step, flags=("nsw",)), at)
        self.builder.branch(test)
        self.builder.position_at_end(body)
        self._assign(node.target, now)
        self._turn(node.body, more, end)

    def _range(self, node: ast.expr) -> tuple[Any, Any, Any]:
        """First, last and step, upwards."""
        if not isinstance(node, ast.Call) or len(node.args) > 3:
            raise TypeError(f"no loop over {ast.unparse(node)}")
        first, *rest = (self.value(argument) for argument in node.args)
        if not rest:
            return INT(0), first, INT(1)
        return first, rest[0], rest[1] if len(rest) > 1 else INT(1)

    @write.register
    def _(self, node: ast.Break) -> None:
        self.builder.branch(self._loops[-1][1])

    @write.register
    def _(self, node: ast.Continue) -> None:
        self.builder.branch(self._loops[-1][0])

    def _turn(self, body: list[ast.stmt], again: Any, end: Any) -> None:
        """The body of a loop, and what comes after the loop."""
        self._loops.append((again, end))
        self.run(body)
        self._loops.pop()
        self._on_to(again)
        self.builder.position_at_end(end)

    def _on_to(self, block: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.keep(target.id, value)
        elif isinstance(target, ast.Tuple):
            for i, part in enumerate(target.elts):
                self._assign(part, self.builder.extract_value(value, i))
        else:
            self._store(value, self._place(target))

    def _place(self, node: ast.expr) -> Any:
        """Where a number behind a pointer is."""
        if not isinstance(node, ast.Subscript):
            raise TypeError(f"no place for {ast.unparse(node)}")
        return self.builder.gep(self.value(node.value), [self.value(node.slice)], inbounds=True)

    def _store(self, value: Any, place: Any) -> None:
        self.builder.store(converted(self.builder, value, place.type.pointee), place)

    def keep(self, name: str, value: Any) -> None:
        """Gives a variable a value."""
        if name in self._guess.numbers:
            value = converted(self.builder, value, REAL)
        if name not in self._variables:
            self._variables[name] = self.room.alloca(value.type, name=name)
        place = self._variables[name]
        if place.type.pointee == INT and value.type == REAL:
            self._guess.numbers.add(name)
            raise Again
        self._store(value, place)

    def finish(self) -> None:
        """Ends the function."""
        if not self.builder.block.is_terminated:
            (self.builder.ret_void if self._guess.returns in (None, VOID) else self.builder.unreachable)()
        self.close()
