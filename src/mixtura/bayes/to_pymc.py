"""The same model in PyMC, where that is installed: another author's densities for it, and samplers of theirs.

Priors, fixed values, order, walls and likelihood are the same, in the parameters themselves; the real numbers behind
them are PyMC's own. A floor under the weights, which is a bijection here, is a wall there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.distributions.transforms import ComposeTransform, ExpTransform

from ..errors import refuse
from .bijections import Floored, Ordered
from .laws import Hierarchical, OfTorch
from .model import Model
from .posterior import Posterior
from .potentials import Potential, ascending, least, min_weight
from .variables import Variable

__all__ = ["to_pymc"]

_PRIORS: dict[str, tuple[str, dict[str, str]]] = {
    "Beta": ("Beta", {"concentration1": "alpha", "concentration0": "beta"}),
    "Cauchy": ("Cauchy", {"loc": "alpha", "scale": "beta"}),
    "Dirichlet": ("Dirichlet", {"concentration": "a"}),
    "Exponential": ("Exponential", {"rate": "lam"}),
    "Gamma": ("Gamma", {"concentration": "alpha", "rate": "beta"}),
    "HalfCauchy": ("HalfCauchy", {"scale": "beta"}),
    "HalfNormal": ("HalfNormal", {"scale": "sigma"}),
    "InverseGamma": ("InverseGamma", {"concentration": "alpha", "rate": "beta"}),
    "Laplace": ("Laplace", {"loc": "mu", "scale": "b"}),
    "LogNormal": ("LogNormal", {"loc": "mu", "scale": "sigma"}),
    "Normal": ("Normal", {"loc": "mu", "scale": "sigma"}),
    "StudentT": ("StudentT", {"df": "nu", "loc": "mu", "scale": "sigma"}),
    "Uniform": ("Uniform", {"low": "lower", "high": "upper"}),
}
"""What PyMC calls torch's distributions and their parameters."""

_FAMILIES: dict[str, tuple[str, dict[str, str]]] = {
    "Beta": ("Beta", {"concentration1": "alpha", "concentration0": "beta"}),
    "Exponential": ("Exponential", {"rate": "lam"}),
    "Gamma": ("Gamma", {"concentration": "alpha", "rate": "beta"}),
    "Laplace": ("Laplace", {"loc": "mu", "scale": "b"}),
    "LogNormal": ("LogNormal", {"loc": "mu", "scale": "sigma"}),
    "Normal": ("Normal", {"loc": "mu", "scale": "sigma"}),
    "Poisson": ("Poisson", {"rate": "mu"}),
    "StudentT": ("StudentT", {"dof": "nu", "loc": "mu", "scale": "sigma"}),
    "Weibull": ("Weibull", {"concentration": "alpha", "scale": "beta"}),
}
"""What PyMC calls families on numbers and their parameters."""


def to_pymc(model: Model, x: Any, **rows: Any) -> Any:
    """Returns the model with its rows as a PyMC model, whose variables have the same names.

    Arguments:
        model: The model.
        x: The rows: numbers, recorded as they were drawn.
        rows: What else is known of them; see `Model.posterior`.

    Raises:
        ImportError: If PyMC is not installed.
        MixtureError: If a prior, a family, a potential or the rows have no counterpart here.
    """
    try:
        import pymc  # pyright: ignore[reportMissingImports] (an oracle that few have)
    except ImportError as error:
        raise ImportError("`to_pymc` needs PyMC, which is not installed; pip install pymc") from error
    posterior = model.posterior(x, **rows)
    _check(posterior)
    with pymc.Model() as made:
        values: dict[str, Any] = {name: value.numpy() for name, value in posterior.fixed.items()}
        for one in posterior.variables:
            values[one.name] = _variable(pymc, one, values)
        for number, one in enumerate(_walls(posterior)):
            pymc.Potential(f"wall_{number}", _wall(pymc.math, one, values))
        _likelihood(pymc, posterior, values)
    return made


