r"""Passes over the rows for Gaussian components: every sum an update needs, and fused densities.

Arguments are the same everywhere. B counts restarts, which share every pass over the rows.

- x (N, D): rows, of any floating type, on any device
- weight (N,) or None: how often each row counts
- mean (B, K, D)
- whitening (B, K, D, D): lower triangular, the inverse of the Cholesky factor of the covariance; or inverse_scale
  (B, K, D), or (B, K). With 1 in place of K it is tied: shared by all components
- logits (B, K): log weight plus log determinant of the whitening minus :math:`\tfrac{D}{2} \log 2\pi`, so that
  the log joint of a row is :math:`a_k - \tfrac12 |W_k (x - \mu_k)|^2`. Minus infinity leaves a component out.
- labels: what turns log joints (N, B, K) into responsibilities

On a CPU large inputs take the compiled passes, where numba is installed; results agree to rounding. Gradients do not
flow through a pass: a caller whose rows or parameters need them uses the torch expression.
"""

import torch
from torch import Tensor

from . import reference as torch_pass
from .choose import faster
from .reference import Diagonal, Full, Kernel, Spherical
from .sums import Labels, Single, Sums, soft

__all__ = [
    "Single",
    "Sums",
    "diagonal_log_density",
    "diagonal_log_joint",
    "diagonal_pass",
    "full_log_density",
    "full_log_joint",
    "full_pass",
    "soft",
    "spherical_log_density",
    "spherical_log_joint",
    "spherical_pass",
]


def full_pass(
    x: Tensor, weight: Tensor | None, mean: Tensor, whitening: Tensor, logits: Tensor, labels: Labels = soft
) -> Sums:
    r"""Sums for covariance matrices: see :class:`Sums`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
        >>> sums = full_pass(x, None, torch.zeros(1, 1, 2), torch.eye(2)[None, None], torch.zeros(1, 1))
        >>> sums.weight, sums.shift
        (tensor([[3.]], dtype=torch.float64), tensor([[[5., 0.]]], dtype=torch.float64))
    """
    return _sums(Full, x, weight, mean, whitening, logits, labels)


def diagonal_pass(
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    inverse_scale: Tensor,
    logits: Tensor,
    labels: Labels = soft,
) -> Sums:
    """Sums for one scale per feature."""
    return _sums(Diagonal, x, weight, mean, inverse_scale, logits, labels)


def spherical_pass(
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    inverse_scale: Tensor,
    logits: Tensor,
    labels: Labels = soft,
) -> Sums:
    """Sums for one scale."""
    return _sums(Spherical, x, weight, mean, inverse_scale, logits, labels)


def full_log_joint(x: Tensor, mean: Tensor, whitening: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of rows and components, (N, B, K), for covariance matrices."""
    return _log_joint(Full, x, mean, whitening, logits)


def diagonal_log_joint(x: Tensor, mean: Tensor, inverse_scale: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of rows and components, (N, B, K), for one scale per feature."""
    return _log_joint(Diagonal, x, mean, inverse_scale, logits)


def spherical_log_joint(x: Tensor, mean: Tensor, inverse_scale: Tensor, logits: Tensor) -> Tensor:
    """Log joint density of rows and components, (N, B, K), for one scale."""
    return _log_joint(Spherical, x, mean, inverse_scale, logits)


def full_log_density(x: Tensor, mean: Tensor, whitening: Tensor, logits: Tensor) -> Tensor:
    """Log density of rows, (N, B), for covariance matrices."""
    return _log_density(Full, x, mean, whitening, logits)


def diagonal_log_density(x: Tensor, mean: Tensor, inverse_scale: Tensor, logits: Tensor) -> Tensor:
    """Log density of rows, (N, B), for one scale per feature."""
    return _log_density(Diagonal, x, mean, inverse_scale, logits)


def spherical_log_density(x: Tensor, mean: Tensor, inverse_scale: Tensor, logits: Tensor) -> Tensor:
    """Log density of rows, (N, B), for one scale."""
    return _log_density(Spherical, x, mean, inverse_scale, logits)


@torch.no_grad()
def _sums(
    kernel: Kernel,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    scale: Tensor,
    logits: Tensor,
    labels: Labels,
) -> Sums:
    if labels is soft and (fast := faster(x, mean)):
        return fast.sums(kernel, x, weight, mean, scale, logits)
    if isinstance(labels, Single) and faster(x, mean):
        from .numba import single as single_numba

        return single_numba.sums(kernel, x, weight, mean, scale, logits, labels)
    return torch_pass.sums(kernel, x, weight, mean, scale, logits, labels)


@torch.no_grad()
def _log_joint(kernel: Kernel, x: Tensor, mean: Tensor, scale: Tensor, logits: Tensor) -> Tensor:
    return (faster(x, mean) or torch_pass).log_joint(kernel, x, mean, scale, logits)


@torch.no_grad()
def _log_density(kernel: Kernel, x: Tensor, mean: Tensor, scale: Tensor, logits: Tensor) -> Tensor:
    return (faster(x, mean) or torch_pass).log_density(kernel, x, mean, scale, logits)
