"""A model meets its rows: what is learned, what is held, and how each row is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributions import Normal, constraints
from torch.distributions.transforms import ComposeTransform, Transform

from ..components import Argument, Family, Full
from ..components.domains import in_words
from ..data import Rows
from ..data import rows as as_rows
from ..errors import refuse
from ..learning.expectation.recorded import check_recorded, recorded
from ..learning.families import families
from ..learning.job import Job
from ..learning.methods.em import EM
from ..priors import ComponentsPrior
from .bijections import Centred, Floored, Measured, Ordered, onto
from .defaults import default_prior, default_weights, spread
from .first_fit import first_fit
from .laws import Flat, Law, law
from .posterior import Posterior
from .potentials import potential
from .rows import Term
from .slopes import Slopes
from .supports import check_support, entry
from .together import Together
from .variables import Variable

if TYPE_CHECKING:
    from .model import Model

__all__ = ["bound", "bound_rows"]


def bound(model: Model, x: Any, columns: Any, weight: Any, labels: Any, covariates: Any) -> Posterior:
    """Returns the posterior of a model given rows; see `Model.posterior`."""
    rows = recorded(x, columns, weight, model.observation, labels, model.components)
    check_recorded(rows, model.components)
    (chosen,) = families(model.family, [Full()])
    return bound_rows(model, rows, chosen, _covariates(x, covariates, len(rows)))


def bound_rows(model: Model, rows: Rows, family: Family, covariates: Tensor | None = None) -> Posterior:
    """Returns the posterior of a model given rows that know how they were recorded."""
    rows = rows.to(torch.float64)
    own = Job.of(rows, EM(), family, torch.Generator().manual_seed(0), None).family
    none = torch.zeros(len(rows), 0, dtype=torch.float64)
    return _Binding(model, rows, own, none if covariates is None else covariates).posterior()


def _covariates(x: Any, covariates: Any, count: int) -> Tensor:
    """Covariates ``(N, Q)`` in double precision, with no column where there are none."""
    if covariates is None:
        return torch.zeros(count, 0, dtype=torch.float64)
    names = isinstance(covariates, str) or (isinstance(covariates, (list, tuple)) and isinstance(covariates[0], str))
    read = as_rows(x, covariates) if names else as_rows(covariates)
    values = read.tensor().to(torch.float64).reshape(len(read), -1)
    if len(values) != count or not bool(values.isfinite().all()):
        refuse("covariates", f"finite numbers for each of {count} rows", f"{tuple(values.shape)}")
    return values


@dataclass(frozen=True, eq=False)
class _Binding:
    """What is known when a model has met its rows."""

    model: Model
    rows: Rows
    family: Family
    covariates: Tensor

    @cached_property
    def features(self) -> int | None:
        return self.rows.clean_shape[0] if self.rows.clean_shape else None

    @cached_property
    def arguments(self) -> dict[str, Argument]:
        found = self.family.arguments(self.features)
        for one in found.values():
            onto(one.support)  # which refuses what real numbers do not reach one by one, such as directions
        return found

    @cached_property
    def one(self) -> dict[str, Tensor]:
        """The parameters of one component, fitted to all rows; nothing of a density by hand, which has no fit."""
        found = first_fit(self.rows, self.family, 1)
        return {} if found is None else self.family.read(found.components)

    @cached_property
    def width(self) -> Tensor:
        """How wide the recorded rows are, by column: a unit where the family has no scale."""
        x = self.rows.tensor()
        return (x - x.nanmean(0)).square().nanmean(0).sqrt()

    def posterior(self) -> Posterior:
        self._check_names()
        variables, fixed = tuple(self._variables()), dict(self._fixed())
        names = [*(one.name for one in variables), *fixed]
        potentials = tuple(potential(one, names) for one in self.model.potentials)
        read = (self._term(),)
        return Posterior(
            variables, self._together, fixed, potentials, read, self.family, self.features, self.rows, self._ordered
        )

    @cached_property
    def _together(self) -> tuple[Together, ...]:
        """The prior that all parameters of the components have at once, if that is how it was given."""
        prior = self.model.priors
        if not isinstance(prior, ComponentsPrior):
            return ()
        if set(self.model.fixed) - {"weights"}:
            refuse("fixed", "of no parameter under a conjugate prior, which is on all", ", ".join(self.model.fixed))
        return (Together(prior, self.family, self.features, self.model.components),)

    @cached_property
    def _priors(self) -> Mapping[str, Any]:
        """The prior of each parameter by name."""
        given = self.model.priors
        if not isinstance(given, ComponentsPrior):
            return given
        return {name: Flat(one.support, repr(given)) for name, one in self.arguments.items()}

    # -- names

    def _check_names(self) -> None:
        known = [*self.arguments, "weights"]
        for argument, named in (
            ("priors", self._priors),
            ("fixed", self.model.fixed),
            ("slopes", self.model.slopes),
            ("ordered", [self._ordered[0]] if self._ordered else []),
        ):
            unknown = [str(name) for name in named if name not in known]
            if unknown:
                refuse(argument, f"about {', '.join(known)}", ", ".join(unknown))
        if self.model.slopes and self.rows.observation.selects:
            refuse("slopes", "without an observation that leaves rows out", type(self.rows.observation).__name__)
        if set(self.model.slopes) - {"weights"} and self.rows.observation.side:
            refuse("slopes", "of weights alone where rows have errors of their own", ", ".join(self.model.slopes))
        if bool(self.model.slopes) != bool(self.covariates.shape[1]):
            came = f"{self.covariates.shape[1]} covariates and {len(self.model.slopes)} slopes"
            refuse("covariates", "given where there are `slopes`, and only there", came)

    @cached_property
    def _ordered(self) -> tuple[str, int | None] | None:
        """The parameter in order and its coordinate; none of numbers."""
        given = self.model.ordered
        if given is None:
            return None
        name, coordinate = (given, 0) if isinstance(given, str) else given
        argument = self.arguments.get(name)
        width = argument.shape[0] if argument and argument.shape else None
        if name in self.model.fixed:
            refuse("ordered", "a parameter that is learned", f"{name}, which is fixed")
        if argument is not None and (argument.shared or len(argument.shape) > 1):
            refuse("ordered", "a parameter with one number for each component and coordinate", name)
        if not 0 <= coordinate < (width or 1):
            refuse("ordered", f"a coordinate of `{name}` from 0 to {(width or 1) - 1}", coordinate)
        return name, None if width is None else coordinate

    # -- what is learned

    def _variables(self) -> Iterator[Variable]:
        if "weights" not in self.model.fixed and self.model.components > 1:
            yield from self._of_weights()
        for name, argument in self.arguments.items():
            if name not in self.model.fixed:
                yield from self._of_argument(name, argument)
        for name, given in self.model.slopes.items():
            yield from self._of_slope(name, given)

    def _of_weights(self) -> Iterator[Variable]:
        count, floor = self.model.components, self.model.min_weight
        own = law(default_weights(count) if self.model.weights is None else self.model.weights, "weights")
        check_support("weights", own, constraints.simplex)
        map = Floored(floor) if floor else Centred()
        yield from self._variable("weights", (count,), ("component",), own, self.model.weights, map)

    def _of_argument(self, name: str, argument: Argument) -> Iterator[Variable]:
        given = self._priors.get(name)
        own = law(self._default(name, argument) if given is None else given, f"priors[{name!r}]")
        check_support(name, own, argument.support)
        dims = "tied" if argument.shared else "component", *self._inner_dims(name, argument.shape)
        yield from self._variable(name, self._shape(argument), dims, own, given, self._bijection(name, own))

    def _default(self, name: str, argument: Argument) -> Any:
        if name not in self.one:
            refuse("priors", f"given for {name!r}: a density by hand says nothing of its scale", "none")
        return default_prior(name, argument, self.one, self.width, self.model.components)

    def _bijection(self, name: str, own: Law) -> Transform:
        real = entry(own.support) is constraints.real
        onto_support = self._measured(name) if real and name in self.one else onto(own.support)
        if self._ordered is None or self._ordered[0] != name:
            return onto_support
        if onto_support.event_dim:
            refuse("ordered", "a parameter of numbers that stand alone", name)
        return ComposeTransform([Ordered(self._ordered[1]), onto_support])

    def _measured(self, name: str) -> Transform:
        """Real numbers as far from the middle of the data as they are wide: so no unit of theirs changes anything."""
        return Measured(self.one[name][0].double(), spread(name, self.one, self.width))

    def _of_slope(self, name: str, given: Any) -> Iterator[Variable]:
        argument = Argument(constraints.real) if name == "weights" else self.arguments[name]
        if argument.shared or len(argument.shape) > 1 or onto(argument.support).event_dim:
            refuse("slopes", "of parameters of numbers that stand alone, or of weights", name)
        wide = self.covariates.std(0, correction=0).clamp_min(1e-12).reshape(-1, *(1,) * len(argument.shape))
        unit = self._reach(name) / wide
        own = law(Normal(torch.zeros_like(unit), 2.5 * unit) if given is None else given, "slopes")
        check_support(f"{name}_slope", own, constraints.real)
        real = entry(own.support) is constraints.real
        map = Measured(torch.zeros_like(unit), unit) if real else onto(own.support)
        shape = (self.model.components, self.covariates.shape[1], *argument.shape)
        dims = "component", "covariate", *self._inner_dims(name, argument.shape)
        yield from self._variable(f"{name}_slope", shape, dims, own, given, map)

    def _reach(self, name: str) -> Tensor | float:
        """How far covariates may well move a parameter: a location by a scale of the data, anything else by one."""
        real = name in self.one and self.arguments[name].support is constraints.real
        return spread(name, self.one, self.width) if real else 1.0

    def _variable(
        self, name: str, shape: tuple[int, ...], dims: tuple[str, ...], own: Law, given: Any, map: Transform
    ) -> Iterator[Variable]:
        """A variable, after those that its prior hangs on."""
        behind = {inner: f"{name}_{inner}" for inner in own.hyper}
        for inner, prior in own.hyper.items():
            hyper, named = prior.shape, self._inner_dims(behind[inner], prior.shape)
            yield from self._variable(behind[inner], hyper, named, prior, prior, onto(prior.support))
        _check_shape(name, own, shape)
        ascending = self._ordered is not None and name == self._ordered[0]
        words = f"{own!r}" + ", ascending" * ascending + " (weak, by the data)" * (given is None)
        yield Variable(name, shape, own, map, dims, behind, words)

    def _shape(self, argument: Argument) -> tuple[int, ...]:
        return (1 if argument.shared else self.model.components, *argument.shape)

    def _inner_dims(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Names of the dimensions behind those of components and covariates: features, once and again, or by number."""
        features = iter(("feature", "feature_"))
        return tuple(
            next(features, f"{name}_{place}") if size == self.features else f"{name}_{place}"
            for place, size in enumerate(shape)
        )

    # -- what is held

    def _fixed(self) -> Iterator[tuple[str, Tensor]]:
        if self.model.components == 1:
            yield "weights", torch.ones(1, dtype=torch.float64)
        for name, given in self.model.fixed.items():
            argument = Argument(constraints.simplex) if name == "weights" else self.arguments[name]
            yield name, _held(name, given, argument.support, self._shape(argument))

    # -- how rows are read

    def _term(self) -> Term:
        rows = self.rows
        possible = rows.possible.among(torch.zeros(len(rows), self.model.components, dtype=torch.float64))
        possible = possible if rows.possible.known else possible[:, :1]
        data = rows.tensor(), rows.each_weight, possible, self.covariates, *rows.observation.side
        moved = {name: self.arguments[name] for name in self.model.slopes if name != "weights"}
        return Term(data, self.family, self.features, rows.observation, Slopes(moved, "weights" in self.model.slopes))


def _check_shape(name: str, own: Law, shape: tuple[int, ...]) -> None:
    """Refuses a prior with a shape of its own that the parameter has not."""
    if not own.hyper and not _broadcasts(own.shape, shape):
        expected = f"one law, or laws of a shape that broadcasts to {shape} (components first)"
        refuse(f"priors[{name!r}]", expected, f"{own!r} of shape {own.shape}")


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(one in (1, other) for one, other in pairs)


def _held(name: str, given: Any, support: Any, shape: tuple[int, ...]) -> Tensor:
    """A parameter that is held, in its shape."""
    value = torch.as_tensor(given, dtype=torch.float64)
    if not _broadcasts(tuple(value.shape), shape):
        refuse(f"fixed[{name!r}]", f"a number, or numbers that broadcast to {shape}", f"shape {tuple(value.shape)}")
    value = value.expand(shape).contiguous()
    if not bool(support.check(value).all()):
        refuse(f"fixed[{name!r}]", in_words(support), given)
    return value
