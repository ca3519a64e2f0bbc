r"""The pass for Student-t components: the Gaussian pass with a weight for each row and component.

With :math:`\delta_{nk}` the squared Mahalanobis distance and :math:`q_{nk} = 1 + \delta_{nk}/\nu_k`,

.. math:: \log p_{nk} = a_k - \tfrac{\nu_k + D}{2} \log q_{nk}, \qquad u_{nk} = \frac{\nu_k + D}{\nu_k\, q_{nk}},

and rows enter the sums of first and second moments with :math:`r_{nk} u_{nk}`, where the Gaussian pass has
:math:`r_{nk}`. The residual, its use and its layout are those of `torch_pass`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .choose import faster
from .reference import Kernel, _Blocks, _moments, _shares, _softmax
from .sums import Labels, soft

__all__ = ["StudentSums", "sums"]


class StudentSums(NamedTuple):
    """What an update of Student-t components needs, summed over rows, in float64."""

    log_likelihood: Tensor  # (B,)
    weight: Tensor  # (B, K): sum of r
    logs: Tensor  # (B, K): sum of r log q
    squares: Tensor  # (B, K): sum of r u^2
    pull: Tensor  # (B, K): sum of r u
    shift: Tensor  # (B, K, D): sum of r u (x - mean)
    scatter: Tensor  # second moments with r u, in the form of the Gaussian passes


@torch.no_grad()
def sums(
    kernel: Kernel,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    factor: Tensor,
    logits: Tensor,
    dof: Tensor,
    labels: Labels = soft,
) -> StudentSums:
    r"""Everything an update needs, from one pass over the rows.

    Arguments are those of the Gaussian passes, with ``logits`` (B, K) as :math:`\log w_k + a_k`, and ``dof`` (B, K).
    """
    if labels is soft and faster(x, mean):
        from .numba import student as student_numba

        return StudentSums(*student_numba.sums(kernel, x, weight, mean, factor, logits, dof))
    parts = [_share(kernel, x, weight, mean[s], factor[s], logits[s], dof[s], labels) for s in _shares(mean)]
    return StudentSums(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _share(
    kernel: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, factor: Tensor, logits: Tensor, dof: Tensor,
    labels: Labels,
) -> StudentSums:  # fmt: skip
    blocks = _Blocks(kernel, x, mean, factor, torch.zeros_like(logits))
    constants, dof = logits.to(x.dtype).unsqueeze(-1), dof.to(x.dtype).unsqueeze(-1)
    power, total = 0.5 * (dof + mean.shape[-1]), list[Tensor]()
    for rows, t, minus_half_distance, room in blocks:
        ratio = minus_half_distance.mul_(-2 / dof)
        logs = ratio.log1p()
        q = ratio.add_(1)
        joint = torch.addcmul(constants, power, logs, value=-1)
        r, density = _softmax(joint) if labels is soft else _believed(labels, joint)
        if weight is not None:
            share = weight[rows].to(x.dtype)
            r, density = r * share, density * share
        mass = [r.sum(-1, dtype=torch.float64), torch.linalg.vecdot(r, logs).double()]
        u = (2 * power / dof).div(q)
        mass.append(torch.linalg.vecdot(r.mul_(u), u).double())
        part = [*mass, *_moments(blocks.kernel, t, r, density, room)]
        total = [a.add_(b) for a, b in zip(total, part, strict=True)] if total else part
    mass, logs, squares, likelihood, pull, first, second = total
    second = second.unflatten(0, mean.shape[:2])
    pooled = second.sum(1, keepdim=True) if factor.shape[1] == 1 else second
    return StudentSums(likelihood, mass, logs, squares, pull, first.view(mean.shape), pooled)


def _believed(labels: Labels, joint: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities by a rule that takes (n, B, K), and log densities."""
    r = labels(joint.permute(2, 0, 1)).permute(1, 2, 0).contiguous()
    return r, joint.logsumexp(1, keepdim=True)
