r"""What kind of regressions a fit is to learn: which column is the target, and where effects start.

Starts come from responsibilities, as those of any family. With the target on the scale of the predictor (itself, the
logarithm of a count and a half, the log-odds of half a success more) each component begins at the weighted least
squares line of its rows, blended with that of all rows. Half of the starts take rows that are near to each other for
those of one component; lines that cross have no such rows, so the others take a few rows by lot, and blend more.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from torch.distributions import constraints

from ...errors import refuse
from ..argument import Argument
from ..domains import in_words, trials
from ..family import Family
from .dependent import refuse_dependent
from .linear import LinearRegression
from .logistic import LogisticRegression
from .poisson import PoissonRegression
from .regression import Regression
from .sums import pulls, solved, squares

if TYPE_CHECKING:
    from torch.distributions.constraints import Constraint

    from ...data import Rows

__all__ = ["LinearFamily", "LogisticFamily", "PoissonFamily", "RegressionFamily"]

_BLEND = (0.02, 0.2)  # how much of the line of all rows is mixed into each component's, by start
_FEW, _TOWARD = 10, 0.8  # rows for each effect of lines by lot, and how much of the line of all is in these
_HALF = 0.5  # a success, or a count

Column = int | str


@dataclass(frozen=True, eq=False, repr=False)
class RegressionFamily(Family):
    """Regressions of one column on others.

    Arguments:
        target: The column that is explained, by number or name.
        features: The covariates; all other columns by default. Where all are named, only these columns of a table are
            read.
        intercept: Whether predictors have an intercept.
    """

    target: Column = -1
    features: tuple[Column, ...] | None = None
    intercept: bool = True

    def __post_init__(self) -> None:
        if self.features is not None:
            one = isinstance(self.features, (int, str))
            object.__setattr__(self, "features", (self.features,) if one else tuple(self.features))

    def shown(self) -> list[str]:
        """Returns the settings in words, without columns that are known by number: they are those of the rows."""
        return [one for one in super().shown() if "'" in one or not one.startswith(("target", "features", "trials"))]

    # -- which rows it takes

    @property
    def apart(self) -> tuple[Column, ...]:
        """The columns that are no covariates."""
        return (self.target,)

    @property
    def reads(self) -> tuple[str, ...] | None:
        listed = (*(self.features or ()), *self.apart)
        named = tuple(one for one in listed if isinstance(one, str))
        return named if self.features and len(named) == len(listed) else None

    def bind(self, rows: Rows, summary: Any) -> Self:
        """Returns the family with columns by number, checked against those of the rows."""
        if not rows.observation.exact:
            came, advice = type(rows.observation).__name__, "Drop rows with gaps, or fill them."
            refuse("observation", f"none for {self.kind.__name__} components", came, advice)
        count = summary.mean.numel()
        if not rows.event_shape or count <= len(self.apart):
            refuse("x", f"a table of covariates and a target, for {self.kind.__name__} components", f"{count} columns")
        bound = self._numbered(rows.number)
        apart = bound.apart
        every = tuple(one for one in range(count) if one not in apart)
        features = every if bound.features is None else tuple(map(int, bound.features))
        if sorted(map(int, (*features, *apart))) != list(range(count)):
            came = f"{', '.join(map(rows.named, features))} of {count} columns"
            refuse("features", "all columns beside the target, each once", came, "Choose columns with columns=[...].")
        return replace(bound, features=features)

    def among(self, rows: Rows, on: Sequence[int]) -> tuple[Self, tuple[int, ...]]:
        """Returns the columns of rows that it names, all where it names no features, and itself numbered among them."""
        one = self._numbered(rows.number)
        named = range(rows.features) if one.features is None else (*one.features, *one.apart)
        own = sorted(map(int, {*named}))
        return one._numbered(lambda column: own.index(int(column))), tuple(own)

    def _numbered(self, number: Callable[[Column], int]) -> Self:
        """The family with columns by number."""
        features = None if self.features is None else tuple(map(number, self.features))
        return replace(self, target=number(self.target), features=features)

    @property
    def place(self) -> int:
        """The column of the target, once it is known by number."""
        return int(self.target)

    @property
    def covariates(self) -> list[int]:
        """The columns of the covariates, in the order of the table, once they are known by number."""
        return sorted(int(one) for one in self.features or ())

    @property
    def response(self) -> Constraint:
        """Where the target may lie."""
        kind: Any = self.kind
        return kind.response

    @property
    def expects(self) -> str:
        return in_words(self.response)

    @property
    def discrete(self) -> bool:
        return self.response.is_discrete

    def outside(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x, dtype=torch.bool)
        out[..., self.place] = ~self.response.check(x[..., self.place])
        return out

    def check(self, rows: Rows) -> None:
        super().check(rows)
        refuse_dependent(rows, self.covariates, self.place, self.intercept)

    def clustered(self, clusters: Family) -> Family:
        advice = "mx.ClassificationEM is what K-means is for regressions: each row goes to the one that explains it."
        refuse("method", f"one that learns {self.kind.__name__} components", "KMeans", advice)

    # -- its parameters by name

    def arguments(self, features: int | None) -> dict[str, Argument]:
        if features is None or features <= len(self.apart):
            refuse("features", "covariates and a target", features)
        slopes = {"coefficients": Argument(constraints.real, (features - len(self.apart),))}
        return ({"intercept": Argument(constraints.real)} if self.intercept else {}) | slopes

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Regression:
        slopes = values["coefficients"]
        effect = torch.cat([values["intercept"].unsqueeze(-1), slopes], -1) if self.intercept else slopes
        blank = self._blank(torch.zeros_like(slopes))
        return blank._replace(effect=effect, target=blank.target % (slopes.shape[-1] + len(self.apart)))

    def read(self, components: Any) -> dict[str, Tensor]:
        intercept = {"intercept": components.intercept} if self.intercept else {}
        return intercept | {"coefficients": components.coefficients}

    # -- where components start

    @abstractmethod
    def working(self, x: Tensor) -> Tensor:
        """Returns the targets of rows ``(N, D)`` on the scale of the predictor, roughly."""

    def embed(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, self.covariates], self.working(x).unsqueeze(-1)], -1)

    def start(self, x: Tensor, r: Tensor) -> Regression:
        z = x[:, self.covariates]
        middle = (r.sum((1, 2)) @ z) / r.sum() if self.intercept else torch.zeros_like(z[0])
        components = self._blank(middle.expand(*r.shape[1:], -1))
        y, u, r = self.working(x).double(), components.designed(x), r.double()
        share = torch.linspace(*_BLEND, r.shape[1], dtype=u.dtype, device=u.device).reshape(-1, 1, 1)
        share[1::2] = _TOWARD
        effect = _lines(u, y, _some_by_lot(r, u.shape[-1]), r, share)
        return components.started(effect.to(x.dtype), _left(u, y, r, effect).to(x.dtype))

    def _blank(self, centre: Tensor) -> Regression:
        """Components without effects about a centre ``(B, K, P)``."""
        effect = centre.new_zeros(*centre.shape[:-1], centre.shape[-1] + self.intercept)
        settings = {"target": self.target, "constant": self.intercept, **self._more(effect)}
        return self.kind._of(effect=effect, centre=centre, **settings)  # type: ignore[return-value]

    def _more(self, effect: Tensor) -> dict[str, Any]:
        """What components of the kind have beside effects."""
        return {}


@dataclass(frozen=True, eq=False, repr=False)
class LinearFamily(RegressionFamily, of=[LinearRegression]):
    """Linear regressions."""

    def working(self, x: Tensor) -> Tensor:
        return x[:, self.place]

    def arguments(self, features: int | None) -> dict[str, Argument]:
        return super().arguments(features) | {"scale": Argument(constraints.positive)}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> Regression:
        return super().made(values, features)._replace(scale=values["scale"])

    def read(self, components: Any) -> dict[str, Tensor]:
        return super().read(components) | {"scale": components.scale}

    def _more(self, effect: Tensor) -> dict[str, Any]:
        return {"scale": torch.ones_like(effect[..., 0])}


@dataclass(frozen=True, eq=False, repr=False)
class PoissonFamily(RegressionFamily, of=[PoissonRegression]):
    """Poisson regressions."""

    def working(self, x: Tensor) -> Tensor:
        return (x[:, self.place] + _HALF).log()


@dataclass(frozen=True, eq=False, repr=False)
class LogisticFamily(RegressionFamily, of=[LogisticRegression]):
    """Logistic regressions.

    Arguments:
        total_count: The number of trials of every row.
        trials: The column that says it of each row, by number or name.
    """

    total_count: int = 1
    trials: Column | None = None

    @property
    def apart(self) -> tuple[Column, ...]:
        return (self.target,) if self.trials is None else (self.target, self.trials)

    @property
    def trials_place(self) -> int:
        """The column of the numbers of trials, once it is known by number."""
        return int(self.trials or 0)

    @property
    def response(self) -> Constraint:
        """Whole numbers up to the number of trials."""
        return trials(self.total_count) if self.trials is None else PoissonRegression.response

    def _numbered(self, number: Callable[[Column], int]) -> Self:
        return replace(super()._numbered(number), trials=None if self.trials is None else number(self.trials))

    def outside(self, x: Tensor) -> Tensor:
        out = super().outside(x)
        if self.trials is not None:
            n, y = x[..., self.trials_place], x[..., self.place]
            out[..., self.trials_place] = (n != n.floor()) | (n < 1)
            out[..., self.place] |= y > n
        return out

    def working(self, x: Tensor) -> Tensor:
        n = self.total_count if self.trials is None else x[:, self.trials_place]
        return torch.logit((x[:, self.place] + _HALF) / (n + 2 * _HALF))

    def _more(self, effect: Tensor) -> dict[str, Any]:
        return {"total_count": self.total_count, "trials": self.trials}


def _lines(u: Tensor, y: Tensor, r: Tensor, every: Tensor, share: Tensor) -> Tensor:
    """Least squares effects ``(B, K, Q)`` of targets ``(N,)``, each component's blended with that of all rows."""
    (gram, whole), (pull, toward) = _means(u, y, r, every.sum(-1, keepdim=True))
    blended = (1 - share).unsqueeze(-1) * gram + share.unsqueeze(-1) * whole
    return solved(blended, (1 - share) * pull + share * toward)


