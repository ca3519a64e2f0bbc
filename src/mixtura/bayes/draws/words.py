"""Draws in words: each component's parameters with the interval that they lie in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...report.digits import rounded
from .read_back import Drawn, parameters_of, set_of

__all__ = ["Interval", "intervals", "summary"]

_ENDS = (0.05, 0.95)


class Interval:
    """A number of the posterior: its mean, and the ends between which nine tenths of its draws lie.

    Arguments:
        name: The parameter, with the names of its entries: ``loc[1]``.
        component: The component that it belongs to; none where components share it.
        draws: Its draws, ``(chains, draws)``.
    """

    def __init__(self, name: str, component: int | None, draws: Tensor) -> None:
        self.name, self.component, self.draws = name, component, draws
        self.mean, self.scale = float(draws.mean()), float(draws.std())
        low, high = torch.quantile(draws.flatten(), torch.tensor(_ENDS, dtype=draws.dtype)).tolist()
        self.low, self.high = low, high

    @property
    def whose(self) -> str:
        """The name, with the component."""
        return self.name if self.component is None else f"{self.name} of component {self.component}"

    @cached_property
    def r_hat(self) -> float:
        """The rank-normalised split R-hat; NaN of a single chain, or of a number that never changes."""
        return _measured("rhat", self.draws) if self.draws.shape[0] > 1 and self.draws.shape[1] > 3 else float("nan")

    @cached_property
    def effective(self) -> float:
        """How many independent draws these are worth, for the middle or the tails, whichever are fewer."""
        return min(_measured("ess", self.draws, method=method) for method in ("bulk", "tail"))

    @property
    def words(self) -> str:
        """Mean and ends, to as many digits as the spread of the draws is worth."""
        mean, low, high = (rounded(one, self.scale) for one in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})"


def _measured(measure: str, draws: Tensor, **how: Any) -> float:
    """A measure of ArviZ's, of draws of one number ``(chains, draws)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of ArviZ about its own next version
        import arviz

        warnings.simplefilter("ignore", RuntimeWarning)  # of numbers that never change, which have no such measure
        return float(getattr(arviz, measure)(draws.numpy(), **how))


def intervals(idata: Drawn) -> list[Interval]:
    """Returns an `Interval` for every number that the posterior has, components after each other.

    Of what is symmetric only one half is told, and of covariances only they themselves, not the factors behind them.
    """
    values = parameters_of(idata)
    group = set_of(idata, "posterior")
    names = [name for name in group.data_vars if name != "correlation" or "covariance" not in group]
    found = [one for name in names for one in _of(str(name), values[name], group[name])]
    return sorted(found, key=lambda one: -1 if one.component is None else one.component)


def _of(name: str, value: Tensor, variable: Any) -> Iterator[Interval]:
    dims = [str(dim) for dim in variable.dims[2:]]
    flat = value.flatten(2) if value.ndim > 2 else value.unsqueeze(-1)
    for place, at in enumerate(torch.cartesian_prod(*map(torch.arange, value.shape[2:])).reshape(flat.shape[-1], -1)):
        entry = dict(zip(dims, at.tolist(), strict=True)) if dims else {}
        if entry.get("feature", 0) > entry.get("feature_", entry.get("feature", 0)):
            continue
        component = entry.pop("component", None)
        entry.pop("tied", None)
        shown = [str(variable[dim].values[index]) for dim, index in entry.items()]
        yield Interval(f"{name}[{', '.join(shown)}]" if shown else name, component, flat[..., place])


def summary(idata: Drawn) -> str:
    """Returns what the posterior says of each component, in words.

    Example:
        >>> posterior = mx.bayes.Model(2, ordered="loc").posterior(mx.datasets.old_faithful()[:, 0])
        >>> u = posterior.start() + 0.01 * torch.randn(4, 50, posterior.size)
        >>> print(mx.bayes.summary(mx.bayes.inference_data(posterior, u)).split(":")[0])
        Component 0
    """
    lines: dict[str, list[str]] = {}
    for one in intervals(idata):
        whose = "All components" if one.component is None else f"Component {one.component}"
        lines.setdefault(whose, []).append(f"{one.name} {one.words}")
    return "\n".join(f"{whose}: {', '.join(said)}." for whose, said in lines.items())
