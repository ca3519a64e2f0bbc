"""Weights and logits as they are given: checked, and as normalised logits."""

from __future__ import annotations

import torch
from torch import Tensor

from ..components import Component
from ..errors import MixtureError, refuse

__all__ = ["log_weights", "normalised"]

_MANY = 2**10


def log_weights(
    weights: Tensor | None, logits: Tensor | None, components: Component, validate_args: bool = True
) -> Tensor:
    """The normalised logits that weights, or logits, stand for; numbers are looked at where they are to be validated.

    Raises:
        MixtureError: If both or neither are given, or they do not fit the components.
    """
    if (weights is None) == (logits is None):
        raise MixtureError("Give either `weights` or `logits`, not both and not neither.")
    if logits is None:
        given = torch.as_tensor(weights, dtype=components.dtype, device=components.device)
        given = _checked_weights(given) if validate_args else given
        return torch.log_softmax(_one_each(_log(given), "weights", components), -1)
    logits = _one_each(torch.as_tensor(logits, dtype=components.dtype, device=components.device), "logits", components)
    if validate_args and bool(
        logits.isnan().any() | (logits == torch.inf).any() | (logits == -torch.inf).all(-1).any()
    ):
        refuse("logits", "finite or minus infinity, not all of one mixture minus infinity", logits)
    return torch.log_softmax(logits, -1)


def normalised(joint: Tensor) -> Tensor:
    """The normalised logits of log joints ``(..., K)``; of many rows by component, which torch does sooner."""
    if joint.ndim != 2 or len(joint) < _MANY:
        return torch.log_softmax(joint, -1)
    return torch.log_softmax(joint.mT.contiguous(), 0).mT.contiguous()


def _one_each(logits: Tensor, argument: str, components: Component) -> Tensor:
    if logits.shape != components.batch_shape or not components.batch_shape[-1]:
        expected = f"of shape {tuple(components.batch_shape)}, one per component and at least one"
        refuse(argument, expected, tuple(logits.shape))
    return logits


def _checked_weights(weights: Tensor) -> Tensor:
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        refuse("weights", "non-negative and finite", weights.detach().tolist())
    if not weights.ndim or weights.shape[-1] == 0 or bool((weights.sum(-1) <= 0).any()):
        refuse("weights", "positive somewhere in each mixture (K at least 1)", weights.detach().tolist())
    return weights


def _log(weights: Tensor) -> Tensor:
    """The logarithm with a zero gradient, not NaN, where a weight is zero."""
    if not weights.requires_grad:
        return weights.log()
    positive = weights > 0
    return torch.where(positive, torch.where(positive, weights, 1).log(), -torch.inf)
