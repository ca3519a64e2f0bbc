r"""What a row believes about its label: rules from log joint ``(..., K)`` to responsibilities ``(..., K)``.

- `soft`: the posterior probabilities, :math:`r_k \propto e^{\ell_k}` (EM);
- `hard`: one for the most probable component, zero for the others (K-means, classification EM);
- `Tempered`: the posterior probabilities raised to a power, :math:`r_k \propto e^{\beta\ell_k}` (annealed EM);
- `Sampled`: one for a component drawn from the posterior probabilities (Gibbs, stochastic EM).

A rule is any function of that form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...kernels import Rule, Single, soft

__all__ = ["Tempered", "hard", "soft"]


@dataclass(frozen=True)
class Hard(Single):
    """Gives each row wholly to its most probable component; the first one where several tie.

    Example:
        >>> mx.learning.hard(torch.tensor([[-1.0, -2.0]]))
        tensor([[1., 0.]])
    """

    def __call__(self, log_joint: Tensor) -> Tensor:
        return torch.zeros_like(log_joint).scatter_(-1, log_joint.argmax(-1, keepdim=True), 1.0)

    def threshold(self, x: Tensor, restarts: int) -> None:
        """Returns none: the most probable component."""


hard = Hard()


@dataclass(frozen=True)
class Tempered(Rule):
    r"""Posterior probabilities to the power :math:`\beta`, normalised: flat at 0, soft at 1, hard at infinity.

    Example:
        >>> mx.learning.Tempered(0.0)(torch.tensor([[-1.0, -2.0]]))
        tensor([[0.5000, 0.5000]])
    """

    beta: float

    def __call__(self, log_joint: Tensor) -> Tensor:
        return torch.softmax(self.beta * log_joint, -1)
