r"""Responsibilities times pulls: scores and denoisers of mixtures of full covariances in one pass.

With residuals from each component and their shares,

.. math:: z_k = W_k x + c_k, \qquad \log r_k = a_k - \tfrac12 |z_k|^2 + \dots, \qquad \sum_k r_k (h_k + B_k z_k),

where :math:`W_k` whitens, is the score with :math:`B_k = -W_k^\top` and :math:`h_k = 0`, and the mean of a clean draw
with its own. A row is in the cache for :math:`4KD^2` flops and nothing else of size KD is ever in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .compiled import compiled_module

__all__ = ["Pulls", "pulled", "worth_pulling"]

_WORTH = 1_000_000  # operations: about half a millisecond in torch
_MOST = 2**17  # residuals of a row, K D: those of a panel are to stay near
_TYPES = (torch.float32, torch.float64)


class Pulls(NamedTuple):
    r"""What each component does to a row.

    Attributes:
        whiten: W, (K, D, D).
        offset: c, (K, D).
        logits: The constants a, (K).
        back: B, (K, D, D).
        kept: h, (K, D).
    """

    whiten: Tensor
    offset: Tensor
    logits: Tensor
    back: Tensor
    kept: Tensor

    def work(self, rows: int) -> int:
        """Operations on so many rows, roughly."""
        return _work(rows, *self.kept.shape)


def worth_pulling(x: Tensor, components: int) -> bool:
    """Whether the compiled pass serves rows (N, D) under so many components, and is worth while.

    Gradients do not flow through it.
    """
    rows, features = x.shape
    large = _work(rows, components, features) >= _WORTH and components * features <= _MOST
    return large and x.device.type == "cpu" and x.dtype in _TYPES and compiled_module("pulls") is not None


def pulled(pulls: Pulls, x: Tensor) -> Tensor:
    """Returns the sums of rows ``(N, D)``, in their shape, by the compiled pass.

    Raises:
        ImportError: If it cannot be compiled here; `worth_pulling` tells.
    """
    found = compiled_module("pulls")
    if found is None:
        raise ImportError("numba is missing or cannot compile here")
    return found.pulled(pulls, x)


def _work(rows: int, components: int, features: int) -> int:
    return rows * components * (2 * features * features + 10 * features + 20)
