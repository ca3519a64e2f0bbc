"""Problems by their names, as the command line asks for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ...errors import refuse
from .digits import digits_blur, digits_inpainting, digits_super_resolution
from .grid25 import boys2023, cardoso2023, cardoso_benchopt
from .manifold import rozet2024_manifold
from .problem import Problem
from .random_components import zhao2025
from .tutorial import tutorial_1d, tutorial_2d

__all__ = ["arguments", "maker", "named", "names"]

_PROBLEMS: dict[str, Callable[..., Problem]] = {
    one.__name__: one
    for one in (
        cardoso2023,
        cardoso_benchopt,
        boys2023,
        zhao2025,
        rozet2024_manifold,
        tutorial_1d,
        tutorial_2d,
        digits_inpainting,
        digits_blur,
        digits_super_resolution,
    )
}


def names() -> tuple[str, ...]:
    """Returns the names of all problems.

    Example:
        >>> "cardoso2023" in mx.diffusion.problems.names()
        True
    """
    return tuple(_PROBLEMS)


def maker(name: str) -> Callable[..., Problem]:
    """Returns the function that makes the problem of a name.

    Raises:
        MixtureError: If there is none of that name.
    """
    if name not in _PROBLEMS:
        refuse("problem", f"one of {', '.join(_PROBLEMS)}", repr(name))
    return _PROBLEMS[name]


def arguments(name: str) -> dict[str, Any]:
    """Returns the arguments of a problem, with what they are by default.

    Example:
        >>> mx.diffusion.problems.arguments("cardoso2023")
        {'d': 8, 'd_y': 2, 'seed': 0}
    """
    return {key: value.default for key, value in inspect.signature(maker(name)).parameters.items()}


def named(name: str, **given: Any) -> Problem:
    """Returns a problem by its name and arguments.

    Raises:
        MixtureError: If there is none of that name, or it has no such argument, or a value does not suit.

    Example:
        >>> mx.diffusion.problems.named("cardoso2023", d=8, d_y=1, seed=5).name
        'cardoso2023 d=8 d_y=1 seed=5'
    """
    make, known = maker(name), arguments(name)
    for argument in given:
        if argument not in known:
            refuse(argument, f"one of the arguments of {name}, {', '.join(known) or 'which has none'}", repr(argument))
    return make(**given)
