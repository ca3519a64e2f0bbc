"""What a figure is about: one mixture, the rows beside it, and the names of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data import Rows
from ..errors import refuse
from ..learning import Fit, Selection
from ..mixture import Mixture
from ..mixture.columns import rows_of

__all__ = ["Model", "Parts", "Subject", "Window", "parts", "shown", "subject"]

Model = Mixture | Fit | Selection

_SHOWN = 5000  # rows drawn as points; more only cover each other


class Parts(NamedTuple):
    """What a model is made of: its mixture, the fit that found it, the selection that chose it, as far as they are."""

    mixture: Mixture
    fit: Fit | None = None
    selection: Selection | None = None


@singledispatch
def parts(model: Model) -> Parts:
    """What a mixture, a fit or a selection (its best fit) is made of.

    Raises:
        MixtureError: If it is something else.
    """
    refuse("model", "a Mixture, a Fit or a Selection", type(model).__name__)


@parts.register
def _(model: Mixture) -> Parts:
    return Parts(model)


@parts.register
def _(model: Fit) -> Parts:
    return Parts(model.mixture, model)


@parts.register
def _(model: Selection) -> Parts:
    return Parts(model.best.mixture, model.best, model)


class Subject(NamedTuple):
    """A mixture in double precision on the CPU, the rows (or None) and one name for each of the D columns."""

    mixture: Mixture
    rows: Rows | None
    names: tuple[str, ...]

    @property
    def features(self) -> int:
        """The number of columns D."""
        return self.mixture.event_shape.numel()

    def points(self) -> tuple[Tensor, Tensor | None]:
        """The rows to draw, ``(n, D)``, and their weights; none where there are no rows."""
        if self.rows is None:
            return torch.empty((0, self.features), dtype=torch.float64), None
        return shown(self.rows)

    def pair(self, dims: Sequence[int]) -> Subject:
        """The same in some of the columns; the rows stay whole, see `columns_shown`."""
        wanted = list(dims)
        everything = wanted == list(range(self.features))
        mixture = self.mixture if everything else self.mixture.marginal(wanted)
        return Subject(mixture, None, tuple(self.names[d] for d in wanted))

    def log_prob(self, points: Tensor) -> Tensor:
        """Log-densities of points ``(n, D)``, in nats."""
        return self.mixture.log_prob(points.reshape(-1, *self.mixture.event_shape))

    def log_joint(self, points: Tensor) -> Tensor:
        """Weighted log-densities of points ``(n, D)`` under each component, ``(n, K)``, in nats."""
        return self.mixture.log_joint(points.reshape(-1, *self.mixture.event_shape))


def subject(model: Model, x: Any = None, columns: Sequence[str] | None = None) -> Subject:
    """The mixture, rows and names that the arguments of a figure stand for.

    Arguments:
        model: A mixture without batch shape, a fit (which brings its rows) or a selection (its best fit).
        x: Rows in any form that `fit` takes, instead of the fit's; columns that have names are found by them.
        columns: Names of the columns, instead of the rows'.
    """
    mixture, fit, _ = parts(model)
    if mixture.batch_shape:
        refuse("model", "one mixture", f"batch shape {tuple(mixture.batch_shape)}", "Choose one: mixture.batch(0).")
    features = mixture.event_shape.numel()
    rows = rows_of(mixture, x) if x is not None else None if fit is None else _placed(fit.rows, features)
    names = tuple(columns or (rows.columns if rows is not None else None) or mixture.columns or _numbered(features))
    if len(names) != features:
        refuse("columns", f"{features} names", f"{len(names)}: {', '.join(names)}")
    return Subject(mixture.detach().to("cpu", torch.float64), rows, names)


def _placed(rows: Rows, features: int) -> Rows | None:
    """The rows of a fit; none where a projection recorded fewer columns than the mixture has: they have no place."""
    return rows if rows.features == features else None


def _numbered(features: int) -> tuple[str, ...]:
    return ("x",) if features == 1 else tuple(f"x{d}" for d in range(features))


def shown(rows: Rows, most: int = _SHOWN) -> tuple[Tensor, Tensor | None]:
    """All rows where they are few; otherwise one drawn at random from each of ``most`` equal stretches.

    Rows with gaps have no place in a figure and are left out.

    Returns:
        The rows, ``(n, D)``, in double precision on the CPU, and their weights ``(n,)`` or None.
    """
    some = rows.take(_chosen(len(rows), most))
    points = some.tensor().detach().reshape(len(some), -1).cpu().double()
    whole = ~points.isnan().any(-1)
    return points[whole], None if some.weight is None else some.weight.detach().cpu().double()[whole]


def _chosen(count: int, most: int) -> Tensor:
    if count <= most:
        return torch.arange(count)
    within = torch.rand(most, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return ((torch.arange(most) + within) * (count / most)).long().clamp_max(count - 1)


class Window(NamedTuple):
    """The ranges that a figure shows: ``low`` and ``high``, ``(D,)``."""

    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, points: Tensor, mixture: Mixture) -> Window:
        """All points with a margin of 8 per cent; without points, what the components' scales reach."""
        if not len(points):
            points = _reach(mixture)
        low, high = points.amin(0), points.amax(0)
        margin = 0.08 * torch.where(high > low, high - low, 1.0)
        return cls(low - margin, high + margin)

    def line(self, dim: int, count: int) -> Tensor:
        """That many equally spaced values of one column, ``(count,)``."""
        return torch.linspace(float(self.low[dim]), float(self.high[dim]), count, dtype=torch.float64)


def _reach(mixture: Mixture) -> Tensor:
    count = mixture.logits.shape[-1]
    mean = mixture.components.mean.reshape(count, -1)
    scale = mixture.components.variance.reshape(count, -1).sqrt()
    alive = mixture.logits > -torch.inf
    return torch.cat([mean - 3.5 * scale, mean + 3.5 * scale])[alive.repeat(2)]
