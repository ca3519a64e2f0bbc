"""Functions of Python on numbers and pointers become one module of LLVM code.

What is understood is what C would: whole numbers and numbers of 64 bits, truths, pointers that are read and written by
an index, tuples of them, loops over ranges, choices, early returns, calls of other such functions and of some of
`math`. Kinds are those of the values given, so a function is written once for each kind of arguments. Nothing is
checked while it runs. Numba understands far more, and takes ten times as long to do so; see `machine` for how code is
kept.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import count
from typing import Any

from llvmlite import ir

from .statements import Again, Guess, Statements
from .values import VOID, converted

__all__ = ["Plain", "Program", "plain"]


class Plain:
    """A function on numbers and pointers, which Python runs as it stands and machines run compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"

    def __call__(self, *given: Any) -> Any:
        return self.function(*given)

    @cached_property
    def source(self) -> ast.FunctionDef:
        """What is written, as a tree."""
        (found,) = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body
        if not isinstance(found, ast.FunctionDef):
            raise TypeError(f"{self.name} is no function that has a source")
        return found

    @property
    def names(self) -> dict[str, Any]:
        """What names mean where it is written."""
        return self.function.__globals__


def plain(function: Callable[..., Any]) -> Any:
    """Marks what becomes machine code where it is called from machine code."""
    return Plain(function)


class Program:
    """A module of LLVM code under way."""

    def __init__(self) -> None:
        self._module = ir.Module()
        self._made: dict[tuple[Plain, str], Any] = {}
        self._numbers = count()

    @classmethod
    def of(cls, function: Plain, kind: Any) -> str:
        """The code of a function of a kind, by its own name, and of all that it calls."""
        program = cls()
        entry = ir.Function(program._module, kind, function.name)
        builder = ir.IRBuilder(entry.append_basic_block())
        found = program._called(builder, function, list(entry.args))
        if kind.return_type == VOID:
            builder.ret_void()
        else:
            builder.ret(converted(builder, found, kind.return_type))
        return str(program._module)

    def _called(self, builder: Any, function: Plain, given: list[Any]) -> Any:
        kinds = [value.type for value in given]
        key = function, str(kinds)
        if key not in self._made:
            self._made[key] = self._new(function, kinds)
        return builder.call(self._made[key], given)

    def _new(self, function: Plain, kinds: Sequence[Any]) -> Any:
        guess = Guess()
        while True:
            kind = ir.FunctionType(guess.returns or VOID, kinds)
            made = ir.Function(self._module, kind, f"{next(self._numbers)}.{function.name}")
            made.linkage = "internal"
            try:
                self._write(function, made, guess)
                return made
            except Again:
                del self._module.globals[made.name]

    def _write(self, function: Plain, made: Any, guess: Guess) -> None:
        body = Statements(function.names, self._called, guess)
        body.write_to(made)
        for argument, value in zip(function.source.args.args, made.args, strict=True):
            body.keep(argument.arg, value)
        body.run(function.source.body)
        body.finish()
