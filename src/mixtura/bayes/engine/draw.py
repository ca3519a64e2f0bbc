r"""Chains of draws from a posterior by the no-U-turn sampler.

Paths of Hamiltonian motion in u are doubled until they turn back, and a point of each is drawn (Hoffman and Gelman,
2014). Step size and scales are found in the draws for tuning, which are kept apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import MixtureError, refuse
from ...learning.loop.progress import bar
from . import adapter
from .functions import Functions, functions

if TYPE_CHECKING:
    from ..posterior import Posterior

__all__ = ["Draws", "draw"]

_MAX_DEPTH = 10


@dataclass(frozen=True, eq=False)
class Draws:
    """What chains drew.

    Arguments:
        posterior: What was drawn from.
        points: Draws of u, ``(chains, draws, P)``.
        statistics: ``diverging``, ``tree_depth``, ``reached_max_treedepth``, ``energy``, ``lp``, ``step_size``,
            ``n_steps`` and ``acceptance_rate`` of each draw, ``(chains, draws)``.
        warm_up: The same of the draws for tuning; none of it belongs to the posterior.
        interrupted: Whether somebody stopped the chains; they are then as long as most of them came.
        engine: ``"compiled"``, or ``"torch"`` where no machine code could be made.
        reason: Why torch served; empty where it did not.
    """

    posterior: Posterior
    points: np.ndarray
    statistics: Mapping[str, np.ndarray]
    warm_up: Draws | None
    interrupted: bool
    engine: str
    reason: str

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Everything that is reported, by name, ``(chains, draws, ...)``."""
        with torch.no_grad():
            found = self.posterior.constrain(torch.from_numpy(self.points))
        return {name: value.numpy() for name, value in found.items()}


def draw(
    posterior: Posterior,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.8,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = False,
    starts: torch.Tensor | None = None,
) -> Draws:
    """Draws from a posterior by NUTS.

    Arguments:
        posterior: What to draw from.
        draws: Draws of each chain that are kept.
        tune: Draws of each chain before them.
        chains: How many chains.
        target_accept: The acceptance that the step size is made for: nearer to one where there are divergences.
        seed: A whole number, from which all chance comes.
        cores: How many chains at a time; as many as there are processors by default.
        progress: Whether to show a bar.
        starts: Points ``(S, P)`` of u that chains begin at, by lot; near a fit by default.

    Ctrl-C ends it and keeps the draws so far.

    Raises:
        ImportError: If nutpie is not installed.
        MixtureError: If an argument is out of its range, or no start is possible.
        KeyboardInterrupt: If it was stopped before there were draws.
    """
    settings = _settings(draws, tune, chains, target_accept, seed, cores)
    adapter.extension()
    found = functions(posterior)
    with bar(progress, "sampling", chains * (draws + tune), "{task.fields[told]} divergences", 0) as told:
        shown = adapter.progress_type(told)
        under_way = adapter.sampler(posterior.size, found, _start(posterior, found, starts), settings, shown)
        interrupted = _waited(under_way, found)
    return _gathered(posterior, adapter.taken(under_way), interrupted, found)


def _settings(
    draws: int, tune: int, chains: int, target_accept: float, seed: int, cores: int | None
) -> adapter.Settings:
    for name, value in (("draws", draws), ("tune", tune), ("chains", chains)):
        if value < 1:
            refuse(name, "at least 1", value)
    if not 0 < target_accept < 1:
        refuse("target_accept", "between 0 and 1", target_accept)
    at_once = min(chains, cores or len(os.sched_getaffinity(0)))
    return adapter.Settings(draws, tune, chains, at_once, target_accept, seed, _MAX_DEPTH)


def _start(posterior: Posterior, found: Functions, starts: torch.Tensor | None) -> Callable[[int], np.ndarray]:
    """Where each chain begins; what is in the way of that is raised when the chains have ended."""

    def start(own: int) -> np.ndarray:
        if starts is not None:
            return starts[own % len(starts)].numpy()
        try:
            return posterior.start(torch.Generator().manual_seed(own % 2**63)).numpy()
        except MixtureError as error:
            found.failures.append(error)
            raise

    return start


def _waited(under_way: Any, found: Functions) -> bool:
    """Waits for all chains; whether somebody stopped them."""
    try:
        under_way.wait(None)
        interrupted = False
    except KeyboardInterrupt:
        with suppress(RuntimeError):  # which it raises where a chain had not begun
            under_way.abort()
        interrupted = True
    except RuntimeError as error:
        raise (found.failures or [error])[0] from None
    if found.failures:
        raise found.failures[0]
    return interrupted


def _gathered(posterior: Posterior, chains: list[adapter.Chain], interrupted: bool, found: Functions) -> Draws:
    def some(tuning: bool, warm_up: Draws | None) -> Draws:
        length, kept = _common([int((one.tuning == tuning).sum()) for one in chains])
        parts = [(chains[i], np.flatnonzero(chains[i].tuning == tuning)[:length]) for i in kept]
        points = np.stack([one.points[at] for one, at in parts])
        names = chains[0].statistics
        statistics = {name: np.stack([one.statistics[name][at] for one, at in parts]) for name in names}
        return Draws(posterior, points, statistics, warm_up, interrupted, found.engine, found.reason)

    return some(False, some(True, None))


def _common(lengths: list[int]) -> tuple[int, list[int]]:
    """The length at which most draws are kept, and the chains that have it; chains differ where they were stopped."""
    length = max(lengths, key=lambda one: one * sum(other >= one for other in lengths))
    if not length:
        raise KeyboardInterrupt
    return length, [i for i, one in enumerate(lengths) if one >= length]
