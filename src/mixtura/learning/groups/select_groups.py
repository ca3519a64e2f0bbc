"""Choosing the number of components and their shape for each group of rows by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...components import Full, Gaussian
from ...errors import MixtureError, refuse
from ...mixture import Mixture
from ..loop.reason import Reason
from ..results.fit import Fit
from .group_fits import GroupFits

__all__ = ["GroupChoice", "GroupSelection", "select_groups"]

_BROKEN = (Reason.COLLAPSED, Reason.NOT_FINITE, Reason.FELL, Reason.REFUSED)


class GroupChoice(NamedTuple):
    """One line of the table: a group, the model chosen for it, and how that fits. Criteria are in nats."""

    name: Any
    rows: int
    components: int
    covariance: str
    reason: Reason
    log_likelihood: float
    aic: float
    bic: float
    detail: str


@dataclass(frozen=True, eq=False, repr=False)
class GroupSelection:
    """The outcome of a search over models for each group of rows.

    Arguments:
        fits: What was tried, by number of components and covariance: one `GroupFits` each.
        chosen: What has the lowest criterion of those that did not break, by group; none where all did.
        criterion: The criterion's name.

    Example:
        >>> x = torch.cat((torch.arange(40.0), torch.arange(40.0) % 7 + 100 * (torch.arange(40) % 2)))
        >>> found = mx.select(x, components=(1, 2), covariance="full", groups=["a"] * 40 + ["b"] * 40)
        >>> [(line.name, line.components) for line in found.table]
        [('a', 1), ('b', 2)]
    """

    fits: dict[tuple[int, str], GroupFits]
    chosen: tuple[tuple[int, str] | None, ...]
    criterion: str

    @property
    def names(self) -> tuple[Any, ...]:
        """The label of each group, in order."""
        return self._any.names

    @property
    def table(self) -> tuple[GroupChoice, ...]:
        """One line for each group."""
        lines = {which: fits.table for which, fits in self.fits.items()}
        first = next(iter(self.fits))
        each = [(which or first, lines[which or first][g]) for g, which in enumerate(self.chosen)]
        return tuple(GroupChoice(line.name, line.rows, *which, *line[2:]) for which, line in each)

    @property
    def total(self) -> Tensor:
        """The weight of each group's rows, ``(G,)``."""
        return self._any.total

    def __getitem__(self, name: Any) -> Fit:
        """Returns the best fit of one group, by its label."""
        if name not in self.names:
            refuse("name", f"a group such as {self.names[0]!r}", repr(name))
        which = self.chosen[self.names.index(name)]
        return self.fits[which or next(iter(self.fits))][name]

    @cached_property
    def mixture(self) -> Mixture:
        """The chosen mixtures as one batch ``(G,)``; where several models were tried, with full covariances.

        Those of fewer components have more of weight zero; where none could be fitted there is NaN.

        Raises:
            MixtureError: If the components are not Gaussians on vectors or numbers, and several models were tried.
        """
        if len(self.fits) == 1:
            return self._any.mixture
        if not self._any.mixture.components.is_gaussian:
            refuse("family", "Gaussians, to put mixtures of several sizes in a batch", self._any.family.title)
        most = max((which[0] for which in self.chosen if which is not None), default=next(iter(self.fits))[0])
        parts = [self._padded(g, which, most) for g, which in enumerate(self.chosen)]
        logits, mean, covariance = (torch.stack(tensors) for tensors in zip(*parts, strict=True))
        full = Full._of(factor=torch.linalg.cholesky_ex(covariance).L, tied=False)
        components = self._any.mixture.components.with_gaussian(Gaussian._of(location=mean, structure=full))
        return Mixture._of(logits, components).named(self._any.mixture.columns)

    def _padded(self, g: int, which: tuple[int, str] | None, most: int) -> tuple[Tensor, Tensor, Tensor]:
        fits = self.fits[which or next(iter(self.fits))]
        gaussian, logits = fits.mixture.components.gaussian, fits.mixture.logits[g]
        index = torch.arange(most).clamp_max(len(logits) - 1)
        beyond = (torch.arange(most) >= len(logits)) & ~logits[index].isnan()  # a group without a fit is NaN throughout
        mean, covariance = gaussian.location[g][index], gaussian.covariance[g][index]
        return logits[index].masked_fill(beyond, -torch.inf), mean, covariance

    @property
    def _any(self) -> GroupFits:
        return next(iter(self.fits.values()))

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        counted = {which: self.chosen.count(which) for which in dict.fromkeys(self.chosen)}
        said = ", ".join(f"{n} with {w[0]} {w[1]}" if w else f"{n} with none" for w, n in counted.items())
        return f"GroupSelection({len(self)} groups by {self.criterion}: {said})"


def select_groups(
    fitted: Callable[[int, Any], GroupFits], counts: list[int], kinds: list[Any], criterion: str
) -> GroupSelection:
    """Tries every model on every group.

    Arguments:
        fitted: Fits all groups with so many components of a family.
        counts: The numbers of components.
        kinds: The families.
        criterion: "bic", "aic" or "icl".

    Raises:
        MixtureError: If no model can be fitted to any group.
    """
    fits, error = {}, None
    for k in counts:
        for kind in kinds:
            try:
                fits[k, kind.name] = fitted(k, kind)
            except MixtureError as found:
                error = found
    if not fits:
        raise MixtureError(f"No model can be fitted to any group: {error}")
    values = torch.stack([_values(one, criterion) for one in fits.values()])
    best, which = values.argmin(0).tolist(), list(fits)
    sound = values.amin(0).isfinite().tolist()
    chosen = tuple(which[index] if good else None for index, good in zip(best, sound, strict=True))
    return GroupSelection(fits, chosen, criterion)


def _values(fits: GroupFits, criterion: str) -> Tensor:
    """The criterion of each group, infinite where its fit broke."""
    broken = torch.tensor([reason in _BROKEN for reason in fits.told.reasons])
    return getattr(fits, criterion).masked_fill(broken, torch.inf).nan_to_num(nan=torch.inf, posinf=torch.inf)
