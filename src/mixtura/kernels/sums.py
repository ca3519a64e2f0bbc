"""What a pass over the rows returns."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Sums"]


class Sums(NamedTuple):
    r"""Sums over rows, about the *current* means, in float64 on the device of the rows.

    With :math:`r_{nk}` the responsibility times the weight of the row. Tied factors (one for all K) give the scatter
    pooled over components, with a component dimension of one. Degrees of freedom put :math:`r_{nk} u_{nk}` in the
    place of :math:`r_{nk}` in shift and scatter, and errors by row give the sums u and Q: see `heavy_tails` and
    `errors_by_row`.

    Attributes:
        log_likelihood: (B,), :math:`\sum_n w_n \log \sum_k p_{nk}`, in nats.
        weight: (B, K), :math:`\sum_n r_{nk}`.
        shift: (B, K, D), :math:`\sum_n r_{nk} (x_n - \mu_k)`.
        scatter: :math:`\sum_n r_{nk} (x_n - \mu_k)(x_n - \mu_k)^\top`: (B, K, D, D) whole, (B, K, D) its diagonal
            or (B, K) its trace.
        tails: With degrees of freedom the sums of :math:`r \log q`, :math:`r u^2` and :math:`r u`, each (B, K).
    """

    log_likelihood: Tensor
    weight: Tensor
    shift: Tensor
    scatter: Tensor
    tails: tuple[Tensor, ...] = ()
