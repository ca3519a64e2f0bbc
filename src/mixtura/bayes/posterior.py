r"""The posterior of a mixture's parameters given rows, as a density of one vector of real numbers.

Labels are summed out, so everything is smooth: with rows n, components k and what stands between a draw and a record,

.. math:: \log p(u | x) = \sum_n w_n \log \sum_k \pi_k\, p(x_n | \theta_k) + \log p(\pi, \theta) + \sum_i \phi_i
    + \log\Big|\frac{\partial(\pi, \theta)}{\partial u}\Big| + \mathrm{const}.

By Fisher's identity its gradient is the E-step again: responsibilities times the gradients of each component.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..components import Family
from ..data import Rows
from ..mixture import Mixture
from .laws import numbers
from .potentials import Potential
from .prior_draws import exchangeable, prior
from .quick import by_machine, machine_or_reason
from .rows import Term, alike
from .starts import fitted, start
from .together import Together
from .variables import Variable

__all__ = ["Posterior", "reordered"]

_NUMBERS = 2**23  # that a row's densities under all components may fill, for all rows and vectors asked about


@dataclass(frozen=True, eq=False)
class Posterior:
    """A model that has seen its rows.

    Arguments:
        variables: What is learned; those that a prior hangs on come before it.
        together: Priors that several of them have at once.
        fixed: What is held, by name, in the shape of one draw.
        potentials: What the density has beside priors and likelihood.
        terms: The likelihood of the rows, in their order.
        family: The family of the components.
        features: How many features a row of theirs has; none for numbers.
        rows: The rows, with all that is known of them.
        order: The parameter, and the coordinate of vectors, in whose order components stand, so that one of K! copies
            is left; or none.
        machine: Machine code for the density, where `quickened` made some.
        slow: Why `quickened` made none, so that torch serves, some hundred times slower; empty where that is not known.

    Example:
        >>> posterior = mx.bayes.Model(2).posterior(mx.datasets.old_faithful()[:, 0])
        >>> posterior.size, posterior.names
        (5, ('weights', 'loc', 'scale'))
    """

    variables: tuple[Variable, ...]
    together: tuple[Together, ...]
    fixed: Mapping[str, Tensor]
    potentials: tuple[Potential, ...]
    terms: tuple[Term, ...]
    family: Family
    features: int | None
    rows: Rows
    order: tuple[str, int | None] | None
    machine: Any = None
    slow: str = ""

    @property
    def size(self) -> int:
        """How many real numbers there are."""
        return sum(one.size for one in self.variables)

    @property
    def names(self) -> tuple[str, ...]:
        """What is learned, by name."""
        return tuple(one.name for one in self.variables)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """What the dimensions of each variable are called."""
        return {one.name: one.dims for one in self.variables}

    # -- the density

    def prepared(self, u: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns the values ``(*S, ...)`` by name behind real numbers ``(*S, P)``, and their log-density ``(*S,)``.

        The log-density is that of priors and potentials, in u: with the logarithm of the Jacobian.
        """
        values, jacobian = self._values(u)
        return values, jacobian + self.log_prior(values)

    def log_prior(self, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the log-density ``(*S,)`` of parameters under priors and potentials, in nats: with no Jacobian."""
        density = prior(self.variables, self.together, values)
        for one in self.potentials:
            density = density + one.log_prob(values, density.ndim)
        return density

    def log_density(self, u: Tensor) -> Tensor:
        """Returns the log-density ``(*S,)`` in nats of real numbers ``(*S, P)``, up to a constant of the data."""
        return self.by_torch(u) if self.machine is None else by_machine(self, u)

    def by_torch(self, u: Tensor) -> Tensor:
        """Returns `log_density` by torch's operations alone."""
        values, density = self.prepared(u)
        return density + self.log_likelihood(values)

    def quickened(self) -> Posterior:
        """Returns the same posterior with machine code for its density and gradient, where it can be made.

        That takes some tenths of a second, and pays for whoever asks thousands of times. A point is then asked about
        within microseconds for a hundred rows, by one thread, on a CPU.
        """
        found, reason = machine_or_reason(self)  # which finds a start: the copy has it, too
        new = copy(self)
        new.__dict__.update(machine=found, slow=reason)
        return new

    def log_density_in_parameters(self, u: Tensor) -> Tensor:
        """Returns the log-density ``(*S,)`` with respect to the parameters themselves: without the Jacobian.

        Its mode is what `mixtura.EM` with a prior finds; that of `log_density` is another point.
        """
        return self.log_density(u) - self._values(u)[1]

    @property
    def points_at_once(self) -> int:
        """How many vectors u may be asked about in one call without much memory."""
        return max(1, _NUMBERS // max(1, len(self.rows) * self.components * (self.features or 1)))

    def log_likelihood(self, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the log-likelihood ``(*S,)`` of all rows, in nats."""
        return sum((one.log_prob(values, *one.data).sum(0) for one in self.alike), torch.zeros(()))

    @cached_property
    def alike(self) -> tuple[Term, ...]:
        """The rows that say anything, by what was recorded of them: what sums over rows go through."""
        return tuple(one for term in self.terms for one in alike(term))

    def value_and_gradient(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `log_density` and its gradient ``(*S, P)``, by autograd."""
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            value = self.log_density(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient

    # -- between real numbers and parameters

    def _values(self, u: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        values = {name: value.expand(*u.shape[:-1], *value.shape) for name, value in self.fixed.items()}
        jacobian, start = torch.zeros_like(u[..., 0]), 0
        for one in self.variables:
            values[one.name], more = one.constrain(u[..., start : start + one.size])
            jacobian, start = jacobian + more, start + one.size
        return values, jacobian

    def constrain(self, u: Tensor) -> dict[str, Tensor]:
        """Returns all that is reported of real numbers ``(*S, P)``: what is learned, and what follows from it."""
        return self.reported(self._values(u)[0])

    def reported(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns what is reported of values ``(*S, ...)``: what is learned, and what follows from it."""
        return {name: values[name] for name in self.names} | self._derived(values)

    def _derived(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Covariance matrices, where scales and correlations make them."""
        if "correlation" not in values:
            return {}
        factor = values["scale"].unsqueeze(-1) * values["correlation"]
        return {"covariance": factor @ factor.mT}

    def whole(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns values ``(*S, ...)`` with those that are held, which are the same in all draws."""
        first = self.variables[0]
        leading = values[first.name].shape[: values[first.name].ndim - len(first.shape)]
        return {name: held.expand(*leading, *held.shape) for name, held in self.fixed.items()} | dict(values)

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the real numbers ``(*S, P)`` behind values ``(*S, ...)`` of all that is learned."""
        return torch.cat([one.unconstrain(values[one.name]) for one in self.variables], -1)

    def mixtures(self, values: Mapping[str, Tensor]) -> Mixture:
        """Returns the mixture of each draw: a batch ``(*S,)`` of them; where covariates move it, that at zero."""
        every = self.whole(values)
        parameters = {name: every[name] for name in self.family.arguments(self.features)}
        components = self.family.made(parameters, self.features)
        return Mixture._of(every["weights"].log().expand(components.batch_shape), components)

    # -- where to begin

    def start(self, generator: torch.Generator | None = None) -> Tensor:
        """Returns real numbers ``(P,)`` of positive density near the fit that the model was given, apart by chance.

        Raises:
            MixtureError: If none is found, with what is in the way.
        """
        return start(self, generator)

    @cached_property
    def centre(self) -> Tensor | None:
        """The real numbers behind a maximum-likelihood fit, as far as the priors have it; none without a fit."""
        return fitted(self)

    def in_order(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns values ``(*S, K, ...)`` with components in the model's order, where it has one."""
        if self.order is None:
            return dict(values)
        name, coordinate = self.order
        key = values[name] if coordinate is None else values[name][..., coordinate]
        own = {name: reordered(values[name], key.argsort(-1)) for name in self.of_components if name in values}
        return {**values, **own}

    @cached_property
    def one_of_copies(self) -> bool:
        """Whether an order keeps one of K! copies of each mixture, whose priors are the same."""
        return self.order is not None and exchangeable(self.variables, self.together)

    @property
    def of_components(self) -> tuple[str, ...]:
        """The variables of which every component has a value of its own, by name."""
        return tuple(one.name for one in self.variables if one.of_components)

    @property
    def components(self) -> int:
        """The number of components K."""
        known = {one.name: one.shape for one in self.variables} | {k: tuple(v.shape) for k, v in self.fixed.items()}
        return known["weights"][0]

    def __str__(self) -> str:
        learned = [f"{one.name} ~ {one.words}" for one in self.variables]
        held = [f"{name} = {numbers(value)}" for name, value in self.fixed.items()]
        walls = [f"and {one.label}" for one in self.potentials]
        slow = [f"through torch, not machine code: {self.slow}"] if self.slow else []
        return "\n".join([*learned, *held, *walls, *slow])


def reordered(value: Tensor, order: Tensor) -> Tensor:
    """Returns values ``(*S, K, ...)`` with components in the order ``(*S, K)``."""
    wide = order.reshape(*order.shape, *(1,) * (value.ndim - order.ndim))
    return torch.take_along_dim(value, wide, order.ndim - 1)
