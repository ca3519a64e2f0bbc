r"""Probability integral transforms: where in its own distribution each target fell.

Of targets that come from the distributions foretold for them, :math:`F(y)` is uniform on [0, 1] (Dawid, 1984). Where
it heaps up in the middle the distributions are too wide, at both ends too narrow, at one end shifted. For counts F
jumps, and a uniform place within the jump is drawn (Czado, Gneiting and Held, 2009). For vectors it is Rosenblatt's
transform, the first coordinate's F, then the second's given the first, and so on: independent uniform numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ..errors import refuse
from ..mixture import Mixture
from ..mixture.implicit import conditional_cdf
from .targets import observed_targets

__all__ = ["Histogram", "pit", "pit_histogram"]


class Histogram(NamedTuple):
    """Shares of values in equal bins of [0, 1], and the standard error of a share where values are uniform.

    Arguments:
        edges: The edges of the bins, ``(bins + 1,)``.
        share: The share of the values in each bin, ``(bins,)``.
        error: The standard error of one share if the values are uniform.
    """

    edges: Tensor
    share: Tensor
    error: float


def pit(mixture: Mixture, y: Any, generator: Generator | None = None) -> Tensor:
    """Returns the probability integral transforms of targets: uniform where the mixtures are true.

    Arguments:
        mixture: A mixture with batch shape ``(*B)``, such as one for each row.
        y: The targets, with shape ``(*S, *B, *event)``.
        generator: The source of randomness for places within the jumps of counts.

    Returns:
        Numbers between 0 and 1 in the shape of y: for vectors one for each coordinate given those before it.

    Raises:
        MixtureError: If shapes do not fit, or a target is NaN.
        NotClosedForm: If the family has no (conditional) distribution functions.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.scoring.pit(mixture, torch.tensor([-1.6449, 0.0]))
        tensor([0.0500, 0.5000])
    """
    targets = observed_targets(mixture, y)
    if mixture.event_shape.numel() > 1:
        return conditional_cdf(mixture, targets)
    below = mixture.cdf(targets).reshape(targets.shape)
    if not mixture.support.is_discrete:
        return below
    less = mixture.cdf(targets - 1).reshape(targets.shape)
    place = torch.rand(targets.shape, dtype=targets.dtype, device=targets.device, generator=generator)
    return less + place * (below - less)


def pit_histogram(values: Tensor, bins: int = 10, weight: Tensor | None = None) -> Histogram:
    """Returns the shares of transforms in equal bins, with the error that chance alone would make.

    Arguments:
        values: What `pit` returned, all in one.
        bins: The number of bins.
        weight: How much each value counts, in their shape; all the same if none is given.

    Raises:
        MixtureError: If there are no values, no bins, or a value is outside of [0, 1].

    Example:
        >>> mx.scoring.pit_histogram(torch.tensor([0.1, 0.2, 0.6, 0.9]), bins=2).share
        tensor([0.5000, 0.5000])
    """
    if not bins >= 1:
        refuse("bins", "at least 1", bins)
    if not values.numel() or not bool(((values >= 0) & (values <= 1)).all()):
        refuse("values", "some numbers between 0 and 1", "none" if not values.numel() else "others")
    counted = torch.ones_like(values) if weight is None else torch.as_tensor(weight).to(values).expand(values.shape)
    share = counted.flatten() / counted.sum()
    place = (values.flatten() * bins).long().clamp_max(bins - 1)
    found = torch.zeros(bins, dtype=values.dtype, device=values.device).index_add_(0, place, share)
    error = (share.square().sum() * (bins - 1)).sqrt().item() / bins
    return Histogram(torch.linspace(0, 1, bins + 1, dtype=values.dtype, device=values.device), found, error)