def _means(u: Tensor, y: Tensor, *r: Tensor) -> list[tuple[Tensor, ...]]:
    """The means of u u', ``(B, K, Q, Q)``, and those of y u, ``(B, K, Q)``, by each of some weights."""
    count, every = [one.shape[-1] for one in r], torch.cat(r, -1)
    weight = every.sum(0).unsqueeze(-1).clamp_min(torch.finfo(u.dtype).tiny)
    gram, pull = squares(u, every) / weight.unsqueeze(-1), pulls(u, every * y[:, None, None]) / weight
    return [gram.split(count, 1), pull.split(count, 1)]


def _some_by_lot(r: Tensor, effects: int) -> Tensor:
    """Gives every other start's components a few rows each, whichever: where groups that lie apart lead nowhere."""
    source = torch.Generator(r.device).manual_seed(0)
    lots = torch.rand(r[:, 1::2].shape, generator=source, dtype=r.dtype, device=r.device)
    weight = r[:, 1::2].sum(-1, keepdim=True)
    count = min(_FEW * effects, max(effects + 1, len(r) // 2), len(r))  # of few rows not all: lines would be the same
    drawn = (lots * (weight > 0)).topk(count, 0).indices
    few = torch.zeros_like(lots).scatter_(0, drawn, 1.0) * weight
    return torch.stack([r[:, b] if b % 2 == 0 else few[:, b // 2] for b in range(r.shape[1])], 1)


def _left(u: Tensor, y: Tensor, r: Tensor, effect: Tensor) -> Tensor:
    """The mean square ``(B, K)`` of what lines leave of targets, the same for all components of a start."""
    e = y[:, None, None] - torch.einsum("nq,bkq->nbk", u, effect)
    total = (r * e.square()).sum((0, 2)) / r.sum((0, 2))
    return total.unsqueeze(-1).expand(effect.shape[:-1])
