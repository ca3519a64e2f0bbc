"""Panels of numbers in machine code: read, written, combined; and the softmax over the components of a panel of rows.

A panel is a value like any other, to which the usual operators apply lane by lane. Sums over panels are kept in vectors
of a quarter of a panel each, which is a quarter of what is read and written.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from . import lanes
from .names import named
from .program import plain
from .values import REAL, converted

__all__ = [
    "PART",
    "WIDTH",
    "added",
    "beyond",
    "calling",
    "exp",
    "fma",
    "folded",
    "largest",
    "load_panel",
    "load_part",
    "log",
    "lowered",
    "smallest",
    "softmax",
    "multiplied",
    "root",
    "splat",
    "store",
    "total",
    "where_negative",
]

WIDTH, PART = lanes.lanes(8)
"""Numbers in a panel, and in a part of it."""

_PANEL, _PART = ir.VectorType(REAL, WIDTH), ir.VectorType(REAL, PART)

largest, exp, log, total = named(lanes.largest), named(lanes.exp), named(lanes.log), named(lanes.total)
root = named(lanes.root)


def _place(builder: Any, numbers: Any, index: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(numbers, [index], inbounds=True), kind.as_pointer())


@named
def load_panel(builder: Any, numbers: Any, index: Any) -> Any:
    """Consecutive numbers, from an index on."""
    return builder.load(_place(builder, numbers, index, _PANEL), align=8)


@named
def load_part(builder: Any, numbers: Any, index: Any) -> Any:
    """As many numbers as a part of a panel has, from an index on."""
    return builder.load(_place(builder, numbers, index, _PART), align=8)


@named
def store(builder: Any, numbers: Any, index: Any, value: Any) -> None:
    """Writes a panel, or a part of one, from an index on."""
    builder.store(value, _place(builder, numbers, index, value.type), align=8)


@named
def added(builder: Any, a: Any, part: Any) -> Any:
    """A part of a panel and all parts of another one."""
    for one in lanes.quarters(builder, a):
        part = builder.fadd(part, one)
    return part


@named
def multiplied(builder: Any, a: Any, b: Any, part: Any) -> Any:
    """A part of a panel and all parts of a product of two others."""
    for one, other in zip(lanes.quarters(builder, a), lanes.quarters(builder, b), strict=True):
        part = lanes.fma(builder, one, other, part)
    return part


@named
def folded(builder: Any, a: Any, part: Any) -> Any:
    """A part of a panel times all parts of another one."""
    for one in lanes.quarters(builder, a):
        part = builder.fmul(part, one)
    return part


@named
def splat(builder: Any, value: Any, like: Any) -> Any:
    """One number in every lane of a value like another."""
    return lanes.spread(builder, converted(builder, value, REAL), like.type)


@named
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once; a may be a number."""
    return lanes.fma(builder, a if a.type == b.type else splat(builder, a, b), b, c)


@named
def smallest(builder: Any, a: Any, b: Any) -> Any:
    """The smaller of two numbers in each lane; the first where one is none."""
    return builder.select(builder.fcmp_ordered(">", a, b), b, a)


@named
def where_negative(builder: Any, sign: Any, a: Any, b: Any) -> Any:
    """The lanes of one value where those of the first are below zero, of the other elsewhere."""
    return builder.select(builder.fcmp_ordered("<", sign, splat(builder, REAL(0.0), sign)), a, b)


@named
def beyond(builder: Any, numbers: Any, index: Any) -> Any:
    """Where numbers are, from an index on."""
    return builder.gep(numbers, [index], inbounds=True)


def calling(kind: Any) -> Any:
    """What calls a function of a kind at an address, its first argument."""

    @named
    def call(builder: Any, at: Any, *given: Any) -> Any:
        return builder.call(builder.inttoptr(at, kind.as_pointer()), given)

    return call


@plain
def lowered(joint, at, components, width):
    """Log joints of a panel, from a place on, become joints relative to the largest; returns that, and their sum."""
    top = load_panel(joint, at)
    for k in range(1, components):
        top = largest(load_panel(joint, at + k * width), top)
    mass = splat(0.0, top)
    for k in range(components):
        value = exp(load_panel(joint, at + k * width) - top)
        store(joint, at + k * width, value)
        mass = mass + value
    return top, mass


@plain
def softmax(joint, at, components, width):
    """Log joints of a panel, from a place on, become responsibilities; returns the log density."""
    top = load_panel(joint, at)
    for k in range(1, components):
        top = largest(load_panel(joint, at + k * width), top)
    mass = splat(0.0, top)
    for k in range(components):
        value = exp(load_panel(joint, at + k * width) - top)
        store(joint, at + k * width, value)
        mass = mass + value
    scale = splat(1.0, mass) / mass
    for k in range(components):
        store(joint, at + k * width, load_panel(joint, at + k * width) * scale)
    return top + log(mass)
