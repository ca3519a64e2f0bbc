r"""Label switching: a posterior over mixtures has K! copies of every mode, and a chain may visit several.

Each draw's components are matched to those of a reference by an optimal assignment, with the cost of calling component
j of a draw by the label k of the reference

.. math:: c_{jk} = \sum_f (t_{jf} - m_{kf})^2 / s_{kf}^2,

over the features t of a component: its means, the logarithms of its variances, and its log-weight. The centres m and
the scales s are then those of the matched draws, and draws are matched again until no label changes: k-means over
components in which each draw gives one to each cluster (in the manner of Stephens, 2000; Papastamoulis, 2016).

Before anything is matched, s_f is the spread of a feature's order statistics over draws. It needs no labels, and is
small beside the feature's whole spread exactly where ranks tell components apart, so that what tells nothing does not
drown what does.
"""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from ...mixture import Mixture
from .reorder import reorder

__all__ = ["average", "relabel"]

_ROUNDS = 20
_FEW = 5  # components whose permutations are gone through
_TINY = 1e-12
_LEAST = 1e-6  # of a feature's scale before anything is matched: draws that agree altogether have none after it


def relabel(draws: Mixture, reference: Mixture | None = None) -> Mixture:
    """Returns draws of a mixture with components reordered so that labels mean the same in all of them.

    Arguments:
        draws: Mixtures of one family, with batch shape ``(S,)``.
        reference: A mixture of the same family and K, whose labels the draws are to follow at first; the first draw
            by default.

    Raises:
        ImportError: If there are more than five components and SciPy is not installed.

    Example:
        >>> draws = mx.Mixture(torch.ones(2, 2), mx.Normal(torch.tensor([[0.0, 5.0], [5.1, 0.1]]), torch.ones(2, 2)))
        >>> mx.learning.relabel(draws).components.loc
        tensor([[0.0000, 5.0000],
                [0.1000, 5.1000]])
    """
    order = matching(features(draws), features(reference) if reference is not None else None)
    return reorder(draws, order)


def features(mixture: Mixture) -> Tensor:
    """Returns what components are matched by: ``(*B, K, F)``, in double precision."""
    parts = mixture.components.traits.double(), mixture.logits.double().unsqueeze(-1)
    return torch.cat(parts, -1).nan_to_num().clamp(-1e6, 1e6)


def matching(draws: Tensor, reference: Tensor | None = None) -> Tensor:
    """Returns for each draw ``(S, K, F)`` the order of its components that agrees with the others: ``(S, K)``."""
    centre = draws[0] if reference is None else reference
    before = _scales_before(draws).expand_as(centre)
    order = _assign(draws, centre, before)
    for _ in range(_ROUNDS if len(draws) > 1 else 0):  # a single draw has no centre but the reference
        matched = torch.take_along_dim(draws, order.unsqueeze(-1), 1)
        again = _assign(draws, matched.mean(0), _scales(matched).maximum(_LEAST * before))
        if torch.equal(again, order):
            break
        order = again
    return order


def _scales_before(draws: Tensor) -> Tensor:
    """Returns each feature's scale, ``(F,)``, without labels: of its ranks, or of all where these never vary."""
    ranked = draws.sort(1).values.var(0, correction=0).mean(0).sqrt()
    return torch.where(ranked > _TINY, ranked, draws.flatten(0, 1).std(0))


def _scales(matched: Tensor) -> Tensor:
    """Returns each feature's scale about its centre, pooled over labels: ``(K, F)``.

    Pooled, so that a label of widely spread draws does not attract every other.
    """
    return matched.var(0).mean(0, keepdim=True).sqrt().expand(matched.shape[1:])


def _assign(draws: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Returns the cheapest assignment of each draw's components to the labels."""
    scale = torch.where(scale > _TINY, scale, torch.inf)  # what never varies tells nothing
    cost = torch.cdist(centre / scale, draws / scale).square()  # (S, labels, components)
    return _by_going_through(cost) if cost.shape[-1] <= _FEW else _by_scipy(cost)


def _by_going_through(cost: Tensor) -> Tensor:
    labels = range(cost.shape[-1])
    orders = torch.tensor(list(permutations(labels)), device=cost.device)
    totals = sum(cost[:, label, orders[:, label]] for label in labels)
    return orders[torch.as_tensor(totals).argmin(-1)]


def _by_scipy(cost: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    best = [torch.as_tensor(linear_sum_assignment(one)[1]) for one in cost.cpu().numpy()]
    return torch.stack(best).to(cost.device)


def average(draws: Mixture) -> Mixture:
    """Returns the mixture at the mean of relabelled draws ``(S,)``: of weights, and of the components' moments.

    Where there is a Gaussian inside, its moments are averaged; the rest is that of the draw nearest to the mean.
    """
    nearest = draws.batch(_nearest(features(draws)))
    if not draws.components.has_gaussian:
        return nearest
    gaussian = draws.components.gaussian
    dense = gaussian.structure.dense(gaussian.features).mean(0)
    middle = gaussian._of(location=gaussian.location.mean(0), structure=gaussian.structure.with_covariance(dense))
    logits = torch.log_softmax(draws.logits.logsumexp(0), -1)
    return Mixture._of(logits, nearest.components.with_gaussian(middle))


def _nearest(every: Tensor) -> int:
    return int((every - every.mean(0)).square().sum((1, 2)).argmin())
