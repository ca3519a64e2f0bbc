r"""The expected sums of the clean rows, the E-step of extreme deconvolution (Bovy, Hogg and Roweis, 2011).

With :math:`T = A V A^\top + S` and :math:`q = T^{-1}(y - A\mu - b)`, they follow from two sums, which are also the
gradients of the log-likelihood in mean and covariance:

.. math::

    u_k = \sum_n r_{nk} A^\top q_{nk}, \qquad
    Q_k = \sum_n r_{nk} A^\top\big(q_{nk} q_{nk}^\top - T_{nk}^{-1}\big) A, \\
    \sum_n r_{nk} E[x - \mu_k] = V_k u_k, \qquad
    \sum_n r_{nk} E[(x - \mu_k)(x - \mu_k)^\top] = N_k V_k + V_k Q_k V_k .

Where all rows share the errors, the two are taken in units of a root of V, :math:`V = F F^\top`: then
:math:`F^\top u` and :math:`F^\top Q F` are of the size of the number of rows however narrow V is, and

.. math:: \sum_n r_{nk} E[(x - \mu_k)(x - \mu_k)^\top] = F_k (N_k + F_k^\top Q_k F_k) F_k^\top .
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..components import Full, Gaussian, Labels, Statistics
from ..components.observation import believe, over
from ..kernels import FULL, Plan, RowErrors, Rule
from ..kernels import sums as pass_sums
from .base import add_up, aligned
from .gaps import each_pattern
from .matrices import apply, cholesky, congruent, image, whole
from .seen_rows import pieces

if TYPE_CHECKING:
    from .linear import Linear

__all__ = ["by_rows", "carried_back", "expected_sums", "finished"]


def expected_sums(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
) -> Statistics:
    """The sums of rows ``(N, M)``: by a pass over what is recorded, or row by row where errors differ by row."""
    if not observation.side:
        return _shared(observation, gaussian, logits, y, weight, labels)
    if observation.matrix is None and observation.noise.shape[1] == 1 and observation.offset.shape[1] == 1:
        return _in_place(observation, gaussian, logits, y, weight, labels)
    return by_rows(observation, gaussian, logits, y, weight, labels)


def by_rows(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
) -> Statistics:
    """Row by row, through any measurement."""
    parts, start = [], 0
    for one in pieces(observation, gaussian, over(y, gaussian)):
        stop = start + len(one.log_prob)
        share = None if weight is None else weight[start:stop]
        rule = Rule.of(labels).take(slice(start, stop))
        r, log_likelihood = believe(logits + one.log_prob, share, rule)
        parts.append((log_likelihood, r.sum(0).double(), *one.sums(r)))
        start = stop
    log_likelihood, mass, first, second = add_up(parts)
    return Statistics(log_likelihood, mass, finished(gaussian, mass, first, second))


def _in_place(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
) -> Statistics:
    """By one pass, for rows of x itself that each have errors of their own."""
    mean, covariance = gaussian.location, gaussian.covariance
    locations, matrices, weights = (t.reshape(-1, *t.shape[logits.ndim - 1 :]) for t in (mean, covariance, logits))
    plan = Plan(FULL, locations, matrices, weights, labels, RowErrors(observation.noise[:, 0]))
    found = pass_sums(plan, y - observation.offset[:, 0], weight)
    likelihood, mass = found.log_likelihood.reshape(logits.shape[:-1]), found.weight.reshape(logits.shape)
    first, second = found.shift.reshape(mean.shape), found.scatter.reshape(covariance.shape)
    return Statistics(likelihood, mass, finished(gaussian, mass, first, second))


def _shared(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
) -> Statistics:
    """The sums of what is recorded, by the family's own pass, one for each pattern of gaps, carried over to x."""
    parts = []
    for index, seen in each_pattern(y, observation.missing):
        rows, row_weight = (y, weight) if index is None else (y[index], None if weight is None else weight[index])
        rule = labels if index is None else Rule.of(labels).take(index)
        parts.append(_pulled_back(observation.of(seen), gaussian, logits, rows[:, seen], row_weight, rule))
    log_likelihood, mass, first, second = add_up(parts)
    return Statistics(log_likelihood, mass, _colored(gaussian, mass, first, second))


