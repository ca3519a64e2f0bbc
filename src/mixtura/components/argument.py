r"""Parameters of a family by name, as those take them who search among real numbers: Bayesians and networks.

A family states for each of its parameters where it may lie and what shape it has behind K. A covariance is stated by
scales and, where coordinates move together, the Cholesky factor of their correlations,

.. math:: \Sigma_k = S_k R_k R_k^\top S_k, \qquad S_k = \mathrm{diag}(s_k), \quad |R_{ki}| = 1,

because people know the spread of a coordinate and rarely a covariance.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Argument", "correlation_factor"]


class Argument(NamedTuple):
    """Where one parameter of a family may lie, and what shape it has.

    Arguments:
        support: A torch constraint.
        shape: The shape behind K.
        shared: Whether all components share one value, so that its K is 1.

    Example:
        >>> mx.Poisson.template().arguments(None)["rate"].support
        GreaterThan(lower_bound=0.0)
    """

    support: Any
    shape: tuple[int, ...] = ()
    shared: bool = False


def correlation_factor(scale_tril: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the scales ``(..., D)`` and the factor of the correlations ``(..., D, D)`` of a covariance's factor."""
    scale = scale_tril.square().sum(-1).sqrt()
    return scale, torch.div(scale_tril, scale.unsqueeze(-1))
