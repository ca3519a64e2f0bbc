r"""Additive Gaussian errors: :math:`y = x + b_k + \varepsilon`, :math:`\varepsilon \sim N(0, S)`.

A Gaussian mixture seen through them is a Gaussian mixture, :math:`\sum_k w_k N(\mu_k + b_k, V_k + S)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..components.observation import Frame
from ..components.unresolved_observation import Unresolved
from ..errors import refuse
from .base import lead
from .linear import Linear

__all__ = ["AdditiveNoise"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class AdditiveNoise(Unresolved):
    r"""Gaussian errors added to each draw, :math:`y = x + b + \varepsilon` with :math:`\varepsilon \sim N(0, S)`.

    Arguments:
        loc: The mean error b: a number, or ``(D,)`` for vectors.
        scale: The standard deviation of independent errors: a number, or ``(D,)`` for vectors.
        variance: The same squared, instead.
        covariance: S whole, ``(D, D)``, instead.
        per_row: Any of these may have one more dimension in front, which counts the K components or the N rows. With
            ``True`` it counts rows and with ``False`` components. By default a fit takes it for rows where there are
            so many, and everything else takes it for components where there are so many, for rows otherwise. With
            two more dimensions they are ``(N or 1, K or 1)``.

    Numbers and tensors are cast to the mixture's type and device. Errors of zero are allowed.

    Raises:
        MixtureError: If a scale or variance is negative or not finite, a covariance not symmetric positive
            semi-definite, or a shape does not fit.

    Example:
        >>> clean = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
        >>> clean.observed(mx.observation.AdditiveNoise(loc=1.0, scale=0.5)).components.variance
        tensor([1.2500, 1.2500])
    """

    loc: Tensor
    scale: Tensor | None
    covariance: Tensor | None
    per_row: bool | None

    def __init__(
        self,
        loc: Any = 0.0,
        scale: Any = None,
        *,
        variance: Any = None,
        covariance: Any = None,
        per_row: bool | None = None,
    ) -> None:
        if sum(one is not None for one in (scale, variance, covariance)) != 1:
            refuse("scale", "given, or `variance`, or `covariance`: one of the three", "none or several of them")
        if variance is not None:
            scale = nonnegative("variance", variance).sqrt()
        object.__setattr__(self, "loc", finite("loc", loc))
        object.__setattr__(self, "scale", None if scale is None else nonnegative("scale", scale))
        object.__setattr__(self, "covariance", None if covariance is None else semidefinite("covariance", covariance))
        object.__setattr__(self, "per_row", per_row)

    def resolve(self, frame: Frame) -> Linear:
        offset = vector("loc", self.loc, frame, self.per_row)
        noise = spread(self.scale, self.covariance, frame, self.per_row)
        return Linear._of(matrix=None, offset=offset, noise=noise, missing=False)


def vector(name: str, tensor: Tensor, frame: Frame, per_row: bool | None) -> Tensor:
    """A number per coordinate, led by ``(R, C)``: ``(R, C, D)``."""
    tensor = tensor.to(frame.device, frame.dtype)
    if not frame.event_shape:
        return lead(name, tensor, 0, frame, per_row).unsqueeze(-1)
    tensor = tensor if tensor.ndim else tensor.expand(frame.features)
    if tensor.shape[-1] not in (1, frame.features):
        refuse(name, f"a number, or of shape (..., {frame.features})", f"shape {tuple(tensor.shape)}")
    return lead(name, tensor.expand(*tensor.shape[:-1], frame.features), 1, frame, per_row)


def spread(scale: Tensor | None, covariance: Tensor | None, frame: Frame, per_row: bool | None) -> Tensor:
    """Variances ``(R, C, D)`` or covariances ``(R, C, D, D)`` from whichever is given."""
    if covariance is None:
        given = torch.zeros(()) if scale is None else scale
        return vector("scale", given.to(frame.dtype), frame, per_row).square()
    if covariance.shape[-1] != frame.features:
        refuse("covariance", f"of shape (..., {frame.features}, {frame.features})", f"shape {tuple(covariance.shape)}")
    return lead("covariance", covariance.to(frame.device, frame.dtype), 2, frame, per_row)


def finite(name: str, value: Any) -> Tensor:
    """The value as a floating point tensor; refused unless finite."""
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    tensor = tensor if tensor.is_floating_point() else tensor.double()
    if not bool(tensor.isfinite().all()):
        refuse(name, "finite", "NaN or infinity", "For a value that was not recorded put NaN into the data.")
    return tensor


def nonnegative(name: str, value: Any) -> Tensor:
    """The value as a floating point tensor; refused unless finite and at least zero."""
    tensor = finite(name, value)
    if bool((tensor < 0).any()):
        refuse(name, "at least zero", f"{tensor.min().item():g}")
    return tensor


def semidefinite(name: str, value: Any) -> Tensor:
    """The value as symmetric positive semi-definite matrices."""
    tensor = finite(name, value)
    if tensor.ndim < 2 or tensor.shape[-1] != tensor.shape[-2]:
        refuse(name, "square matrices (..., D, D)", f"shape {tuple(tensor.shape)}", "For variances use `variance`.")
    size = tensor.detach().abs().amax((-2, -1), keepdim=True)
    rounding = 1e3 * torch.finfo(tensor.dtype).eps * size
    if bool(((tensor - tensor.mT).abs() > rounding).any()):
        refuse(name, "symmetric", "a matrix that differs from its transpose", "Use (C + C.mT) / 2.")
    _check_eigenvalues(name, tensor.detach(), rounding)
    return tensor


def _check_eigenvalues(name: str, covariance: Tensor, rounding: Tensor) -> None:
    """Refuses negative eigenvalues beyond rounding, which are looked for only where a Cholesky factor is missing."""
    lifted = covariance + rounding * torch.eye(covariance.shape[-1]).to(covariance)
    if not bool((torch.linalg.cholesky_ex(lifted).info > 0).any()):
        return
    lowest = torch.linalg.eigvalsh(covariance)[..., :1, None]
    if bool((lowest < -rounding).any()):
        refuse(name, "positive semi-definite", f"a smallest eigenvalue of {lowest.min().item():.3g}")
