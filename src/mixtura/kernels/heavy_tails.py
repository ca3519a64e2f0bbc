r"""Student-t components: the Gaussian passes with a weight for each row and component.

With :math:`\delta_{nk}` the squared Mahalanobis distance and :math:`q_{nk} = 1 + \delta_{nk}/\nu_k`,

.. math:: \log p_{nk} = a_k - \tfrac{\nu_k + D}{2} \log q_{nk}, \qquad u_{nk} = \frac{\nu_k + D}{\nu_k\, q_{nk}},

and rows enter the sums of first and second moments with :math:`r_{nk} u_{nk}`, where a Gaussian has :math:`r_{nk}`.
Where tails are light all u are nearly one, and what tells the degrees of freedom is by how little they differ: u is
therefore in double precision, whatever that of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .extra import Beyond, Extra, Read
from .residuals import Residuals

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["Tails"]


@dataclass(frozen=True, eq=False)
class Tails(Extra):
    r"""Degrees of freedom :math:`\nu` (B, K). The plan's logits are :math:`\log w_k + a_k`."""

    dof: Tensor
    beyond = Beyond.TAILS

    def read(self, plan: Plan, x: Tensor) -> Iterator[Read]:
        blocks = Residuals(plan, x, torch.zeros_like(plan.logits))
        constants, dof = plan.logits.to(x.dtype).unsqueeze(-1), self.dof.to(x.dtype).unsqueeze(-1)
        power, own = 0.5 * (dof + plan.mean.shape[-1]), self.dof.double().unsqueeze(-1)
        pulls = (own + plan.mean.shape[-1]) / own
        for rows, t, minus_half_distance, room in blocks:
            ratio = minus_half_distance.mul_(-2 / dof)
            logs, q = ratio.log1p(), ratio.double().add_(1)
            joint = torch.addcmul(constants, power, logs, value=-1)

            def sums(r: Tensor, t: Tensor = t, q: Tensor = q, logs: Tensor = logs, room: Tensor = room) -> list[Tensor]:
                u, logarithms = pulls / q, torch.linalg.vecdot(r, logs).double()
                pull = r * u
                squares, once = torch.linalg.vecdot(pull, u), pull.sum(-1)
                return [*blocks.moments(t, pull.to(r.dtype), room), logarithms, squares, once]

            yield Read(rows, joint, sums)

    def score(self, plan: Plan, x: Tensor, joint: Tensor, r: Tensor) -> Tensor:
        power = 0.5 * (self.dof + plan.mean.shape[-1])
        q = ((plan.logits - joint) / power).exp()
        return plan.form.attraction(plan.factor[0], x, plan.mean[0], r * (2 * power / self.dof) / q)

    def lengthened(self, plan: Plan, joint: Tensor) -> Tensor:
        """Log joints (N, B, K) from those of Gaussians of logits zero, minus half the squared distances."""
        dof, logits = self.dof.to(joint.dtype), plan.logits.to(joint.dtype)
        return torch.addcmul(logits, 0.5 * (dof + plan.mean.shape[-1]), joint.mul_(-2 / dof).log1p_(), value=-1)

    def part(self, restarts: slice) -> Tails:
        return Tails(self.dof[restarts])
