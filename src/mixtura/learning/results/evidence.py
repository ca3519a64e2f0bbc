r"""Lower bounds on the integrated likelihood of numbers of components.

Variational Bayes bounds :math:`\log p(X|K)` from below. Its posterior covers one of the K! labellings of a mixture,
which are all alike, so :math:`\log K!` is added (Bishop, 2006, section 10.2.4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...mixture.prior import Prior
from ..expectation.recorded import recorded
from ..fit import fit
from ..methods.variational import Variational, VariationalFit

__all__ = ["Evidence", "evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Bounds on the log-evidence for several numbers of components.

    Arguments:
        components: The numbers of components.
        bounds: The bound for each, in nats, labellings included.
        fits: The variational fits.
    """

    components: tuple[int, ...]
    bounds: tuple[float, ...]
    fits: tuple[VariationalFit, ...]

    @property
    def best(self) -> int:
        """The number of components with the highest bound."""
        return self.components[self.bounds.index(max(self.bounds))]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The posterior probabilities of the numbers of components, equal beforehand, with bounds for evidences."""
        relative = [math.exp(bound - max(self.bounds)) for bound in self.bounds]
        return tuple(value / sum(relative) for value in relative)

    def __repr__(self) -> str:
        lines = [
            f"{k:>3}  {bound:>14.4f}  {share:>11.4f}"
            for k, bound, share in zip(self.components, self.bounds, self.probabilities, strict=True)
        ]
        return "\n".join([f"{'K':>3}  {'log-evidence >':>14}  {'probability':>11}", *lines])


def evidence(
    x: Any, components: int | Iterable[int] = range(1, 7), method: Variational | None = None, **options: Any
) -> Evidence:
    """Bounds the integrated likelihood of several numbers of components from below.

    Arguments:
        x: The rows, in any form that `fit` takes.
        components: One number of components or several.
        method: Variational Bayes with the prior that all share; by default weakly informative, with a flat law of the
            weights.
        options: Anything else that `fit` takes, such as ``covariance=``.

    Example:
        >>> mx.evidence(mx.datasets.old_faithful(), (1, 2, 3), restarts=4).best
        2
    """
    counts = (components,) if isinstance(components, int) else tuple(components)
    known = (options.pop(name, None) for name in ("columns", "sample_weight", "observation", "labels"))
    rows = recorded(x, *known, components=min(counts))
    method = replace(method or Variational(prior=Prior(1.0)), elimination=False)
    fits: tuple[Any, ...] = tuple(fit(rows, k, method=method, **options) for k in counts)
    bounds = tuple(one.bound + math.lgamma(k + 1) for one, k in zip(fits, counts, strict=True))
    return Evidence(counts, bounds, fits)
