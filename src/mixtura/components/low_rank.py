r"""Covariances of few common factors: mixtures of factor analysers.

With loadings W of shape (D, q) and a variance of its own for each feature,

.. math:: \Sigma_k = W_k W_k^\top + \mathrm{diag}(\psi_k), \qquad B = \Psi^{-1/2} W, \qquad M = I_q + B^\top B,

the density needs the small matrix M alone. With :math:`t = \Psi^{-1/2}(x - \mu)` and the factors expected of a row,
:math:`g = M^{-1}B^\top t`,

.. math:: \log|\Sigma| = \log|M| + \textstyle\sum_d \log\psi_d, \qquad
    (x-\mu)^\top\Sigma^{-1}(x-\mu) = |t - B g|^2 + |g|^2,

a sum of squares, so that no digits cancel. The structure stores :math:`[W\ \ \psi^{1/2}]`, of shape (D, q + 1).

The M-step fits factor analysis to the second moments S, as `factor_analysis` says; EM sums them as for a full matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..errors import refuse
from . import passes
from .covariance import Full, Structure
from .factor_analysis import factor_analysis

__all__ = ["LowRank"]

_ROUNDS = 500  # steps of factor analysis at most, to fit given covariances
_FEW = 5  # and within one iteration of EM
_BLOCK = 2**18  # numbers of a block of rows and components


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LowRank(Structure):
    r"""Covariances :math:`W_k W_k^\top + \mathrm{diag}(\psi_k)` with loadings W of shape (D, rank).

    Arguments:
        rank: The number q of common factors, at least 1.
        tied: Whether the components share one matrix.

    Without values it is a template for a fit; `from_loadings` gives it values. Densities cost O(N K D q), and no matrix
    of D times D is made for them. A fit sums second moments of all features, as for `Full`.

    Raises:
        MixtureError: If the rank is not a whole number of at least 1.

    Example:
        >>> mx.LowRank(2, tied=True)
        LowRank(2, tied=True)
        >>> factor = mx.LowRank.from_loadings(torch.ones(1, 3, 1), torch.full((1, 3), 0.5))
        >>> factor.dense(3)
        tensor([[[1.5000, 1.0000, 1.0000],
                 [1.0000, 1.5000, 1.0000],
                 [1.0000, 1.0000, 1.5000]]])
    """

    rank: int
