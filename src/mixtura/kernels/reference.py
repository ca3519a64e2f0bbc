"""The reference: every plan as torch expressions, for every dtype and device."""

from __future__ import annotations

import torch
from torch import Tensor

from .labels import Rule, softmax
from .plan import Plan
from .residuals import shares
from .sums import Sums

__all__ = ["Reference"]

_SCORED = 2**14  # rows whose responsibilities are held at a time


class Reference:
    """A backend: whether it is worth while and serves a plan for rows (N, D), and five answers.

    Another is a subclass that overrides what it does better, and is made known by `add_backend`. A sixth answer, to
    advance a plan by some updates without leaving the backend, would stand beside `sums`.
    """

    def worth(self, plan: Plan, x: Tensor) -> bool:
        """Whether there is so much to do that this backend is faster than those after it."""
        return True

    def serves(self, plan: Plan, x: Tensor) -> bool:
        """Whether this backend has the arithmetic for this plan, on the device and in the type of these rows."""
        return True

    def sums(self, plan: Plan, x: Tensor, weight: Tensor | None = None) -> Sums:
        """Everything an update needs, from one pass over the rows, or two where the rule has to see all of them."""
        rule, parts = plan.rule, shares(plan.mean)
        given = None if rule.by_row else rule(self.log_joint(plan, x))
        if len(parts) == 1:
            return _sums(plan, rule, x, weight, given)
        found = [_sums(plan.part(s), rule, x, weight, None if given is None else given[:, s]) for s in parts]
        likelihood, mass, shift, scatter = map(torch.cat, zip(*(sums[:4] for sums in found), strict=True))
        tails = zip(*(sums.tails for sums in found), strict=True)
        return Sums(likelihood, mass, shift, scatter, tuple(map(torch.cat, tails)))

    def log_joint(self, plan: Plan, x: Tensor) -> Tensor:
        """Log joint density of each row and component, (N, B, K)."""
        out = x.new_empty(x.shape[0], *plan.logits.shape)
        for share in shares(plan.mean):
            part = plan.part(share)
            for rows, joint, _ in part.extra.read(part, x):
                out[rows, share] = joint.permute(2, 0, 1)
        return out

    def log_density(self, plan: Plan, x: Tensor) -> Tensor:
        """Log density of each row under each mixture, (N, B)."""
        out = x.new_empty(x.shape[0], plan.restarts)
        for share in shares(plan.mean):
            part = plan.part(share)
            for rows, joint, _ in part.extra.read(part, x):
                out[rows, share] = joint.logsumexp(1).mT
        return out

    def responsibilities(self, plan: Plan, x: Tensor) -> Tensor:
        """Posterior probability of each component for each row, (N, B, K)."""
        return torch.softmax(self.log_joint(plan, x), -1)

    def score(self, plan: Plan, x: Tensor) -> Tensor:
        """The gradient of the log density in the row under each mixture, (N, B, D)."""
        out = x.new_empty(x.shape[0], plan.restarts, x.shape[1])
        for b in range(plan.restarts):
            for start in range(0, len(x), _SCORED):
                rows = slice(start, start + _SCORED)
                out[rows, b] = self._score(plan.part(slice(b, b + 1)).rows(rows), x[rows])
        return out

    def _score(self, plan: Plan, x: Tensor) -> Tensor:
        joint = self.log_joint(plan, x)
        return plan.extra.score(plan, x, joint.squeeze(1), self.believed(plan, x, joint).squeeze(1))

    def believed(self, plan: Plan, x: Tensor, joint: Tensor) -> Tensor:
        """Responsibilities of rows of which the log joints (N, B, K) are known."""
        return torch.softmax(joint, -1)


def _sums(plan: Plan, rule: Rule, x: Tensor, weight: Tensor | None, given: Tensor | None) -> Sums:
    total: list[Tensor] = []
    for rows, joint, moments in plan.extra.read(plan, x):
        r, density = rule.believe(joint) if given is None else _given(given[rows], joint)
        if weight is not None:
            share = weight[rows].to(x.dtype)
            r, density = r * share, density * share
        part = [density.sum((1, 2), dtype=torch.float64), r.sum(-1, dtype=torch.float64), *moments(r)]
        total = [a.add_(b) for a, b in zip(total, part, strict=True)] if total else part
    likelihood, mass, first, second, *tails = total
    second = second.view(plan.mean.shape[:2] + plan.form.shape(plan.mean.shape[2]))
    pooled = second.sum(1, keepdim=True) if plan.tied and mass.shape[1] > 1 else second
    return Sums(likelihood, mass, first.view(plan.mean.shape), pooled, tuple(tails))


def _given(r: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:
    """Responsibilities (n, B, K) as (B, K, n), and log densities."""
    return r.permute(1, 2, 0).to(joint.dtype).contiguous(), softmax(joint)[1]
