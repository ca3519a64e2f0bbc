"""Expressions of Python on numbers, as LLVM code: arithmetic, comparisons, choices, places behind pointers, calls."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Mapping
from functools import singledispatchmethod
from typing import Any

from llvmlite import ir

from .arithmetic import ARITHMETIC, COMPARED, negative
from .names import NAMED
from .values import Record, constant, converted, joined, larger_kind, truth

__all__ = ["Expressions"]


class Expressions:
    """Writes the expressions of one function.

    Arguments:
        names: What names outside of the function mean.
        called: Calls a compiled function of ours: what it is, and the values that it is given.
    """

    def __init__(self, names: Mapping[str, Any], called: Callable[[Any, Any, list[Any]], Any]) -> None:
        self._names, self._called = names, called
        self._variables: dict[str, Any] = {}

    def write_to(self, function: Any) -> None:
        """Begins a function: what variables need comes first, then the code."""
        first, code = function.append_basic_block("variables"), function.append_basic_block("code")
        self._function: Any = function
        self.room: Any = ir.IRBuilder(first)
        self.builder: Any = ir.IRBuilder(code)
        self.room.position_at_start(first)
        self._code = code

    def close(self) -> None:
        """Ends the function's room for variables."""
        self.room.branch(self._code)

    def blocks(self, count: int) -> list[Any]:
        """New blocks of code."""
        return [self._function.append_basic_block() for _ in range(count)]

    @singledispatchmethod
    def value(self, node: ast.AST) -> Any:
        """The value of an expression."""
        raise TypeError(f"no machine code for {ast.unparse(node)}")

    @value.register
    def _(self, node: ast.Constant) -> Any:
        return constant(node.value)

    @value.register
    def _(self, node: ast.Name) -> Any:
        known = self._variables.get(node.id)
        return constant(self._names[node.id]) if known is None else self.builder.load(known)

    @value.register
    def _(self, node: ast.Attribute) -> Any:
        if not self._is_found(node):
            return constant(self._known(node))
        whole = self.value(node.value)
        return self.builder.extract_value(whole, whole.type.fields.index(node.attr))

    @value.register
    def _(self, node: ast.Tuple) -> Any:
        return joined(self.builder, [self.value(part) for part in node.elts])

    @value.register
    def _(self, node: ast.Subscript) -> Any:
        whole = self.value(node.value)
        if isinstance(node.slice, ast.Constant) and not isinstance(whole.type, ir.PointerType):
            return self.builder.extract_value(whole, node.slice.value)
        return self.builder.load(self.builder.gep(whole, [self.value(node.slice)], inbounds=True))

    @value.register
    def _(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return self.builder.not_(truth(self.builder, value))
        return negative(self.builder, value)

    @value.register
    def _(self, node: ast.BinOp) -> Any:
        return self.combined(node.op, self.value(node.left), self.value(node.right))

    @value.register
    def _(self, node: ast.Compare) -> Any:
        (operator,), (right,) = node.ops, node.comparators
        return COMPARED[type(operator)](self.builder, self.value(node.left), self.value(right))

    @value.register
    def _(self, node: ast.BoolOp) -> Any:
        if len(node.values) == 1:
            return truth(self.builder, self.value(node.values[0]))
        test, rest = node.values[0], ast.BoolOp(node.op, node.values[1:])
        known = ast.Constant(isinstance(node.op, ast.Or))
        return self._chosen(test, *((known, rest) if known.value else (rest, known)))

    @value.register
    def _(self, node: ast.IfExp) -> Any:
        return self._chosen(node.test, node.body, node.orelse)

    @value.register
    def _(self, node: ast.Call) -> Any:
        return self._called_with(self._known(node.func), [value for one in node.args for value in self._given(one)])

    def _called_with(self, what: Any, given: list[Any]) -> Any:
        if what in NAMED:
            return NAMED[what](self.builder, *given)
        if isinstance(what, type):  # a named tuple
            return joined(self.builder, given, Record(vars(what)["_fields"], [value.type for value in given]))
        return self._called(self.builder, what, given)

    def _given(self, node: ast.expr) -> list[Any]:
        if not isinstance(node, ast.Starred):
            return [self.value(node)]
        whole = self.value(node.value)
        return [self.builder.extract_value(whole, i) for i in range(len(whole.type.elements))]

    def combined(self, operator: ast.operator, left: Any, right: Any) -> Any:
        """Two values and what stands between them."""
        return ARITHMETIC[type(operator)](self.builder, left, right)

    def _chosen(self, test: ast.expr, yes: ast.expr, no: ast.expr) -> Any:
        """One of two values, of which only one is found."""
        first, second, end = self.blocks(3)
        self.builder.cbranch(truth(self.builder, self.value(test)), first, second)
        found = []
        for block, node in ((first, yes), (second, no)):
            self.builder.position_at_end(block)
            found.append((self.value(node), self.builder.block))
        kind = larger_kind(found[0][0].type, found[1][0].type)
        kept = self.room.alloca(kind)
        for value, block in found:
            self.builder.position_at_end(block)
            self.builder.store(converted(self.builder, value, kind), kept)
            self.builder.branch(end)
        self.builder.position_at_end(end)
        return self.builder.load(kept)

    def _is_found(self, node: ast.expr) -> bool:
        """Whether an expression is found while the code runs; else it names something in a module."""
        if isinstance(node, ast.Attribute):
            return self._is_found(node.value)
        return not isinstance(node, ast.Name) or node.id in self._variables

    def _known(self, node: ast.expr) -> Any:
        """What an expression names that is no variable: a function, a constant of a module."""
        if isinstance(node, ast.Attribute):
            return vars(self._known(node.value))[node.attr]
        if isinstance(node, ast.Name):
            return self._names.get(node.id, vars(builtins).get(node.id))
        raise TypeError(f"no machine code for {ast.unparse(node)}")
