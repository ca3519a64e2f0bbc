r"""A log-density in torch and its gradient, compiled: a head in the parameters, and terms that are summed over rows.

.. math:: \log p(u) = h(u) + \sum_t \sum_{n} \ell_t(\theta(u), x_{tn})
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..native.machine import address_in
from .code import FINE, module
from .columns import Table, table
from .program import Loop, Program, evaluated
from .tape import Node, Tape, Untraceable, chosen
from .tracing import Tracer

__all__ = ["Density", "Rows", "compiled"]

_NAME = "mixtura.density"
_MOST_NODES = 40_000
_MOST_LOOKS = 12
_LINE = 64


class Rows(Protocol):
    """Rows of data and how likely each is: ``data`` are tensors whose first axis is the rows."""

    @property
    def data(self) -> tuple[Tensor, ...]:
        """What was recorded."""
        ...

    def log_prob(self, values: Any, *data: Tensor) -> Tensor:
        """The log-likelihood of each row."""
        ...


@dataclass(frozen=True)
class Density:
    """A log-density and its gradient as a function of C, and the data that it reads.

    The function is ``int64 logp(uint64 dim, const double *x, double *gradient, double *value, const double *data)``; it
    answers 0, or more than 0 where value or gradient are not finite, or less where it was called wrongly.
    """

    size: int
    address: int
    data: np.ndarray

    def __call__(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and the gradient at one point; not finite ones are returned as they are."""
        x, gradient, value = np.array(u, dtype=np.float64), np.empty(self.size), np.empty(1)
        call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)(self.address)
        places = (one.ctypes.data for one in (x, gradient, value, self.data))
        if call(x.size, *places) < FINE:
            raise ValueError(f"a point of {self.size} numbers was expected, and {x.size} came")
        return float(value[0]), gradient


def compiled(prepared: Callable[[Tensor], tuple[Any, Tensor]], terms: Sequence[Rows], example: Tensor) -> Density:
    """The machine code of a log-density.

    Arguments:
        prepared: Takes parameters (P,) to what the terms ask for and to the head of the log-density.
        terms: What is summed over rows; each must treat its rows alike and apart.
        example: A point where the function is looked at, with shape (P,), in float64.

    Raises:
        Untraceable: If the function has no machine code; the message says why.
    """
    program, tables = _traced(prepared, terms, example)
    if len(program.tape.nodes) > _MOST_NODES:
        raise Untraceable(f"The function has {len(program.tape.nodes)} operations; up to {_MOST_NODES} are compiled.")
    text = str(module(program, tables, _NAME))
    name = f"{_NAME}.{sha256(text.encode()).hexdigest()[:24]}"
    try:
        address = address_in(text.replace(f'{_NAME}"', f'{name}"'), name)
    except RuntimeError as error:
        raise Untraceable(f"LLVM does not take the function: {error}") from error
    return Density(example.numel(), address, _aligned(tables))


def _traced(prepared: Callable[[Tensor], Any], terms: Sequence[Rows], example: Tensor) -> tuple[Program, list[Table]]:
    """The program of a function, where all that it decides by numbers is whether to raise."""
    tape = Tape()
    tracer = Tracer(tape)
    program = _written(tracer, prepared, terms, example)
    if len(tracer.looks) > _MOST_LOOKS:
        raise Untraceable(f"The function looks at numbers {len(tracer.looks)} times to decide how to go on.")
    for number in range(len(tracer.looks)):
        _check_raises(Tracer(Tape(), number), prepared, terms, example)
    return program, [table(loop) for loop in program.loops]


def _check_raises(tracer: Tracer, prepared: Callable[[Tensor], Any], terms: Sequence[Rows], example: Tensor) -> None:
    """With one answer turned the function must raise; what goes on another way is two functions in one."""
    try:
        _written(tracer, prepared, terms, example)
    except Untraceable:
        raise
    except Exception:  # whatever a function raises of itself, where it does not like its numbers
        return
    raise Untraceable("The function looks at a number to decide how to go on.")


def _written(tracer: Tracer, prepared: Callable[[Tensor], Any], terms: Sequence[Rows], example: Tensor) -> Program:
    tape = tracer.tape
    parameters = [tape.leaf("parameter", i) for i in range(example.numel())]
    u = tracer.know(example.detach().clone(), np.array(parameters, object))
    loops = [_loop(tape, number, term) for number, term in enumerate(terms)]
    with torch.no_grad(), tracer:
        values, head = prepared(u)
    (first,) = tracer.nodes(head).reshape(-1)
    for one in _conditions(tracer, 0):
        first = first + one
    rows = [_row(tracer, loop, term, values) for loop, term in zip(loops, terms, strict=True)]
    return Program.of(tape, parameters, first, loops, rows)


def _conditions(tracer: Tracer, since: int) -> list[Node]:
    """Zero for each look that is answered as it was, and not a number where the function would raise."""
    zero, nothing = tracer.tape.lifted(0.0), tracer.tape.lifted(math.nan)
    looks = tracer.looks[since:]
    return [chosen(truth, zero, nothing) if answer else chosen(truth, nothing, zero) for truth, answer in looks]


def _loop(tape: Tape, number: int, term: Rows) -> Loop:
    columns = [column for one in term.data for column in one.reshape(len(one), -1).unbind(-1)]
    return Loop(tape, number, columns, tape.leaf("weight", number))


def _row(tracer: Tracer, loop: Loop, term: Rows, values: Any) -> list[Node]:
    """What one row adds, in the numbers of its columns."""
    nodes = iter([_column(loop, place) for place in range(len(loop.columns))])
    data = []
    for one in term.data:
        example = one[:1].detach().clone()
        made = np.empty(example.numel(), object)
        made[:] = [next(nodes) for _ in range(example.numel())]
        data.append(tracer.know(example, made.reshape(tuple(example.shape))))
    tracer.asked = lambda node: evaluated([node], loop)[0].expand(loop.rows)
    before = len(tracer.looks)
    with torch.no_grad(), tracer:
        found = term.log_prob(values, *data)
    return [*tracer.nodes(found).reshape(-1), *_conditions(tracer, before)]


def _column(loop: Loop, place: int) -> Node:
    """A number that differs from row to row; one that does not is known already."""
    low, high = torch.aminmax(loop.columns[place])
    return loop.tape.lifted(low.item()) if bool(low == high) else loop.tape.leaf("column", loop.number, place)


def _aligned(tables: Sequence[Table]) -> np.ndarray:
    """The numbers of all tables one after another, beginning where a line of the processor's memory does."""
    numbers = np.concatenate([one.numbers.reshape(-1) for one in tables] or [np.empty(0)])
    whole = np.empty(numbers.size + _LINE // numbers.itemsize)
    skip = (-whole.ctypes.data % _LINE) // numbers.itemsize
    made = whole[skip : skip + numbers.size]
    made[:] = numbers
    return made
