"""Draws in words: each component's parameters with the interval that they lie in."""

from __future__ import annotations

from collections.abc import Iterator
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
    def words(self) -> str:
        """Mean and ends, to as many digits as the spread of the draws is worth."""
        mean, low, high = (rounded(one, self.scale) for one in (self.mean, self.low, self.high))
        return f"{mean} ({low} to {high})"


def intervals(idata: Drawn) -> list[Interval]:
    """Returns an `Interval` for every number that the posterior has, components after each other."""
    group = set_of(idata, "posterior")
    found = [one for name, value in parameters_of(idata).items() for one in _of(name, value, group[name])]
    return sorted(found, key=lambda one: -1 if one.component is None else one.component)


def _of(name: str, value: Tensor, variable: Any) -> Iterator[Interval]:
    dims = [str(dim) for dim in variable.dims[2:]]
    flat = value.flatten(2) if value.ndim > 2 else value.unsqueeze(-1)
    for place, at in enumerate(torch.cartesian_prod(*map(torch.arange, value.shape[2:])).reshape(flat.shape[-1], -1)):
        entry = dict(zip(dims, at.tolist(), strict=True)) if dims else {}
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
