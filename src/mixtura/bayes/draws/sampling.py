"""From a posterior to ArviZ's data: by NUTS, or by the draws of an approximation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Generator

from ..approximations import Approximation
from ..engine import Draws, draw
from ..posterior import Posterior
from .arviz import inference_data

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["of_draws", "sampled", "to_arviz"]


def sampled(
    posterior: Posterior,
    draws: int,
    tune: int,
    chains: int,
    target_accept: float,
    generator: Generator | None = None,
    progress: bool = False,
) -> InferenceData:
    """Returns draws by NUTS; see `Model.sample`."""
    seed = int(torch.randint(2**31, (), generator=generator))
    found = draw(posterior, draws, tune, chains, target_accept, seed, progress=progress)
    return of_draws(found, generator)


def of_draws(found: Draws, generator: Generator | None = None) -> InferenceData:
    """Returns what chains drew as ArviZ's data."""
    idata = inference_data(found.posterior, torch.from_numpy(found.points), found.statistics, generator)
    ended = "interrupted: these are the draws so far" if found.interrupted else "all draws were made"
    engine = f"{found.engine}: {found.reason}" if found.reason else found.engine
    idata["posterior"].attrs.update({"method": "NUTS", "engine": engine, "ended": ended})
    return idata


def to_arviz(found: Approximation, draws: int = 1000, generator: Generator | None = None) -> InferenceData:
    """Returns draws of an approximation as ArviZ's data: one chain of independent ones.

    Arguments:
        found: What `Model.advi`, `Model.laplace` or `Model.pathfinder` returned.
        draws: How many draws.
        generator: The source of randomness.

    Raises:
        ImportError: If ArviZ is not installed.

    Example:
        >>> found = mx.bayes.Model(2, mx.Normal, ordered="loc").laplace(mx.datasets.old_faithful()[:, 0])
        >>> mx.bayes.to_arviz(found, 100).posterior["loc"].shape
        (1, 100, 2)
    """
    posterior: Posterior = found.target  # pyright: ignore[reportAssignmentType] (models make no other targets)
    idata = inference_data(posterior, found.sample(draws, generator).unsqueeze(0), None, generator)
    about = {"method": type(found).__name__, "ended": found.reason.value, "pareto_k": found.check.pareto_k}
    idata["posterior"].attrs.update(about)
    return idata