def _check(posterior: Posterior) -> None:
    (term,) = posterior.terms
    plain = posterior.rows.observation.exact and not posterior.rows.possible.known and not posterior.rows.weighted
    if posterior.features is not None or not plain or term.slopes.move or posterior.together:
        refuse("x", "numbers without weights, labels or covariates, recorded as drawn", posterior.rows)
    if posterior.family.kind.__name__ not in _FAMILIES:
        refuse("family", f"one of {', '.join(_FAMILIES)}", posterior.family.title)


def _variable(pymc: Any, one: Variable, values: Mapping[str, Any]) -> Any:
    """A parameter with its prior, in PyMC."""
    kind, parameters = _prior(one, values)
    if kind not in _PRIORS:
        refuse("priors", f"among {', '.join(_PRIORS)}", kind)
    name, known = _PRIORS[kind]
    named = {known[own]: value for own, value in parameters.items()}
    moved = {} if not _ordered(one) else {"transform": _ascending(pymc, one), "initval": _initial(one)}
    return getattr(pymc, name)(one.name, **named, shape=one.shape, **moved)


def _prior(one: Variable, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class of a prior and its parameters, some of which may be variables themselves."""
    law = one.law
    if isinstance(law, Hierarchical):
        fixed = {name: value.numpy() for name, value in law.fixed.items()}
        return law.kind.__name__, fixed | {own: values[name] for own, name in one.behind.items()}
    if isinstance(law, OfTorch):
        given = law.distribution
        wanted = _PRIORS.get(type(given).__name__, ("", {}))[1]
        return type(given).__name__, {name: getattr(given, name).numpy() for name in wanted}
    return type(law).__name__, {}


def _steps(one: Variable) -> list[Any]:
    return one.bijection.parts if isinstance(one.bijection, ComposeTransform) else [one.bijection]


def _ordered(one: Variable) -> bool:
    return any(isinstance(step, Ordered) for step in _steps(one))


def _ascending(pymc: Any, one: Variable) -> Any:
    """PyMC's transform for numbers that ascend, or for positive ones whose logarithms do."""
    known = pymc.distributions.transforms
    positive = any(isinstance(step, ExpTransform) for step in _steps(one))
    return known.Chain([known.log, known.ordered]) if positive else known.ordered


def _initial(one: Variable) -> Any:
    return one.constrain(torch.zeros(one.size, dtype=torch.float64))[0].numpy()


def _walls(posterior: Posterior) -> list[Potential]:
    """The potentials, and floors that are bijections here."""
    floors = [step.floor for one in posterior.variables for step in _steps(one) if isinstance(step, Floored)]
    return [*posterior.potentials, *(min_weight(floor) for floor in floors)]


def _wall(math: Any, one: Potential, values: Mapping[str, Any]) -> Any:
    """A ready potential in PyMC's terms."""
    function, given = getattr(one.function, "func", None), getattr(one.function, "args", ())
    if function not in _WALLS:
        refuse("potentials", "ready ones, `min_weight` and `ordered`", one.label)
    known: Callable[..., Any] = _WALLS[function]
    return math.switch(known(math, *given, values[one.names[0]]), 0.0, -float("inf"))


_WALLS: dict[Any, Callable[..., Any]] = {
    least: lambda math, floor, weights: math.ge(weights.min(), floor),
    ascending: lambda math, coordinate, value: math.ge((value[1:] - value[:-1]).min(), 0.0),
}
"""Whether a value is allowed, for each kind of wall."""


def _likelihood(pymc: Any, posterior: Posterior, values: Mapping[str, Any]) -> None:
    name, known = _FAMILIES[posterior.family.kind.__name__]
    named = {known[own]: values[own] for own in posterior.family.arguments(None)}
    parts = getattr(pymc, name).dist(**named, shape=(posterior.components,))
    pymc.Mixture("x", w=values["weights"], comp_dists=parts, observed=posterior.rows.tensor().numpy())
