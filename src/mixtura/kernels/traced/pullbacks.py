r"""Reverse-mode derivatives on a tape, written down on the same tape.

A pullback takes :math:`\bar y = \partial F / \partial y` at :math:`y = f(a, b, \dots)` to its share of
:math:`\bar a, \bar b, \dots`: :math:`\bar y\, \partial f / \partial a`. None says that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from .tape import PARAMETER, Node, Untraceable, chosen

__all__ = ["adjoints"]

Shares = tuple[Node | None, ...]


def _div(g: Node, y: Node, a: Node, b: Node) -> Shares:
    share = g / b
    return share, -(share * y)


def _pow(g: Node, y: Node, a: Node, b: Node) -> Shares:
    return g * b * a.of("pow", b - 1.0), g * y * a.of("log")


def _select(g: Node, y: Node, truth: Node, a: Node, b: Node) -> Shares:
    nothing = g.tape.lifted(0.0)
    return None, chosen(truth, g, nothing), chosen(truth, nothing, g)


def _larger(g: Node, y: Node, a: Node, b: Node) -> Shares:
    nothing, first = g.tape.lifted(0.0), a >= b
    return chosen(first, g, nothing), chosen(first, nothing, g)


def _smaller(g: Node, y: Node, a: Node, b: Node) -> Shares:
    nothing, first = g.tape.lifted(0.0), a <= b
    return chosen(first, g, nothing), chosen(first, nothing, g)


def _atan2(g: Node, y: Node, a: Node, b: Node) -> Shares:
    share = g / (a * a + b * b)
    return share * b, -(share * a)


def _erf(g: Node, a: Node) -> Node:
    return g * (2 / math.sqrt(math.pi)) * (-(a * a)).of("exp")


def _none(g: Node, y: Node, *args: Node) -> Shares:
    return (None,) * len(args)


def _no_rule(g: Node, y: Node, *args: Node) -> Shares:
    raise Untraceable(f"The derivative of {y.op} has no rule.")


PULLBACKS: dict[str, Callable[..., Shares]] = {
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, -g),
    "mul": lambda g, y, a, b: (g * b, g * a),
    "div": _div,
    "neg": lambda g, y, a: (-g,),
    "pow": _pow,
    "exp": lambda g, y, a: (g * y,),
    "exp_below": lambda g, y, a: (g * y,),
    "log": lambda g, y, a: (g / a,),
    "log1p": lambda g, y, a: (g / (a + 1.0),),
    "expm1": lambda g, y, a: (g * (y + 1.0),),
    "sqrt": lambda g, y, a: (g * 0.5 / y,),
    "abs": lambda g, y, a: (g * a.of("sign"),),
    "sin": lambda g, y, a: (g * a.of("cos"),),
    "cos": lambda g, y, a: (-(g * a.of("sin")),),
    "tan": lambda g, y, a: (g * (y * y + 1.0),),
    "asin": lambda g, y, a: (g / (1.0 - a * a).of("sqrt"),),
    "acos": lambda g, y, a: (-(g / (1.0 - a * a).of("sqrt")),),
    "atan": lambda g, y, a: (g / (a * a + 1.0),),
    "atan2": _atan2,
    "sinh": lambda g, y, a: (g * a.of("cosh"),),
    "cosh": lambda g, y, a: (g * a.of("sinh"),),
    "tanh": lambda g, y, a: (g * (1.0 - y * y),),
    "sigmoid": lambda g, y, a: (g * y * (1.0 - y),),
    "softplus": lambda g, y, a: (g * a.of("sigmoid"),),
    "erf": lambda g, y, a: (_erf(g, a),),
    "erfc": lambda g, y, a: (-_erf(g, a),),
    "erfcx": lambda g, y, a: (g * (2.0 * a * y - 2 / math.sqrt(math.pi)),),
    "lgamma": lambda g, y, a: (g * a.of("digamma"),),
    "digamma": _no_rule,
    "maximum": _larger,
    "minimum": _smaller,
    "select": _select,
    **dict.fromkeys(("sign", "floor", "stop", "top", "lt", "le", "eq", "ne", "both", "either", "not"), _none),
}


def adjoints(seeds: Iterable[tuple[Node, Node]], inner: int) -> dict[Node, Node]:
    """The derivatives of a sum over (node, its weight) with respect to all that it is computed from.

    Nodes that need all of `inner` are gone through; those that they rest on and do not, have their share and no more.
    """
    found: dict[Node, Node] = {}
    for node, weight in seeds:
        _give(found, node, weight)
    waiting = _below(found, inner)
    for node in sorted(waiting, key=lambda one: -one.index):
        if node not in found:
            continue
        shares = PULLBACKS[node.op](found[node], node, *node.inner)
        for one, share in zip(node.inner, shares, strict=True):
            if share is not None and one.needs & PARAMETER:
                _give(found, one, share)
    return found


def _give(found: dict[Node, Node], node: Node, share: Node) -> None:
    found[node] = found[node] + share if node in found else share


def _below(found: dict[Node, Node], inner: int) -> set[Node]:
    """All that the seeds are computed from and that needs what is asked."""
    met: set[Node] = set()
    waiting = list(found)
    while waiting:
        node = waiting.pop()
        if node.needs & inner == inner and node not in met and node.inner:
            met.add(node)
            waiting.extend(node.inner)
    return met
