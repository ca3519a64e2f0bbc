r"""A gate: weights that hang on covariates, by a multinomial logistic regression of the label.

.. math:: \log\pi_k(z) = g_k(z) - \log\sum_l e^{g_l(z)}, \qquad g_k(z) = a_k + b_k \cdot (z - c) .

Its rows are soft: with row weight :math:`R_n`, responsibilities :math:`r_{nk}` that sum to it, and the design
:math:`u = (1, z - c)`, the expected log-likelihood :math:`\sum_{nk} r_{nk} \log\pi_k(z_n)` is concave in the effects
:math:`(a_k, b_k)`, with slope and curvature

.. math:: s_k = \sum_n (r_{nk} - R_n \pi_{nk})\, u_n, \qquad
    H_{kl} = \sum_n R_n \pi_{nk} (\delta_{kl} - \pi_{nl})\, u_n u_n^\top .

An update is a step of Newton's method, :math:`H d = s`, that changes predictors by at most 4 in the root mean square. A
sure one is :math:`d_k = 2 G^{-1} s_k` with :math:`G = \sum_n R_n u_n u_n^\top`, as
:math:`H \preceq \tfrac12 (I - \tfrac1K 1 1^\top) \otimes G` at any effects (Boehning, 1992): it never lowers the
likelihood. What all components have in common says nothing: effects sum to zero over components.

Where the rows of components lie apart along some direction of the covariates there are no most likely effects: they
grow for ever, and weights tend to 0 and 1. With N the weight of all rows, the least of
:math:`2 N d^\top H d / d^\top (I \otimes G) d` over effects that sum to zero is the number of rows that leave any doubt
along the direction that is surest. Where it is less than :math:`10^{-3}`, or than :math:`10^{-6} N`, that is a
collapse; a prior on the coefficients bounds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ..._value import Value
from .sums import curved, pulls, solved, squares

__all__ = ["Gate"]

_FAR = 4.0  # the most by which a step may change predictors, in the root mean square
_NO_DOUBT, _HARDLY = 1e-3, 1e-6  # rows, and of their share


@dataclass(frozen=True, eq=False, repr=False)
class Gate(Value):
    r"""Weights :math:`\pi_k(z)` with batch shape ``(*B, K)``.

    Arguments:
        effect: The effects a and b of each component, with shape ``(*B, K, Q)``; Q is P + 1.
        centre: The centre c, the same for all components, with shape ``(*B, 1, P)``.
        share: The logarithm of the share of rows that each component has, with shape ``(*B, K)``.
    """

    effect: Tensor
    centre: Tensor
    share: Tensor

    constrained: ClassVar[bool] = True  # what is common to all components, the centre and the shares are none's law
    constant: ClassVar[bool] = True  # the first effect is an intercept

    @property
    def coefficients(self) -> Tensor:
        """The coefficients of the covariates, with shape ``(*B, K, P)``: they sum to zero over components."""
        return self.effect[..., 1:]

    @property
    def intercept(self) -> Tensor:
        """The predictors where all covariates are zero, with shape ``(*B, K)``."""
        return self.effect[..., 0] - (self.coefficients * self.centre).sum(-1)

    @property
    def slopes(self) -> int:
        """How many coefficients are free."""
        components, effects = self.effect.shape[-2:]
        return (components - 1) * (effects - 1)

    def log_weights(self, z: Tensor) -> Tensor:
        """Returns log-weights at covariates ``(*S, *B, P)``, with shape ``(*S, *B, K)``."""
        gap = z.unsqueeze(-2) - self.centre
        found = self.effect[..., 0] + (gap @ self.coefficients.mT).squeeze(-2)
        alive = found.masked_fill(self.share == -torch.inf, -torch.inf)
        return torch.log_softmax(alive.movedim(-1, 0).contiguous(), 0).movedim(
            0, -1
        )  # sooner than over a short last axis

    def relative(self, z: Tensor) -> Tensor:
        """Returns log-weights at covariates less those that a mixture has, ``(*S, *B, K)``."""
        return self.log_weights(z) - self.shared

    @property
    def shared(self) -> Tensor:
        """The log-weights that a mixture has, ``(*B, K)``; zero of components without rows, which have no weight."""
        share = self.share.detach()
        return share.masked_fill(share == -torch.inf, 0)

    def weighed(self, logits: Tensor) -> Self:
        """Returns the gate of a mixture with these shares; a component left out there keeps its share here."""
        return self._replace(share=torch.where(logits == -torch.inf, self.share, logits.detach()))

    def broken(self) -> Tensor:
        """Tells which components ``(*B, K)`` have effects that are not finite."""
        return ~self.effect.isfinite().all(-1)

    # -- sums over rows

    def sums(self, z: Tensor, r: Tensor, log_weights: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns s ``(*B, K, Q)``, H ``(*B, K, K, Q, Q)`` and G ``(*B, 1, Q, Q)`` of rows ``(N, P)``.

        Arguments:
            z: The covariates.
            r: Responsibilities ``(N, *B, K)``.
            log_weights: The log-weights of the rows where they are known, in that shape.
        """
        r, z, centre = r.double(), z.double(), self.centre.double()
        if log_weights is None:
            log_weights = self.to(torch.float64).log_weights(z.reshape(len(z), *(1,) * (r.ndim - 2), z.shape[-1]))
        gap = z - centre.reshape(-1, z.shape[-1])[0]
        u, weight, row = torch.cat([torch.ones_like(gap[:, :1]), gap], -1), log_weights.exp(), r.sum(-1, keepdim=True)
        held = row * weight
        spread = torch.diag_embed(held) - held.unsqueeze(-1) * weight.unsqueeze(-2)
        return pulls(u, r - held), squares(u, spread), squares(u, row)

    def units(self, sums: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the units in which changes of sums are measured; ``weight`` is that of components ``(*B, K)``."""
        gram = sums[2]
        length = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        square = length.unsqueeze(-1) * length.unsqueeze(-2)
        return length * weight.mean(-1)[..., None, None].sqrt(), square.unsqueeze(-3), square

    def restated(self, sums: tuple[Tensor, ...], old: Self) -> tuple[Tensor, ...]:
        """Returns sums about the effects of ``old`` as sums about these, as far as the curvature tells."""
        slope, curvature, gram = sums
        gap = old.effect.double() - self.effect.double()
        return slope + torch.einsum("...klij,...lj->...ki", curvature, gap), curvature, gram

    # -- updates

    def update(self, sums: tuple[Tensor, ...], weight: Tensor, prior: Any = None) -> Self:
        """Returns the gate after a step of Newton's method; NaN where no direction has a most likely effect."""
        slope, curvature, gram = sums
        curvature = _matrix(curvature)
        certain = self._certain(curvature, gram, weight.sum(-1))
        if prior is not None:
            more, slope = prior.penalised(self, torch.zeros_like(gram), slope)
            curvature, certain = curvature + _matrix(_on_diagonal(more)), torch.zeros_like(certain)
        step = solved(curvature, slope.flatten(-2)).reshape(slope.shape)
        square = (step * (gram @ step.unsqueeze(-1)).squeeze(-1)).sum(-1).amax(-1) / weight.sum(-1)
        near = (_FAR / square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()).clamp_max(1.0)
        return self._stepped((step * near[..., None, None]).masked_fill(certain[..., None, None], torch.nan), weight)

    def cautious(self, sums: tuple[Tensor, ...], weight: Tensor, prior: Any = None) -> Self:
        """Returns the gate after a step that is sure not to lower the likelihood."""
        slope, _, gram = sums
        half = 0.5 * gram.expand(*slope.shape, slope.shape[-1])
        half, slope = (half, slope) if prior is None else prior.penalised(self, half, slope)
        return self._stepped(solved(half, slope), weight)

    def _certain(self, curvature: Tensor, gram: Tensor, total: Tensor) -> Tensor:
        """Tells in which entries ``(*B)`` weights tend to 0 and 1 along some direction."""
        count = self.effect.shape[-2]
        if count == 1:
            return torch.zeros_like(total, dtype=torch.bool)
        apart = torch.eye(count).to(gram) - 1 / count
        every = _matrix(apart[..., None, None] * gram.unsqueeze(-3))
        doubt = 2 * total * curved(every, curvature)
        return doubt < torch.maximum(_HARDLY * total, torch.full_like(total, _NO_DOUBT))

    def _stepped(self, step: Tensor, weight: Tensor) -> Self:
        effect = self.effect.double() + step
        effect = effect - effect.mean(-2, keepdim=True)
        share = (weight / weight.sum(-1, keepdim=True)).log()
        return self._replace(effect=effect.to(self.dtype), share=share.to(self.dtype))


def _matrix(blocks: Tensor) -> Tensor:
    """Blocks ``(*B, K, L, Q, Q)`` as one matrix ``(*B, K Q, L Q)``."""
    return blocks.transpose(-3, -2).flatten(-2).flatten(-3, -2)


def _on_diagonal(blocks: Tensor) -> Tensor:
    """Blocks ``(*B, K, Q, Q)`` on the diagonal of blocks ``(*B, K, K, Q, Q)``."""
    return torch.eye(blocks.shape[-3]).to(blocks)[..., None, None] * blocks.unsqueeze(-3)
