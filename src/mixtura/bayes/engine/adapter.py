"""nutpie, as far as it is asked here: a sampler of a density in C. All that depends on its versions is in this file.

nutpie's Python imports ArviZ, which takes seconds, and none of it is needed: its compiled part is loaded alone. A
version whose constructors differ is driven through nutpie's own `sample`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np

from .functions import Functions

__all__ = ["Chain", "Settings", "extension", "model", "progress_type", "sampler", "taken", "through_nutpie"]

_NAME = "nutpie._lib"
_MISSING = (
    "NUTS needs nutpie: pip install 'mixtura[bayes]'. Without it there are `advi`, `pathfinder`, `map` and `laplace`."
)
_STATISTICS = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "energy": "energy",
    "logp": "lp",
    "step_size": "step_size",
    "n_steps": "n_steps",
    "mean_tree_accept": "acceptance_rate",
}
"""nutpie's name and ArviZ's."""


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Arguments:
        draws: Draws of each chain that are kept.
        tune: Draws before them, by which step size and scales are found.
        chains: How many chains.
        cores: How many of them at a time.
        target_accept: The acceptance that the step size is made for.
        seed: A whole number, from which all chance comes.
        max_depth: The most doublings of a path.
    """

    draws: int
    tune: int
    chains: int
    cores: int
    target_accept: float
    seed: int
    max_depth: int


@dataclass(frozen=True)
class Chain:
    """What one chain drew: points ``(draws, P)``, statistics ``(draws,)`` by name, and which draws were for tuning."""

    points: np.ndarray
    statistics: Mapping[str, np.ndarray]
    tuning: np.ndarray


def extension() -> Any:
    """The compiled part of nutpie.

    Raises:
        ImportError: If nutpie is not installed; the message says what works without.
    """
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    found = find_spec("nutpie")
    if found is None:
        raise ImportError(_MISSING)
    alone = PathFinder.find_spec(_NAME, found.submodule_search_locations)
    if alone is None or alone.loader is None:
        return import_module(_NAME)
    module = sys.modules[_NAME] = module_from_spec(alone)  # where nutpie itself finds it, if it is imported later
    alone.loader.exec_module(module)
    return module


def sampler(size: int, functions: Functions, start: Callable[[int], np.ndarray], settings: Settings, bar: Any) -> Any:
    """A sampler under way: `wait`, `abort`, `is_finished` and `take_results` are nutpie's.

    Arguments:
        size: How many numbers a point has.
        functions: The density and what writes down a point.
        start: The point where a chain begins, for a number that is a chain's own.
        settings: How to sample.
        bar: What `progress_type` returned.
    """
    nutpie = extension()
    built = model(nutpie, size, functions, start)
    try:
        return nutpie.PySampler.from_pymc(_told(nutpie, settings), settings.cores, built, bar, nutpie.PyStorage.arrow())
    except TypeError:
        return through_nutpie(nutpie, size, built, settings)


def model(nutpie: Any, size: int, functions: Functions, start: Callable[[int], np.ndarray]) -> Any:
    """The density with a variable for each number, as columns of numbers are what can be read at once."""
    names = [f"u{i}" for i in range(size)]
    variables = nutpie.PyVariable.new_variables(names, ["float64"] * size, [()] * size, {}, {})
    logp = nutpie.LogpFunc(functions.logp, functions.data, functions)
    expand = nutpie.ExpandFunc(size, size, functions.expand, functions.data, functions)
    return nutpie.PyMcModel(logp, expand, variables, size, {"unconstrained_parameter": size}, {}, start, None)


def _told(nutpie: Any, settings: Settings) -> Any:
    made = nutpie.PyNutsSettings.Diag(settings.seed)
    for name, value in _as_nutpie(settings).items():
        setattr(made, name, value)
    return made


def _as_nutpie(settings: Settings) -> dict[str, Any]:
    return {
        "num_tune": settings.tune,
        "num_draws": settings.draws,
        "num_chains": settings.chains,
        "target_accept": settings.target_accept,
        "maxdepth": settings.max_depth,
    }


def through_nutpie(nutpie: Any, size: int, built: Any, settings: Settings) -> Any:
    """The same by nutpie's own `sample`, which knows what its version's constructors want beside."""
    public = import_module("nutpie.sample")

    class Ours(public.CompiledModel):
        n_dim, shapes, coords = size, {}, {}

        def _make_sampler(self, told: Any, mean: Any, cores: int, *rest: Any) -> Any:
            return nutpie.PySampler.from_pymc(told, cores, built, *rest)

    under_way = public.sample(
        Ours(dims={}),
        cores=settings.cores,
        seed=settings.seed,
        blocking=False,
        progress_bar=False,
        **{name.replace("num_", ""): value for name, value in _as_nutpie(settings).items()},
    )
    return _Held(under_way)


class _Held:
    """A sampler that nutpie's own object would stop if nobody held it."""

    def __init__(self, under_way: Any) -> None:
        self._under_way, self._sampler = under_way, under_way._sampler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


def progress_type(told: Callable[[int, int], None] | None) -> Any:
    """What tells how far the chains are: all draws so far, and how many diverged."""
    kinds = extension().ProgressType
    if told is None:
        return kinds.none()

    def callback(text: str) -> None:
        done, *divergences = map(int, text.split())
        told(done, sum(divergences))

    template = "{{ total_finished_draws }}{% for chain in chains %} {{ chain.divergences }}{% endfor %}"
    return kinds.template_callback(_EVERY, template, 1, callback)


_EVERY = 200  # milliseconds


def taken(under_way: Any) -> list[Chain]:
    """What the chains drew so far; the sampler is done with after that."""
    return [_chain(*pair) for pair in zip(*under_way.take_results().get_arrow_trace(), strict=True)]


def _chain(draws: Any, statistics: Any) -> Chain:
    columns = [_numbers(draws, name) for name in draws.column_names]
    found = {ours: _numbers(statistics, theirs) for theirs, ours in _STATISTICS.items()}
    return Chain(np.stack(columns, -1), found, _numbers(statistics, "tuning"))


def _numbers(batch: Any, name: str) -> np.ndarray:
    return np.array(batch.column(name).to_numpy())
