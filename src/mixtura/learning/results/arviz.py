"""Draws of mixtures as ArviZ's data, with named dimensions: chain, draw, component, feature, row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor

from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ..expectation.expect import each_row, log_density

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["dataset", "inference_data", "joined"]

_INNER = ["component", "feature", "feature_"]
_OF_THE_DATA = ("observed_data", "constant_data")


def inference_data(
    draws: Mixture, chains: int, rows: Rows, log_likelihood: bool, predictive: int, generator: Generator | None
) -> InferenceData:
    """Returns a batch of draws ``(chains * draws,)`` as ArviZ's data; see `GibbsFit.to_arviz`."""
    posterior = {"weights": draws.weights, **parameters(draws.components)}
    groups: dict[str, Any] = {"posterior": {name: _by_chain(value, chains) for name, value in posterior.items()}}
    dims = {"posterior": {name: _INNER[: value.ndim - 2] for name, value in groups["posterior"].items()}}
    row = ["feature"] if rows.event_shape else []
    if log_likelihood:
        groups["log_likelihood"] = {"x": _by_chain(_log_likelihood(draws, rows), chains)}
        dims["log_likelihood"] = {"x": ["row"]}
    if predictive:
        sample = _further_rows(draws, rows, predictive, generator)
        groups["posterior_predictive"] = {"x": _by_chain(sample, chains)}
        dims["posterior_predictive"] = {"x": ["sample", *row]}
    groups["observed_data"] = {"x": rows.tensor().cpu().numpy()}
    dims["observed_data"] = {"x": ["row", *row]}
    names = {"posterior": rows.observation.clean_columns(rows.columns)}
    found = ((group, names.get(group, rows.columns)) for group in groups)
    return joined({group: dataset(group, groups[group], dims[group], columns) for group, columns in found})


def parameters(components: Any) -> dict[str, Tensor]:
    """Returns the parameters of components by name: mean and covariance of Gaussians, else the family's own."""
    if components.is_gaussian and components.event_shape:
        return {"mean": components.mean, "covariance": components.covariance}
    if components.has_lines:
        slopes = zip(components.covariates, components.coefficients.unbind(-1), strict=True)
        each = {f"coefficient_{column}": slope for column, slope in slopes}
        return {"intercept": components.intercept, **each, "scale": components.scale}
    own = {name: value for name, value in components._fields().items() if isinstance(value, Tensor)}
    if len(own) < len([*components.tensors()]):  # some are further inside
        return {"mean": components.mean, "variance": components.variance}
    return own


@torch.no_grad()
def _log_likelihood(draws: Mixture, rows: Rows) -> Tensor:
    """Returns the log-density of each row under each draw, ``(S, N)``."""
    each = (draws.batch(s) for s in range(len(draws.logits)))
    return torch.stack([rows.gather(lambda block, draw=draw: log_density(draw, each_row(block))) for draw in each])


@torch.no_grad()
def _further_rows(draws: Mixture, rows: Rows, count: int, generator: Generator | None) -> Tensor:
    """Returns rows of each draw as they would be recorded, ``(S, count, *event)``."""
    if rows.observation.side:
        refuse("predictive", "0 where each row was recorded in its own way", count, "Record draws of `predictive`.")
    labels = draws.sample_labels((count,), generator)
    clean = draws.components.draw(labels, generator)
    return rows.observation.record(clean, labels, generator, draws.components).movedim(0, 1)


def _by_chain(value: Tensor, chains: int) -> np.ndarray[Any, Any]:
    return value.reshape(chains, -1, *value.shape[1:]).cpu().numpy()


def dataset(
    group: str, values: Mapping[str, Any], dims: Mapping[str, Sequence[str]], columns: tuple[str, ...] | None
) -> Any:
    """Returns a group as xarray's data set: arrays of numbers, what their dimensions are called, and their columns."""
    import xarray

    lead = [] if group in _OF_THE_DATA else ["chain", "draw"]
    arrays = {name: ([*lead, *dims[name]], value) for name, value in values.items()}
    sizes = {dim: size for named, value in arrays.values() for dim, size in zip(named, value.shape, strict=True)}
    return xarray.Dataset(arrays, coords={dim: _coordinate(dim, size, columns) for dim, size in sizes.items()})


def _coordinate(dim: str, size: int, columns: tuple[str, ...] | None) -> list[Any]:
    return list(columns) if dim.startswith("feature") and columns is not None else list(range(size))


def joined(groups: Mapping[str, Any]) -> Any:
    """Returns `InferenceData` where ArviZ has it (before 1.0), and the `DataTree` that replaces it elsewhere."""
    import xarray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of ArviZ about its own next version
        import arviz
    if hasattr(arviz, "InferenceData"):
        return arviz.InferenceData(**groups)
    return xarray.DataTree.from_dict(groups)
