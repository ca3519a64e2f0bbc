r"""Closed forms between pairs of Gaussians, all in nats.

.. math::

    H(p) &= \tfrac12 \log|\Sigma| + \tfrac D2 (1 + \log 2\pi) \\
    KL(p \| q) &= \tfrac12\big[\mathrm{tr}(\Sigma_q^{-1}\Sigma_p) + |L_q^{-1}(\mu_p - \mu_q)|^2 - D
        + \log|\Sigma_q| - \log|\Sigma_p|\big] \\
    B(p, q) &= -\log\!\int\!\sqrt{pq} = \tfrac18 |\bar L^{-1}(\mu_p - \mu_q)|^2
        + \tfrac12 \log|\bar\Sigma| - \tfrac14 \log|\Sigma_p| - \tfrac14\log|\Sigma_q|,
        \quad \bar\Sigma = \tfrac12(\Sigma_p + \Sigma_q).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gaussian import Gaussian

__all__ = ["bhattacharyya", "entropy", "kl"]


def entropy(components: Gaussian) -> Tensor:
    """Returns the entropy of each component, with shape ``(*B, K)``."""
    half_logdet = components.structure.half_logdet(components.features).expand(components.batch_shape)
    return half_logdet + 0.5 * components.features * (1 + math.log(2 * math.pi))


def kl(p: Gaussian, q: Gaussian) -> Tensor:
    """Returns the divergence from each component of ``p`` to each of ``q``, with shape ``(*B, K_p, K_q)``."""
    tril_p, tril_q = _tril(p).unsqueeze(-3), _tril(q).unsqueeze(-4)
    gap = p.location.unsqueeze(-2) - q.location.unsqueeze(-3)
    tril_p, tril_q = torch.broadcast_tensors(tril_p, tril_q)
    ratio = torch.linalg.solve_triangular(tril_q, tril_p, upper=False)
    z = torch.linalg.solve_triangular(tril_q, gap.unsqueeze(-1), upper=False)
    logdet = 2 * (_half_logdet(tril_q) - _half_logdet(tril_p))
    return 0.5 * (ratio.square().sum((-2, -1)) + z.square().sum((-2, -1)) - p.features + logdet)


def bhattacharyya(p: Gaussian, q: Gaussian) -> Tensor:
    """Returns the Bhattacharyya distance between all pairs, with shape ``(*B, K_p, K_q)``."""
    middle = 0.5 * (p.covariance.unsqueeze(-3) + q.covariance.unsqueeze(-4))
    tril = torch.linalg.cholesky(middle)
    gap = p.location.unsqueeze(-2) - q.location.unsqueeze(-3)
    z = torch.linalg.solve_triangular(tril, gap.unsqueeze(-1), upper=False)
    ends = _half_logdet(_tril(p)).unsqueeze(-1) + _half_logdet(_tril(q)).unsqueeze(-2)
    return z.square().sum((-2, -1)) / 8 + _half_logdet(tril) - 0.5 * ends


def _tril(components: Gaussian) -> Tensor:
    return torch.linalg.cholesky(components.covariance)


def _half_logdet(tril: Tensor) -> Tensor:
    return tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
