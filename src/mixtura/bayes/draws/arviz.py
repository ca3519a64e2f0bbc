"""Draws of a posterior as ArviZ's data: what it has figures, diagnoses and criteria for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...learning.results.arviz import dataset, joined
from ..posterior import Posterior
from .kept_family import kept_family
from .lazy import lazily
from .matching import interchangeable, matched
from .predictive import replicates
from .prior import from_prior
from .reading import count, log_likelihood

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["inference_data"]

_PRIOR_DRAWS = 500

Values = Mapping[str, Tensor]


@torch.no_grad()
def inference_data(
    posterior: Posterior,
    u: Tensor,
    statistics: Mapping[str, Any] | None = None,
    generator: Generator | None = None,
) -> InferenceData:
    """Returns draws as ArviZ's data, `InferenceData` before ArviZ 1.0 and a ``DataTree`` from then on.

    Where nothing tells components apart their labels are made to agree over draws, as Gibbs sampling does. What is
    large is worked out at its first use: ``log_likelihood`` (N numbers a draw, rows as often as they count),
    ``posterior_predictive`` and ``prior_predictive`` (rows as they would be recorded, each in the place of one).

    Arguments:
        posterior: What was drawn from.
        u: Draws of its real numbers ``(chains, draws, P)``.
        statistics: What is known of each draw ``(chains, draws)`` by the names that ArviZ has for it.
        generator: The source of randomness of what is drawn from prior and predictive laws.

    Raises:
        ImportError: If ArviZ is not installed.

    Example:
        >>> posterior = mx.bayes.Model(2).posterior(mx.datasets.old_faithful()[:, 0])
        >>> u = posterior.start() + 0.01 * torch.randn(4, 50, posterior.size)
        >>> mx.bayes.inference_data(posterior, u).posterior["loc"].dims
        ('chain', 'draw', 'component')
    """
    if u.ndim != 3 or u.shape[-1] != posterior.size:
        refuse("u", f"draws of shape (chains, draws, {posterior.size})", tuple(u.shape))
    chains = len(u)
    values = posterior.constrain(u.flatten(0, 1).double())
    values = matched(posterior, values) if interchangeable(posterior) else values
    known = {"lp": posterior.log_density(u.double()), **(statistics or {})}
    before, (rows, prior_rows) = from_prior(posterior, _PRIOR_DRAWS, generator), _streams(generator)
    return joined(
        {
            "posterior": parameters(posterior, values, chains),
            "sample_stats": dataset("sample_stats", _arrays(known), dict.fromkeys(known, ()), None),
            "log_likelihood": _of_rows(posterior, values, chains, log_likelihood, ()),
            "posterior_predictive": _predicted(posterior, values, chains, rows),
            "prior": parameters(posterior, posterior.reported(posterior.whole(before)), 1),
            "prior_predictive": _predicted(posterior, before, 1, prior_rows),
            "observed_data": _observed(posterior),
            "constant_data": _held(posterior),
        }
    )


def parameters(posterior: Posterior, values: Values, chains: int) -> Any:
    """Returns the group of draws of parameters, chain by chain."""
    derived = values.keys() - posterior.dims
    dims = {name: (_first(values[name], posterior), "feature", "feature_") for name in derived} | posterior.dims
    columns = posterior.rows.observation.clean_columns(posterior.rows.columns)
    found = dataset("posterior", _by_chain(values, chains), dims, columns)
    return found.assign_attrs(described(posterior))


def _first(value: Tensor, posterior: Posterior) -> str:
    return "component" if value.shape[1] == posterior.components else "tied"


def described(posterior: Posterior) -> dict[str, Any]:
    """Returns what is said of the draws as a whole."""
    family = kept_family(posterior.family)
    return {"model": str(posterior), "family": family, "features": posterior.features or 0}


def _by_chain(values: Values, chains: int) -> dict[str, Any]:
    return {name: value.reshape(chains, -1, *value.shape[1:]).cpu().numpy() for name, value in values.items()}


def _arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: torch.as_tensor(value).cpu().numpy() for name, value in values.items()}


def _of_rows(posterior: Posterior, values: Values, chains: int, make: Any, event: Sequence[int]) -> Any:
    """A group of numbers for each row and draw, worked out later."""
    shape = (chains, count(values) // chains, len(posterior.rows), *event)
    later = lazily(shape, partial(make, posterior, values))
    dims = {"x": ("row", "feature")[: len(shape) - 2]}
    return dataset("log_likelihood", {"x": later}, dims, posterior.rows.columns)


def _predicted(posterior: Posterior, values: Values, chains: int, generator: Generator) -> Any:
    make = partial(replicates, generator=generator)
    found = _of_rows(posterior, values, chains, make, posterior.rows.event_shape)
    if posterior.rows.columns is not None and not posterior.rows.event_shape:
        found["x"].attrs["long_name"] = posterior.rows.columns[0]
    return found


def _streams(generator: Generator | None) -> list[Generator]:
    """Streams of their own for what is drawn later, so that it does not matter when."""
    seeds = torch.randint(2**62, (2,), generator=generator).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _observed(posterior: Posterior) -> Any:
    dims = {"x": ("row", "feature")[: 1 + len(posterior.rows.event_shape)]}
    return dataset("observed_data", {"x": posterior.rows.tensor().cpu().numpy()}, dims, posterior.rows.columns)


def _held(posterior: Posterior) -> Any:
    """What the model holds, in the shape of one draw."""
    values = {name: value.cpu().numpy() for name, value in posterior.fixed.items()}
    dims = {name: _dims(name, value.shape, posterior) for name, value in values.items()}
    return dataset("constant_data", values, dims, None)


def _dims(name: str, shape: tuple[int, ...], posterior: Posterior) -> list[str]:
    first = "component" if shape[:1] == (posterior.components,) else f"{name}_0"
    return [first, *(f"{name}_{place}" for place in range(1, len(shape)))][: len(shape)]
