"""The default prior of Bayesian methods: what a prior leaves open is filled in from the data."""

from __future__ import annotations

from ..components import Component, ConjugatePrior, Gaussian, Normal
from ..data import Rows, summary
from ..errors import refuse
from .em import Prior, weak_components
from .weights import WeightsPrior

__all__ = ["conjugate", "informed"]


def informed(prior: Prior | None, rows: Rows, components: Component, concentration: float | WeightsPrior) -> Prior:
    """Returns the prior with components' priors from the data where it has none.

    Arguments:
        prior: The prior, or none.
        rows: The rows.
        components: A template of the family, with K components.
        concentration: The concentration where there is no prior at all.

    Raises:
        MixtureError: If the family has no default prior.
    """
    if prior is not None and prior.components is not None:
        return prior
    if not isinstance(components, (Gaussian, Normal)):
        name = type(components).__name__
        refuse("prior", f"given for {name} components", prior, "Give `mx.Prior(components=...)` a conjugate prior.")
    weak = weak_components(summary(rows), components.batch_shape[-1])
    return Prior(concentration if prior is None else prior.concentration, weak)


def conjugate(prior: Prior) -> ConjugatePrior:
    """Returns the components' prior; an error where it is not conjugate."""
    if not isinstance(prior.components, ConjugatePrior):
        refuse("prior", "a prior with conjugate components", prior.components)
    return prior.components
