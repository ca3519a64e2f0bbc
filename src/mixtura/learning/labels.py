r"""What a row believes about its label: rules from log joint ``(..., K)`` to responsibilities ``(..., K)``.

- `soft`: the posterior probabilities, :math:`r_k \propto e^{\ell_k}` (EM);
- `hard`: one for the most probable component, zero for the others (K-means, classification EM).

A rule is any function of that form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..components.passes import soft

__all__ = ["hard", "soft"]


def hard(log_joint: Tensor) -> Tensor:
    """Gives each row wholly to its most probable component; the first one where several tie.

    Example:
        >>> mx.learning.hard(torch.tensor([[-1.0, -2.0]]))
        tensor([[1., 0.]])
    """
    return torch.zeros_like(log_joint).scatter_(-1, log_joint.argmax(-1, keepdim=True), 1.0)
