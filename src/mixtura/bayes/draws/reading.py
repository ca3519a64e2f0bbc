"""Rows under many draws: their log-densities, and what each row believes about its label, a few draws at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod

import torch
from torch import Tensor

from ..posterior import Posterior
from ..rows import Term

__all__ = ["chunks", "count", "log_likelihood", "over_terms", "responsibilities"]

_NUMBERS = 2**21  # that a few draws of all rows may hold at once

Values = Mapping[str, Tensor]


def count(values: Values) -> int:
    """Returns how many draws there are: all values are led by them."""
    return len(next(iter(values.values())))


def chunks(posterior: Posterior, values: Values) -> Iterator[dict[str, Tensor]]:
    """Yields the values of a few draws at a time, with those that are held."""
    every = posterior.whole(values)
    each = max(1, prod(posterior.rows.clean_shape)) ** 2 * posterior.components * len(posterior.rows)
    size = max(1, _NUMBERS // each)
    for start in range(0, count(values), size):
        yield {name: value[start : start + size] for name, value in every.items()}


@torch.no_grad()
def over_terms(posterior: Posterior, values: Values, function: Callable[[Term, Values], Tensor]) -> Tensor:
    """Returns what a function of rows read alike and a few draws ``(N, S, ...)`` says of all: ``(S, N, ...)``."""
    found = [
        torch.cat([function(term, some) for term in posterior.terms]).movedim(1, 0)
        for some in chunks(posterior, values)
    ]
    return torch.cat(found)


def log_likelihood(posterior: Posterior, values: Values) -> Tensor:
    """Returns what each row adds to the log-likelihood under each draw, ``(S, N)``, in nats: as often as it counts."""
    return over_terms(posterior, values, lambda term, some: term.log_prob(some, *term.data))


def responsibilities(posterior: Posterior, values: Values) -> Iterator[Tensor]:
    """Yields the probabilities of components ``(S, N, K)`` given each row, of a few draws at a time."""
    for some in chunks(posterior, values):
        with torch.no_grad():
            joint = torch.cat([term.joint(some, *term.data) for term in posterior.terms])
            yield joint.softmax(-1).movedim(1, 0)
