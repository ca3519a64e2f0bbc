r"""The mean of the clean draw given the noisy one, :math:`E[x_0|x_t] = \sum_k r_k(x)\,(\mu_k + G_k(x - \alpha\mu_k))`.

:math:`G_k = \alpha\Sigma_k(\alpha^2\Sigma_k + \sigma^2 I)^{-1}`, and nothing cancels, at any ratio of signal to noise.
The sums go in one of two orders. Where matrices are small beside the rows, or diagonal,

.. math:: \sum_k r_k(\mu_k - \alpha G_k\mu_k) + \Big(\sum_k r_k G_k\Big) x,

with responsibilities from one fused pass, so that per row nothing of size K D is made. Elsewhere rows are turned into
each component's axes and back, some rows at a time: :math:`4 N K D^2` flops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...components import Gaussian
from .earlier import Earlier

if TYPE_CHECKING:
    from ...mixture import Mixture

__all__ = ["denoised"]

_SMALL = 8  # features up to which sums of matrices cost less than a row turned into all axes
_NUMBERS = 2**21  # of the turned rows that are held at a time


def denoised(mixture: Mixture, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
    r"""Returns :math:`E[x_0|x_t]` of rows ``(*S, *T, *B, D)``, in their shape.

    Arguments:
        mixture: The law of :math:`x_0`, of batch shape B.
        seen: The law of :math:`x_t`, of batch shape ``(*T, *B)``.
        alpha: :math:`\alpha_t`, with shape ``(*T, *1)``.
        variance: :math:`\sigma_t^2`, likewise.
        rows: The noisy draws.
    """
    gaussian, one = mixture.components.gaussian, not seen.batch_shape
    if gaussian.structure.elementwise and one:
        return _by_coordinates(gaussian, seen, alpha, variance, rows)
    if gaussian.features <= _SMALL and one:
        return _by_matrices(gaussian, seen, alpha, variance, rows)
    earlier = Earlier(gaussian, alpha, variance)
    outer = rows.ndim - len(seen.batch_shape) - 1
    flat = rows.reshape(-1, *rows.shape[outer:])
    some = max(1, _NUMBERS // max(1, seen.components.gaussian.location.numel()))
    parts = [earlier.mean(mixture.logits, part) for part in flat.split(some)]
    return torch.cat(parts).reshape(rows.shape) if parts else rows


def _by_coordinates(gaussian: Gaussian, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
    """Coordinates on their own: the gain is a number for each."""
    share, spread = _believed(seen, rows), gaussian.structure.variance(gaussian.features)
    whole = alpha.square() * spread + variance
    kept = gaussian.location * (variance / whole)
    gain = (alpha * spread / whole).expand(kept.shape)
    return share @ kept + (share @ gain) * rows


def _by_matrices(gaussian: Gaussian, seen: Mixture, alpha: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
    """Few coordinates: the gain is a small matrix, of which each row has its own average."""
    share, (axes, spectrum) = _believed(seen, rows), gaussian.structure.in_own_axes(gaussian.features)
    whole = alpha.square() * spectrum + variance
    turned = (axes.mT @ gaussian.location.unsqueeze(-1)).squeeze(-1)
    kept = (axes @ (turned * variance / whole).unsqueeze(-1)).squeeze(-1)
    gain = (axes * (alpha * spectrum / whole).unsqueeze(-2)) @ axes.mT
    gain = gain.expand(*kept.shape, kept.shape[-1]).flatten(-2)
    average = (share @ gain).unflatten(-1, (rows.shape[-1], rows.shape[-1]))
    return share @ kept + (average @ rows.unsqueeze(-1)).squeeze(-1)


def _believed(seen: Mixture, rows: Tensor) -> Tensor:
    return torch.softmax(seen.logits + seen.components.gaussian.log_prob(rows), -1)
