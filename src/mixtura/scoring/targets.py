"""What was observed, as the mixtures that foretold it take it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture

__all__ = ["as_numbers", "coordinates", "observed_targets"]


def observed_targets(mixture: Mixture, y: Any) -> Tensor:
    """Returns targets ``(*S, *B, *event)`` in the mixture's type, on its device.

    Raises:
        MixtureError: If the shape does not fit the mixture, or a target is NaN.
    """
    given = torch.as_tensor(y, dtype=mixture.dtype, device=mixture.device)
    places = given.ndim - len(mixture.event_shape)
    shape = mixture.batch_shape + mixture.event_shape
    if places < len(mixture.batch_shape) or given.shape[given.ndim - len(shape) :] != shape:
        wanted = ", ".join(["...", *map(str, shape)])
        refuse("y", f"of shape ({wanted}): targets of these mixtures", tuple(given.shape))
    if bool(given.isnan().any()):
        refuse("y", "free of NaN", "NaN", "Leave out the rows whose target is not known.")
    return given


def as_numbers(mixture: Mixture, y: Tensor) -> tuple[Mixture, Tensor]:
    """Returns mixtures of numbers, or of vectors of one feature, in double precision, and targets as numbers.

    Raises:
        MixtureError: If the mixtures are of vectors of several features.
    """
    if mixture.event_shape.numel() != 1:
        advice = "Use `mx.scoring.energy_score`, or `mixture.marginal` for one coordinate."
        refuse("mixture", "of numbers", f"of vectors of {mixture.event_shape.numel()} features", advice)
    return mixture.to(torch.float64), y.double().reshape(y.shape[: y.ndim - len(mixture.event_shape)])


def coordinates(mixture: Mixture) -> list[Mixture]:
    """Returns the mixtures of each coordinate: the mixture itself where it is of numbers."""
    if not mixture.event_shape:
        return [mixture]
    return [mixture.marginal([d]) for d in range(mixture.event_shape[0])]
