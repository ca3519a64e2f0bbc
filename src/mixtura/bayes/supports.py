"""Whether a prior stays where its parameter may lie."""

from __future__ import annotations

from typing import Any

import torch

from ..components.domains import in_words
from ..errors import refuse
from .laws import Law

__all__ = ["check_support", "entry", "is_bounded"]


def check_support(name: str, law: Law, support: Any) -> None:
    """Refuses a prior that puts mass where a parameter cannot lie.

    Raises:
        MixtureError: With what would do.
    """
    low, high = _ends(support)
    found_low, found_high = _ends(law.support)
    inside = bool((found_low >= low).all() and (found_high <= high).all()) and _alike(law.support, support)
    if not inside:
        came = f"a prior on what is {in_words(law.support)}"
        refuse(f"priors[{name!r}]", f"on what is {in_words(support)}", came, _ADVICE.get(str(support), ""))


def _ends(support: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The least and the greatest value, as far as a support is a stretch of numbers."""
    ends = getattr(entry(support), "lower_bound", -torch.inf), getattr(entry(support), "upper_bound", torch.inf)
    low, high = (torch.as_tensor(one, dtype=torch.float64) for one in ends)
    return low, high


def is_bounded(support: Any) -> bool:
    """Whether a value may come near an end of its support that real numbers reach far out only."""
    return bool(entry(support).event_dim) or bool(_ends(support)[1].isfinite().all())


def _alike(found: Any, support: Any) -> bool:
    """Whether both are stretches of numbers, or of the same other kind: weights, correlations."""
    found, support = entry(found), entry(support)
    return type(found) is type(support) or not (found.event_dim or support.event_dim)


def entry(support: Any) -> Any:
    """Returns where an entry of a vector may lie, if its entries are free of each other."""
    return getattr(support, "base_constraint", support)


_ADVICE = {"GreaterThan(lower_bound=0.0)": "Take one of positive numbers, such as HalfNormal, LogNormal or Gamma."}
