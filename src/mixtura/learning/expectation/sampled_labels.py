"""Drawing labels: all rows of all chains at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...kernels import Single

__all__ = ["Sampled", "draw_labels"]


@dataclass(frozen=True)
class Sampled(Single):
    """A labels rule that draws one component per row from its posterior probabilities.

    Arguments:
        generator: The source of randomness.

    Example:
        >>> mx.learning.Sampled()(torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """

    generator: Generator | None = None
    by_row = False  # drawn for all rows at once, wherever blocks end

    def threshold(self, x: Tensor, restarts: int) -> Tensor:
        """Returns uniform numbers ``(N, B)``, one per row and chain."""
        return torch.rand(len(x), restarts, dtype=x.dtype, device=x.device, generator=self.generator)

    def __call__(self, log_joint: Tensor) -> Tensor:
        labels = draw_labels(log_joint, self.generator)
        return torch.zeros_like(log_joint).scatter_(-1, labels.unsqueeze(-1), 1.0)


def draw_labels(log_joint: Tensor, generator: Generator | None = None) -> Tensor:
    """Draws an index from each row of log-probabilities ``(..., K)``, normalised or not: shape ``(...)``."""
    mass = (log_joint - log_joint.amax(-1, keepdim=True)).exp_()
    cumulative = torch.cumsum(mass, -1, out=mass)
    uniform = torch.rand(mass.shape[:-1], dtype=mass.dtype, device=mass.device, generator=generator)
    threshold = (uniform * mass[..., -1]).unsqueeze(-1)
    # Strictly below the last sum, so a component of no mass is never the first one above.
    return (cumulative <= threshold).sum(-1).clamp_max(mass.shape[-1] - 1)
