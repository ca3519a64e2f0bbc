r"""The entropy of a mixture: Monte Carlo with its standard error, between closed-form bounds.

With component entropies :math:`H_k` and pairwise distances :math:`d_{kl}`,

.. math:: H_d = \sum_k w_k H_k - \sum_k w_k \log \sum_l w_l e^{-d_{kl}}

is a lower bound for the Bhattacharyya distance and an upper bound for the Kullback-Leibler divergence (Kolchinsky and
Tracey, 2017). The Gaussian of the same mean and covariance gives a second upper bound; the smaller one is kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Generator, Tensor

from ..components import Component
from ..components import gaussian_pairs as pairs
from ..errors import refuse

if TYPE_CHECKING:
    from .value import Mixture

__all__ = ["Entropy", "entropy"]


class Entropy(NamedTuple):
    """An entropy in nats: a Monte Carlo ``value``, its ``standard_error``, and exact ``lower`` and ``upper`` bounds.

    The bounds are infinite for families whose pairwise distances have no closed form.
    """

    value: Tensor
    standard_error: Tensor
    lower: Tensor
    upper: Tensor


def entropy(mixture: Mixture, samples: int, generator: Generator | None) -> Entropy:
    """Estimates the entropy of a mixture from that many draws; see `Entropy`."""
    if not samples >= 2:
        refuse("samples", "at least 2, for a standard error", samples)
    surprise = -mixture.log_prob(mixture.sample((samples,), generator))
    error = surprise.std(0) / math.sqrt(samples)
    return Entropy(surprise.mean(0), error, *_bounds(mixture))


def _bounds(mixture: Mixture) -> tuple[Tensor, Tensor]:
    if not mixture.components.is_gaussian:
        unbounded = mixture.logits.new_full(mixture.batch_shape, torch.inf)
        return -unbounded, unbounded
    gaussian = mixture.components.gaussian
    own = (mixture.weights * pairs.entropy(gaussian)).sum(-1)
    lower = own + _confusion(mixture, pairs.bhattacharyya(gaussian, gaussian))
    upper = own + _confusion(mixture, pairs.kl(gaussian, gaussian))
    return lower, torch.minimum(upper, _gaussian_entropy(mixture, gaussian))


def _confusion(mixture: Mixture, distance: Tensor) -> Tensor:
    seen = torch.logsumexp(mixture.logits.unsqueeze(-2) - distance, -1)
    return -(mixture.weights * seen).sum(-1)


def _gaussian_entropy(mixture: Mixture, components: Component) -> Tensor:
    features = components.event_shape[0]
    covariance = mixture.covariance.reshape(*mixture.batch_shape, features, features)
    return 0.5 * torch.logdet(covariance) + 0.5 * features * (1 + math.log(2 * math.pi))
