"""What kind of gated components a fit is to learn: which columns weights hang on, and which the components describe.

Every start begins with weights that hang on nothing: the first update finds how they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from ...errors import refuse
from ..family import Family, given
from ..regression.dependent import refuse_related
from ..regression.gate import Gate
from .gated import Gated

if TYPE_CHECKING:
    from ...data import Rows
    from ..covariance.structure import Structure

__all__ = ["GatedFamily"]

Column = int | str


@dataclass(frozen=True, eq=False, repr=False)
class GatedFamily(Family, of=[Gated]):
    """Components of a family, with weights that hang on columns.

    Arguments:
        of: The family of the components.
        on: The columns that weights hang on; those that are known as covariates of the components if none are given.
        columns: Those that the components describe, once they are known by number.
        called: How those that weights hang on were called, then.
    """

    of: Any = None
    on: Any = None
    columns: tuple[int, ...] = ()
    called: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.of is None:
            refuse("family", "what the components are, such as mx.LinearRegression", None)
        object.__setattr__(self, "of", given(self.of).inner())
        if self.on is not None:
            object.__setattr__(self, "on", (self.on,) if isinstance(self.on, (int, str)) else tuple(self.on))

    @property
    def title(self) -> str:
        """The title of the components, and the columns that weights hang on as they were named."""
        on = self.called if self.columns else map(str, self.on or ())
        shown = ", ".join(on)
        return f"Gated({self.of.title}{f', on {shown}' if shown else ''})"

    # -- which rows it takes

    @property
    def reads(self) -> tuple[str, ...] | None:
        own, on = self.of.reads, self.on or ()
        named = tuple(one for one in on if isinstance(one, str))
        return None if own is None or len(named) < len(on) else tuple(dict.fromkeys((*own, *named)))

    @property
    def discrete(self) -> bool:
        return self.of.discrete

    @property
    def expects(self) -> str:
        return self.of.expects

    def outside(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x, dtype=torch.bool)
        own = self.of.outside(self._own(x))
        out[..., list(self.columns)] = own if len(self.columns) > 1 else own.unsqueeze(-1)
        return out

    def structured(self, structure: Structure) -> Family:
        own = self.of.structured(structure)
        return self if own is self.of else replace(self, of=own)

    def bind(self, rows: Rows, summary: Any) -> Self:
        """Returns the family with columns by number, checked against those of the rows."""
        if not rows.observation.exact:
            came, advice = type(rows.observation).__name__, "Drop rows with gaps, or fill them."
            refuse("observation", "none for Gated components", came, advice)
        if not rows.event_shape:
            refuse("x", "a table of columns, for Gated components", "one column of numbers")
        on = () if self.on is None else tuple(map(rows.number, self.on))
        of, own = self.of.among(rows, on)
        if not own:
            refuse("on", "not all columns: some are left for the components", ", ".join(map(rows.named, on)))
        part = rows.only(own)
        of = of.across(len(own)).bind(part, summary.of(own[0] if len(own) == 1 else list(own)))
        on = on or tuple(own[c] for c in of.covariates)
        called = tuple(map(str, self.on or ()))
        return replace(self, of=of, on=_checked(on, own, rows), columns=own, called=called)

    def check(self, rows: Rows) -> None:
        self.of.check(rows.only(self.columns))
        refuse_related(rows, list(self.on), "on")

    def inner(self) -> Family:
        refuse(
            "family", "one that is not gated, inside of another", self.title, "Gate the whole: mx.Gated.template(...)."
        )

    def clustered(self, clusters: Family) -> Family:
        advice = "mx.ClassificationEM is what K-means is for these: each row goes to the one that explains it."
        refuse("method", "one that learns Gated components", "KMeans", advice)

    # -- where components start

    def embed(self, x: Tensor) -> Tensor:
        return self.of.embed(self._own(x))

    def guess(self, r: Tensor) -> Tensor:
        return self.of.guess(r)

    def start(self, x: Tensor, r: Tensor) -> Gated:
        z, weight = x[:, list(self.on)], r.sum((1, 2))
        middle = (weight @ z / weight.sum()).expand(r.shape[1], 1, -1)
        share = ((r.sum(0) + 1 / r.shape[-1]) / (r.sum((0, 2)).unsqueeze(-1) + 1)).log().to(x.dtype)
        level = (share - share.mean(-1, keepdim=True)).unsqueeze(-1)
        effect = torch.cat([level, level.new_zeros(*share.shape, z.shape[-1])], -1)
        gate = Gate._of(effect=effect, centre=middle, share=share)
        return Gated._of(parts=self.of.start(self._own(x), r), gate=gate, on=self.on, columns=self.columns)

    def _own(self, x: Tensor) -> Tensor:
        """The columns of rows that the components describe; of one, numbers."""
        return x[..., list(self.columns)] if len(self.columns) > 1 else x[..., next(iter(self.columns))]


def _checked(on: Sequence[int], own: Sequence[int], rows: Rows) -> tuple[int, ...]:
    if not on:
        refuse("on", "columns that weights hang on", "none", "Only regressions have covariates to take instead.")
    left = sorted({*range(rows.features)} - {*on, *own})
    if left or len({*on}) < len(on):
        came = f"none for {', '.join(map(rows.named, left))}" if left else "a column twice"
        refuse("on", "such that all columns have a part, each once", came, "Choose columns with columns=[...].")
    return tuple(on)
