r"""Regressions of one column on others: log-densities, responsibilities and sums from one pass over rows.

Under component k a row of covariates z and target y has the linear predictor :math:`\eta = a_k + b_k \cdot (z - c)`,
and a law of :math:`\eta` its log-density, with the residual :math:`e = y - A'(\eta)` and the curvature
:math:`A''(\eta)`. With the design :math:`u = (1, z - c)`, without the one where there is no intercept, the sums are
those from which least squares and Newton's steps are made. Rows are read once, in tiles that stay in the first cache,
by all restarts. In torch the same is a composition of density, labels and statistics, which serves everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .compiled import regression_module
from .labels import Kind, Labels, Rule
from .threads import in_threads, workers

__all__ = ["Given", "RegressionLaw", "RegressionSums", "regression_sums", "serves_regressions"]

Array = NDArray[Any]

_GRAIN = 200_000  # numbers of log joints worth another thread: about some tenths of a millisecond
_FACTORIALS = 1024


class RegressionLaw(IntEnum):
    """The law of a target, given its predictor."""

    LINEAR = 0
    POISSON = 1
    LOGISTIC = 2


@dataclass(frozen=True, eq=False)
class Given:
    """What regressions are to rows, with restarts B and components K.

    Attributes:
        law: The law of the target.
        covariates: Their columns.
        target: Its column.
        centre: What is taken from each covariate, (P,).
        level: The predictors at the centre, (B, K).
        slope: The coefficients, (B, K, P).
        logits: Log weights and what log-densities have beside, (B, K).
        constant: Whether the design has a column of ones.
        precision: One by the standard deviations of normal residuals, (B, K).
        trials: The column of the numbers of trials, none where there are ``total_count`` in each row.
        total_count: The number of trials.
    """

    law: RegressionLaw
    covariates: list[int]
    target: int
    centre: Tensor
    level: Tensor
    slope: Tensor
    logits: Tensor
    constant: bool
    precision: Tensor | None = None
    trials: int | None = None
    total_count: int = 1


class RegressionSums(NamedTuple):
    r"""Sums over rows, in float64, with r the responsibilities times the weights of rows.

    Attributes:
        log_likelihood: (B,), in nats.
        weight: :math:`\sum r`, (B, K).
        square: :math:`\sum r e^2`, (B, K).
        pull: :math:`\sum r e u`, (B, K, Q).
        powers: :math:`\sum r u^{16}`, (B, K, Q).
        gram: :math:`\sum r A'' u u^\top`, (B, K, Q, Q).
        by_trials: :math:`\sum r n u u^\top` with the numbers of trials n, (B, K, Q, Q); of a logistic law alone.
    """

    log_likelihood: Tensor
    weight: Tensor
    square: Tensor
    pull: Tensor
    powers: Tensor
    gram: Tensor
    by_trials: Tensor


def serves_regressions(x: Tensor, labels: Labels) -> bool:
    """Whether rows (N, D) are read by the compiled pass: on a CPU, with soft labels."""
    soft = Rule.of(labels).kind is Kind.SOFT
    return soft and x.device.type == "cpu" and len(x) > 0 and regression_module("passes") is not None


def regression_sums(given: Given, x: Tensor, weight: Tensor | None) -> RegressionSums:
    """Returns the sums of rows (N, D) of weights (N,)."""
    passes: Any = regression_module("passes")
    rows, weights = _array(x), np.empty(0) if weight is None else _array(weight)
    (restarts, components), count = given.logits.shape, len(given.covariates)
    size = passes.Shape(
        restarts, components, count + given.constant, count, passes.PANELS, passes.WIDTH, int(given.law)
    )
    places = np.array([*given.covariates, given.target, -1 if given.trials is None else given.trials])
    precision = torch.ones_like(given.level) if given.precision is None else given.precision
    effects = tuple(map(_array, (given.level, given.slope, precision, given.logits)))
    shared = rows, weights, places, _array(given.centre), float(given.total_count), effects, _factorials(), size

    def run(begin: int, stop: int) -> tuple[Array, Array]:
        found = np.zeros(restarts), np.zeros((restarts, components, passes.numbers(size.design)))
        passes.add_rows(*shared, *found, begin, stop)
        return found

    parts = in_threads(run, len(rows), workers(len(rows) * restarts * components, _GRAIN))
    likelihood, sums = (torch.from_numpy(np.add.reduce(part)) for part in zip(*parts, strict=True))
    return _read(likelihood, sums, size.design)


def _read(likelihood: Tensor, sums: Tensor, design: int) -> RegressionSums:
    square = design * design
    weight, left, pull, powers, *grams = sums.split([1, 1, design, design, square, square], -1)
    lower = (gram.unflatten(-1, (design, design)) for gram in grams)
    gram, by_trials = (one.tril() + one.tril(-1).mT for one in lower)
    return RegressionSums(likelihood, weight.squeeze(-1), left.squeeze(-1), pull, powers, gram, by_trials)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().double().contiguous().numpy()


@lru_cache
def _factorials() -> Array:
    return torch.lgamma(torch.arange(1, _FACTORIALS + 1, dtype=torch.float64)).numpy()
