r"""Distances and divergences between mixtures, in nats, differentiable in both.

No divergence of this page but the overlaps is known in closed form between mixtures; each function says whether it is
exact, an estimate with its standard error, an approximation or a bound. With weights w, v and components f, g:

==================  =============================================================================================
`kl`                Monte Carlo, any family, with its standard error
`kl_lower`          below KL, by Jensen's inequality twice (Durrieu, Thiran and Kelly, 2012)
`kl_upper`          above KL: components split so that pairs match best (Hershey and Olsen, 2007)
`kl_matched`        above KL: each component against one of the other mixture's (Do, 2003)
`kl_variational`    an approximation between the two (Hershey and Olsen, 2007)
`square_l2`         exact: :math:`\int (p - q)^2`
`cauchy_schwarz`    exact: :math:`-\log \int pq / \sqrt{\int p^2 \int q^2}`
`bhattacharyya`     below and above :math:`\int\sqrt{pq}`
`wasserstein`       exact transport between components (Delon and Desolneux, 2020), above the 2-Wasserstein distance
==================  =============================================================================================

Closed forms between components are those of Gaussians. All but `kl` are deterministic. Optimal couplings are found
without gradients; by the envelope theorem the gradients of what is optimised are right all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, register_kl

from .components import gaussian_pairs as pairs
from .errors import refuse
from .mixture import Mixture

__all__ = [
    "Bounds",
    "Estimate",
    "Transport",
    "bhattacharyya",
    "cauchy_schwarz",
    "kl",
    "kl_lower",
    "kl_matched",
    "kl_upper",
    "kl_variational",
    "square_l2",
    "wasserstein",
]

_ROUNDS = 200  # of alternating couplings, each of which improves the bound


class Estimate(NamedTuple):
    """A Monte Carlo value and its standard error, each with shape ``(*B)``."""

    value: Tensor
    standard_error: Tensor


class Bounds(NamedTuple):
    """A lower and an upper bound, each with shape ``(*B)``."""

    lower: Tensor
    upper: Tensor


class Transport(NamedTuple):
    """A squared distance ``(*B)`` and the plan ``(*B, K_p, K_q)`` that attains it."""

    square: Tensor
    plan: Tensor


def kl(p: Mixture, q: Distribution, samples: int = 10_000, generator: Generator | None = None) -> Estimate:
    r"""Estimates :math:`KL(p \| q) = \mathbb E_p[\log p - \log q]` by Monte Carlo.

    Arguments:
        p: A mixture, from which rows are drawn.
        q: A mixture or any distribution on the same rows.
        samples: The number of draws, at least 2.
        generator: The source of randomness.

    Gradients in ``p`` are pathwise where its draws are, and otherwise by the score function.

    Example:
        >>> p = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> q = mx.Mixture(torch.ones(1), mx.Normal(torch.ones(1), torch.ones(1)))
        >>> value, error = mx.divergences.kl(p, q)
        >>> bool((value - 0.5).abs() < 5 * error)
        True
    """
    if not samples >= 2:
        refuse("samples", "at least 2, for a standard error", samples)
    learning = p.logits.requires_grad or p.components.requires_grad()
    pathwise = learning and p.has_rsample
    x = p.rsample((samples,), generator) if pathwise else p.sample((samples,), generator)
    log_p = p.log_prob(x)
    ratio = log_p - q.log_prob(x)
    if learning and not pathwise:
        ratio = ratio + ratio.detach() * (log_p - log_p.detach())
    return Estimate(ratio.mean(0), ratio.detach().std(0) / math.sqrt(samples))


def kl_variational(p: Mixture, q: Mixture) -> Tensor:
    r"""Approximates :math:`KL(p \| q)` by the variational formula of Hershey and Olsen (2007).

    .. math:: \sum_a w_a \log \frac{\sum_{a'} w_{a'} e^{-KL(f_a \| f_{a'})}}{\sum_b v_b e^{-KL(f_a \| g_b)}}

    Example:
        >>> p = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 9.0]), torch.ones(2)))
        >>> mx.divergences.kl_variational(p, p)
        tensor(0.)
    """
    f, g = p.components.gaussian_law, q.components.gaussian_law
    own = torch.logsumexp(p.logits.unsqueeze(-2) - pairs.kl(f, f), -1)
    other = torch.logsumexp(q.logits.unsqueeze(-2) - pairs.kl(f, g), -1)
    return (p.weights * (own - other)).sum(-1)


def kl_lower(p: Mixture, q: Mixture) -> Tensor:
    r"""Returns a lower bound of :math:`KL(p \| q)`.

    .. math:: \sum_a w_a \Big[\log \sum_{a'} w_{a'} e^{-KL(f_a \| f_{a'})} - H(f_a) - \log \sum_b v_b \int f_a g_b\Big]
    """
    f, g = p.components.gaussian_law, q.components.gaussian_law
    _, log_mass = f.product(g)
    mass = log_mass.unflatten(-1, (p.logits.shape[-1], q.logits.shape[-1]))
    own = torch.logsumexp(p.logits.unsqueeze(-2) - pairs.kl(f, f), -1) - pairs.entropy(f)
    return (p.weights * (own - torch.logsumexp(q.logits.unsqueeze(-2) + mass, -1))).sum(-1)


def kl_upper(p: Mixture, q: Mixture) -> Tensor:
    r"""Returns an upper bound of :math:`KL(p \| q)`: the components of both, split so that their pieces match best.

    .. math:: \min_{\phi, \psi} KL(\phi \| \psi) + \sum_{ab} \phi_{ab} KL(f_a \| g_b), \qquad
        \sum_b \phi_{ab} = w_a, \quad \sum_a \psi_{ab} = v_b .

    Example:
        >>> p = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 1.0]), torch.ones(2)))
        >>> mx.divergences.kl_upper(p, p).abs() < 1e-6
        tensor(True)
    """
    cost = pairs.kl(p.components.gaussian_law, q.components.gaussian_law)
    log_w, log_v = p.logits.unsqueeze(-1), q.logits.unsqueeze(-2)
    with torch.no_grad():
        towards = torch.log_softmax(log_v - cost, -1)  # how a component of p is split
        for _ in range(_ROUNDS):
            back = torch.log_softmax(log_w + towards, -2)  # how a component of q is
            towards = torch.log_softmax(log_v + back - cost, -1)
        back = torch.log_softmax(log_w + towards, -2)
    gap = log_w + towards - log_v - back + cost
    share = (log_w + towards).exp()
    return torch.where(share > 0, share * gap.where(share > 0, 0), 0).sum((-2, -1))


def kl_matched(p: Mixture, q: Mixture) -> Tensor:
    r"""Returns the upper bound of :math:`KL(p \| q)` that pairs components one to one, best paired.

    .. math:: \min_{\text{permutations } m} \sum_a w_a \Big[KL(f_a \| g_{m(a)}) + \log\frac{w_a}{v_{m(a)}}\Big]

    Raises:
        MixtureError: If the numbers of components differ.
        ImportError: If SciPy is not installed.
    """
    if p.logits.shape[-1] != q.logits.shape[-1]:
        refuse("q", f"of {p.logits.shape[-1]} components, as many as `p`", q.logits.shape[-1], "Use `kl_upper`.")
    cost = pairs.kl(p.components.gaussian_law, q.components.gaussian_law)
    cost = p.weights.unsqueeze(-1) * (cost + p.logits.unsqueeze(-1) - q.logits.unsqueeze(-2))
    cost = torch.where(p.weights.unsqueeze(-1) > 0, cost, 0)
    match = _each(_assignment, cost)
    return torch.take_along_dim(cost, match.unsqueeze(-1), -1).sum((-2, -1))


def square_l2(p: Mixture, q: Mixture) -> Tensor:
    r"""Returns :math:`\int (p - q)^2\,dx`, exactly, with shape ``(*B)``.

    Example:
        >>> p = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.divergences.square_l2(p, p)
        tensor(0.)
    """
    return (p.overlap(p).exp() + q.overlap(q).exp() - 2 * p.overlap(q).exp()).clamp_min(0)


def cauchy_schwarz(p: Mixture, q: Mixture) -> Tensor:
    r"""Returns :math:`-\log\frac{\int pq}{\sqrt{\int p^2 \int q^2}}`, exactly, with shape ``(*B)``.

    Example:
        >>> p = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> q = mx.Mixture(torch.ones(1), mx.Normal(torch.ones(1), torch.ones(1)))
        >>> mx.divergences.cauchy_schwarz(p, q)
        tensor(0.2500)
    """
    return 0.5 * (p.overlap(p) + q.overlap(q)) - p.overlap(q)


def bhattacharyya(p: Mixture, q: Mixture) -> Bounds:
    r"""Returns bounds of the Bhattacharyya coefficient :math:`\int\sqrt{pq}\,dx`, between 0 and 1.

    With :math:`c_{ab} = \int \sqrt{f_a g_b}`, the square root of a sum lies between

    .. math:: \max_{\phi, \psi} \sum_{ab} \sqrt{\phi_{ab}\psi_{ab}}\, c_{ab} \;\le\; \int\sqrt{pq} \;\le\;
        \min\Big(1, \sum_{ab} \sqrt{w_a v_b}\, c_{ab}\Big)

    with couplings as in `kl_upper`. The distance is minus the logarithm of the coefficient.
    """
    distance = pairs.bhattacharyya(p.components.gaussian_law, q.components.gaussian_law)
    log_w, log_v = p.logits.unsqueeze(-1), q.logits.unsqueeze(-2)
    with torch.no_grad():
        back = log_w.expand(distance.shape)
        for _ in range(_ROUNDS):
            towards = torch.log_softmax(log_v + back - 2 * distance, -1)
            back = torch.log_softmax(log_w + towards - 2 * distance, -2)
    lower = (0.5 * (log_w + towards + log_v + back) - distance).exp().sum((-2, -1))
    upper = (0.5 * (log_w + log_v) - distance).exp().sum((-2, -1))
    return Bounds(lower.clamp_max(1), upper.clamp_max(1))


def wasserstein(p: Mixture, q: Mixture) -> Transport:
    r"""Returns the squared mixture-Wasserstein distance: the cheapest transport between components.

    .. math:: \min_{\pi} \sum_{ab} \pi_{ab} W_2^2(f_a, g_b), \qquad \sum_b \pi_{ab} = w_a, \; \sum_a \pi_{ab} = v_b,

    with :math:`W_2^2 = |\mu_a - \mu_b|^2 + \mathrm{tr}\,\Sigma_a + \mathrm{tr}\,\Sigma_b - 2\,\|L_a^\top L_b\|_*`
    between Gaussians, the last being a sum of singular values. It is the cost of the best coupling that is itself a
    Gaussian mixture, hence no less than the 2-Wasserstein distance. The linear programme is solved exactly.

    Raises:
        ImportError: If SciPy is not installed.

    Example:
        >>> p = mx.Mixture(torch.tensor([0.5, 0.5]), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
        >>> q = mx.Mixture(torch.tensor([1.0]), mx.Normal(torch.tensor([0.0]), torch.ones(1)))
        >>> mx.divergences.wasserstein(p, q).square
        tensor(8.)
    """
    cost = _square_transport(p, q)
    joined = torch.cat((p.weights.expand(*cost.shape[:-2], -1), q.weights.expand(*cost.shape[:-2], -1)), -1)
    solved = _each(_linear_programme, cost, joined)
    size = cost.shape[-2] * cost.shape[-1]
    plan = solved[..., :size].unflatten(-1, cost.shape[-2:])
    square = (plan * cost).sum((-2, -1)) + (solved[..., size:] * (joined - joined.detach())).sum(-1)
    return Transport(square, plan)


def _square_transport(p: Mixture, q: Mixture) -> Tensor:
    """Returns the squared 2-Wasserstein distance between all pairs of components, ``(*B, K_p, K_q)``."""
    f, g = p.components.gaussian_law, q.components.gaussian_law
    gap = f.location.unsqueeze(-2) - g.location.unsqueeze(-3)
    trace_f, trace_g = f.variance.sum(-1).unsqueeze(-1), g.variance.sum(-1).unsqueeze(-2)
    tril_f, tril_g = (torch.linalg.cholesky(c.covariance) for c in (f, g))
    cross = torch.linalg.svdvals(tril_f.unsqueeze(-3).mT @ tril_g.unsqueeze(-4)).sum(-1)
    return gap.square().sum(-1) + (trace_f + trace_g - 2 * cross).clamp_min(0)


def _each(solve: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Solves one problem per batch entry, without gradients."""
    dims = (2, 1)[: len(inputs)]
    batch = inputs[0].shape[: inputs[0].ndim - 2]
    flat = [one.detach().reshape(-1, *one.shape[one.ndim - d :]) for one, d in zip(inputs, dims, strict=True)]
    solved = [solve(*entry) for entry in zip(*flat, strict=True)]
    return torch.stack(solved).reshape(*batch, *solved[0].shape).to(inputs[0].device)


def _assignment(cost: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    return torch.as_tensor(linear_sum_assignment(cost.cpu().numpy())[1])


def _linear_programme(cost: Tensor, weights: Tensor) -> Tensor:
    """Returns the plan, flat, followed by the dual prices of the weights."""
    from scipy.optimize import linprog

    rows, columns = cost.shape
    marginals = np.concatenate((np.kron(np.eye(rows), np.ones(columns)), np.tile(np.eye(columns), rows)))
    demands = weights.double().cpu().numpy()
    demands[rows:] *= demands[:rows].sum() / demands[rows:].sum()
    solution = linprog(cost.double().cpu().numpy().ravel(), A_eq=marginals, b_eq=demands, method="highs")
    if not solution.success:
        raise ArithmeticError(f"The transport between components was not solved: {solution.message}")
    return torch.as_tensor(np.concatenate((solution.x, solution.eqlin.marginals))).to(cost)


@register_kl(Mixture, Mixture)
def _kl_divergence(p: Mixture, q: Mixture) -> Tensor:
    return kl(p, q).value
