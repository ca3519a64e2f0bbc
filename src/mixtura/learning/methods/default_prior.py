"""The default prior of Bayesian methods: what a prior leaves open is filled in from the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.prior import Prior, weak_components
from ...priors import ComponentsPrior, Conjugate, ConjugatePrior, NormalInverseGamma
from ...priors.weights import WeightsPrior
from ..expectation.expect import expect
from ..expectation.labels import soft
from ..starts.clean_rows import clean_summary

__all__ = ["conjugate", "informed"]

_UNITS = 64  # in the last place: how far a sum of many rows is from what it is without rounding
_CLEAR = 0.1  # nats


def informed(prior: Prior | None, rows: Rows, start: Mixture, concentration: float | WeightsPrior) -> Prior:
    """Returns the prior with components' priors from the data where it has none.

    Gaussians get `Prior.weak`; exponential families one pseudo-row whose statistics are the mean ones of the data, and
    of one row more where these say that some outcomes are impossible.

    Arguments:
        prior: The prior, or none.
        rows: The rows.
        start: A batch of mixtures of the family, with K components.
        concentration: The concentration where there is no prior at all.

    Raises:
        MixtureError: If the family has no default prior.
    """
    if prior is not None and prior.components is not None:
        return prior
    return Prior(concentration if prior is None else prior.concentration, _weak(rows, start))


def _weak(rows: Rows, start: Mixture) -> ConjugatePrior:
    components = start.components
    if components.is_gaussian:
        found = clean_summary(rows)
        return weak_components(found.mean, found.variance, components.batch_shape[-1])
    if components.has_lines:
        found = clean_summary(rows)
        return NormalInverseGamma.weak(found.mean, found.variance, components)
    if components.has_natural:
        statistics = expect(start.batch([0]), rows, soft)
        return Conjugate(1.0, _mean_row(components, statistics.moments[0][0].sum(0), statistics.weight.sum()))
    name = type(components).__name__
    refuse("prior", f"given for {name} components", None, "Give `mx.Prior(components=...)` a conjugate prior.")


def _mean_row(components: Any, total: Tensor, weight: Tensor) -> Tensor:
    """The mean statistics of rows, of which one more lies in the middle of the support if the others have no law."""
    mean = total / weight
    if not components.has_conjugate_law or _has_law(components, mean):
        return mean
    return (total + components.middling().to(total)) / (weight + 1)


def _has_law(components: Any, mean: Tensor) -> bool:
    """Whether a row of these statistics has a law whose size is not that of rounding."""
    near = mean * (1 - _UNITS * torch.finfo(components.dtype).eps)
    here, there = (components.prior_log_normaliser(torch.ones_like(one), one) for one in (mean, near))
    return bool(((here - there).abs() < _CLEAR).all())


def conjugate(prior: Prior) -> ComponentsPrior:
    """Returns the components' prior; an error where there is none."""
    return refuse("prior", "a prior with conjugate components", None) if prior.components is None else prior.components
