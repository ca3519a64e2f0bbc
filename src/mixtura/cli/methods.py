"""The names of methods and priors on the command line, each with what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..data import Rows
from ..errors import refuse
from ..learning import EM, KMeans, Method
from ..learning.methods.default_prior import informed
from ..mixture import Prior

__all__ = ["METHODS", "Learner", "WeakEM", "looked_up"]


@dataclass(frozen=True)
class WeakEM(EM):
    """EM with the weak prior of `Prior.weak`, made for the rows and the number of components at hand."""

    def informed(self, rows: Rows, start: Any) -> EM:
        return EM(self.max_iterations, self.tolerance, informed(Prior(1.0), rows, start, 1.0))


class Learner(NamedTuple):
    """What a method's name stands for: how to build it, and the only shapes it learns (None for any)."""

    build: Callable[..., Method]
    shapes: Sequence[str] | None


METHODS: Mapping[tuple[str, str], Learner] = {
    ("em", "none"): Learner(EM, None),
    ("em", "weak"): Learner(WeakEM, None),
    ("kmeans", "none"): Learner(KMeans, ("tied-spherical",)),
}


def looked_up(method: str, prior: str) -> Learner:
    """The learner for two names; an error that lists the pairs there are."""
    if (method, prior) not in METHODS:
        known = "; ".join(f"--method {one} --prior {other}" for one, other in METHODS)
        refuse("--method and --prior", f"one of: {known}", f"--method {method} --prior {prior}")
    return METHODS[method, prior]
