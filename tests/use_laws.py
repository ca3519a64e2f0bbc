"""What a use of a fit is: a case, laws that hold or are broken, and the table of uses.

Where two ways must come to the same, both make the same few plain updates from the same start, and the log-densities of
rows are compared: to rounding, or else to what weights changed in their last digits make of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from random_fits import seeded
from torch import Tensor

import mixtura as mx
from mixtura.components import Component
from mixtura.errors import NotClosedForm
from mixtura.learning.expectation.expect import read_under
from mixtura.learning.expectation.recorded import recorded

__all__ = [
    "FOR_ROWS",
    "USES",
    "Broken",
    "Case",
    "both",
    "close",
    "densities",
    "equal",
    "hold",
    "members",
    "numbers",
    "sound",
    "use",
]

FOR_ROWS = ("sample_weight", "observation", "labels")
CLEAR = ("CONVERGED", "MAX_ITERATIONS", "FINISHED")


class Broken(AssertionError):
    """A law that does not hold."""


@dataclass(frozen=True)
class Case:
    """The arguments of a fit."""

    x: Tensor
    components: int
    options: dict[str, Any]

    def fit(self, **more: Any) -> mx.Fit:
        """The fit, with other arguments perhaps; every time from the same state of its generator."""
        return mx.fit(**{"x": self.x, "components": self.components, **self.again(**more)})

    def again(self, **more: Any) -> dict[str, Any]:
        return {**self.options, "generator": self.source, **more}

    def but(self, *names: str, **more: Any) -> dict[str, Any]:
        """The arguments without some."""
        return {name: value for name, value in self.again(**more).items() if name not in names}

    @property
    def seed(self) -> int:
        return self.options["generator"].initial_seed()

    @property
    def source(self) -> torch.Generator:
        return seeded(self.seed)

    @property
    def rows(self) -> mx.data.Rows:
        """The rows with all that is known of them."""
        return recorded(self.x, None, *(self.options.get(name) for name in FOR_ROWS), self.components)

    def begun(self) -> mx.Mixture:
        """Where fits begin that must agree: two updates away from chance."""
        return self.fit(method=mx.EM(2, 0), restarts=1).mixture

    def nudged(self, start: mx.Mixture | Tensor) -> Tensor:
        """What becomes of log-densities by weights that differ in their last digits."""
        rows, tiny = self.rows, 64 * torch.finfo(self.x.dtype).eps
        weight = rows.each_weight * (1 + tiny * torch.rand(len(rows), generator=self.source, dtype=rows.dtype))
        return densities(self.fit(x=rows.reweighted(weight), init=start, **dict.fromkeys(FOR_ROWS)))


def densities(fit: mx.Fit) -> Tensor:
    """The log-density of each row."""
    return torch.cat([density for _, _, density in read_under(fit.mixture, fit.rows)])


def both(one: mx.Fit, other: mx.Fit) -> tuple[Tensor, Tensor]:
    """The densities of two fits that must agree, unless one collapsed: when, is a matter of rounding."""
    if not {one.reason.name, other.reason.name} <= {*CLEAR}:
        raise NotClosedForm("A component collapsed.")
    return densities(one), densities(other)


def numbers(value: Any) -> list[Tensor]:
    """All tensors of a value."""
    found: list[Tensor] = []
    value.map(lambda tensor: found.append(tensor) or tensor)
    return found


def members(components: Component) -> list[Component]:
    """Components, the parts they are made of, and parts of these, but not the Gaussians inside of one."""
    values = [getattr(components, field.name) for field in fields(components)]
    parts = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    own = [] if components.has_gaussian else [one for one in parts if isinstance(one, Component)]
    return [components, *(one for part in own for one in members(part))]


def hold(law: str, kept: object, *found: object) -> None:
    if not kept:
        raise Broken(f"{law}: {', '.join(map(str, found))}")


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a.nan_to_num(7), b.nan_to_num(7)) for a, b in zip(one, other, strict=True))


def equal(law: str, one: mx.Mixture, other: mx.Mixture) -> None:
    """To the last bit."""
    hold(
        law,
        same(numbers(one), numbers(other)) and one.columns == other.columns and one.dtype == other.dtype,
        one,
        other,
    )


def close(law: str, one: Tensor, other: Tensor, sway: Callable[[], Tensor] | None = None, least: float = 1e-9) -> None:
    """But for rounding, or for what rounding does to a fit."""
    least = max(least, 1e4 * torch.finfo(one.dtype).eps)
    least = max(least, 1e4 * torch.finfo(other.dtype).eps)
    gap = (one.double() - other.double()).abs().nan_to_num(nan=torch.inf)
    gap = gap.masked_fill((one == other) | (one.isnan() & other.isnan()), 0.0)
    allowed = least * (1 + other.abs().double())
    if sway is not None and bool((gap > allowed).any()):
        moved = (sway() - other.double()).abs().nan_to_num(nan=torch.inf)
        allowed = allowed + 100 * moved.max()
    worst = int((gap - allowed).argmax()) if gap.numel() else 0
    hold(law, bool((gap <= allowed).all()), *(a.flatten()[worst : worst + 1].tolist() for a in (one, other)))


USES: dict[str, Callable[..., None]] = {}


def use(law: Callable[[Case], None]) -> Callable[..., None]:
    """A law as a call like that of `mixtura.fit`: inputs, and the source of randomness of all, are as they were."""

    @functools.wraps(law)
    def called(x: Tensor, components: int, **options: Any) -> None:
        given = [one for one in (x, *options.values()) if isinstance(one, Tensor)]
        before, state = [one.clone() for one in given], torch.get_rng_state()
        if not len(x):
            raise NotClosedForm("There are no rows.")
        law(Case(x, components, options))
        hold("inputs stay", same(given, before))
        hold("only the generator is drawn from", torch.equal(state, torch.get_rng_state()))

    USES[law.__name__] = called
    return called


def sound(fit: mx.Fit) -> bool:
    return fit.reason.name in CLEAR and not fit.spurious