def _pulled_back(
    observation: Linear, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
) -> tuple[Tensor, ...]:
    if not observation.width:
        return _unseen(gaussian, logits, len(y), weight, labels)
    mean = image(observation.matrix, gaussian.location, gaussian) + aligned(observation.offset, gaussian)
    covariance = congruent(observation.matrix, gaussian.covariance, gaussian) + aligned(
        whole(observation.noise), gaussian
    )
    factor = cholesky(covariance.expand(*mean.shape, observation.width))
    recorded = Gaussian._of(location=mean, structure=Full._of(factor=factor, tied=False))
    sums = recorded.expect(logits, y, weight, labels)
    return sums.log_likelihood, sums.weight, *_scores(observation, gaussian, factor, sums)


def carried_back(observation: Linear, gaussian: Gaussian, sums: Statistics) -> Statistics:
    """The clean rows' sums from those of what this observation makes of them; errors shared by all rows."""
    law = observation.law(gaussian).gaussian_law
    second = law.structure.dense_moment(sums.moments[1], law.features)
    dense = Statistics(sums.log_likelihood, sums.weight, (sums.moments[0], second))
    scores = _scores(observation, gaussian, cholesky(law.covariance), dense)
    return Statistics(sums.log_likelihood, sums.weight, _colored(gaussian, sums.weight, *scores))


def _scores(observation: Linear, gaussian: Gaussian, factor: Tensor, sums: Statistics) -> tuple[Tensor, Tensor]:
    """The sums u and Q of the module's equations, in units of a root of V, from those of what was recorded."""
    root, factor = _root(gaussian), factor.double()
    seen = root if observation.matrix is None else aligned(observation.matrix, gaussian).double() @ root
    told = torch.linalg.solve_triangular(factor, seen, upper=False)
    first = torch.linalg.solve_triangular(factor, sums.moments[0].unsqueeze(-1), upper=False)
    half = torch.linalg.solve_triangular(factor, sums.moments[1], upper=False)
    second = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    inner = second - torch.diag_embed(sums.weight.unsqueeze(-1).expand(second.shape[:-1]))
    return (told.mT @ first).squeeze(-1), told.mT @ inner @ told


def _root(gaussian: Gaussian) -> Tensor:
    """Roots of the covariances, ``(*B, K or 1, D, D)``."""
    return gaussian.structure.full(gaussian.features).given.double()


def _colored(gaussian: Gaussian, weight: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The expected sums about the means, in the structure's own form, from u and Q in units of roots."""
    root = _root(gaussian)
    scatter = root @ (torch.diag_embed(weight.unsqueeze(-1).expand(first.shape)) + second) @ root.mT
    return apply(root, first), gaussian.structure.pooled(scatter)


def _unseen(gaussian: Gaussian, logits: Tensor, rows: int, weight: Tensor | None, labels: Labels) -> tuple[Tensor, ...]:
    """The sums of rows of which nothing was recorded: they keep their prior weight and say nothing of components."""
    r, log_likelihood = believe(logits.expand(rows, *logits.shape), weight, labels)
    shape, features = gaussian.location.shape, gaussian.features
    first = torch.zeros(shape, dtype=torch.float64, device=logits.device)
    return log_likelihood, r.sum(0).double(), first, first.unsqueeze(-1).expand(*shape, features)


def finished(gaussian: Gaussian, weight: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The expected sums about the means, in the structure's own form, from u and Q."""
    covariance = gaussian.covariance.double()
    scatter = weight[..., None, None] * covariance + covariance @ second @ covariance
    return apply(covariance, first), gaussian.structure.pooled(scatter)
