r"""Components as ellipses :math:`(x - \mu_k)^\top \Sigma_k^{-1} (x - \mu_k) = s^2`.

In two dimensions the squared distance of a Gaussian draw is :math:`\chi^2_2`, so such an ellipse holds
:math:`1 - e^{-s^2/2}` of its component: 39.3 per cent for :math:`s = 1` and 86.5 per cent for :math:`s = 2` (not the
68.3 and 95.4 of one dimension).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import refuse
from ..mixture import Mixture
from .style import color, new_axes, style, write_number
from .subject import Model, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_ellipses", "ellipses", "outline"]


@style()
def ellipses(
    model: Model,
    dims: Sequence[int] = (0, 1),
    ax: Axes | None = None,
    scales: Sequence[float] = (1, 2),
    columns: Sequence[str] | None = None,
) -> Axes:
    """Draws each component's covariance in two columns as ellipses at some standard deviations.

    At 1 and 2 standard deviations an ellipse holds 39.3 and 86.5 per cent of a Gaussian component. The lines are the
    stronger the heavier the component; its number stands at its mean.

    Arguments:
        model: A mixture, a fit or a selection, of two columns or more.
        dims: Which two columns.
        ax: Where to draw; a new figure by default.
        scales: The standard deviations :math:`s`.
        columns: Names of all columns for the labels.

    Raises:
        MixtureError: If the mixture has fewer than two columns, or ``dims`` are not two of them.
        NotClosedForm: If the components have no marginals.
        ImportError: If matplotlib is not installed.

    Example:
        >>> ax = mx.plots.ellipses(mx.fit(mx.datasets.old_faithful(), components=2))
        >>> len(ax.lines)
        4
    """
    about = subject(model, None, columns)
    if len(dims) != 2 or about.features < 2:
        refuse("dims", "two of at least two columns", f"{tuple(dims)} of {about.features}")
    pair = about.pair(dims)
    ax = new_axes(ax)
    draw_ellipses(ax, pair.mixture, scales)
    ax.set_xlabel(pair.names[0])
    ax.set_ylabel(pair.names[1])
    return ax


def draw_ellipses(ax: Axes, mixture: Mixture, scales: Sequence[float] = (1, 2), number: bool = True) -> None:
    """Draws the ellipses of a mixture of two columns; components without weight are left out."""
    weights, covariance = mixture.weights, mixture.components.covariance
    for k, (weight, mean) in enumerate(zip(weights.tolist(), mixture.components.mean, strict=True)):
        if weight == 0:
            continue
        strength = 0.35 + 0.65 * min(1.0, weight * len(weights))
        for scale, line in zip(scales, outline(mean, covariance[k], scales), strict=True):
            width = 1.5 if scale == min(scales) else 0.9
            ax.plot(*line.T.numpy(), color=color(k), lw=width, alpha=strength, zorder=3)
        if number:
            write_number(ax, k, *mean.tolist())


def outline(mean: Tensor, covariance: Tensor, scales: Sequence[float], count: int = 121) -> Tensor:
    """Points on the ellipses of one covariance, with shape ``(len(scales), count, 2)``.

    Example:
        >>> from mixtura.plots.ellipses import outline
        >>> outline(torch.zeros(2), torch.tensor([[4.0, 0.0], [0.0, 1.0]]), (1.0,), count=5)[0, 0]
        tensor([2., 0.])
    """
    angle = torch.linspace(0, 2 * math.pi, count, dtype=mean.dtype)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    values, vectors = torch.linalg.eigh(covariance)  # a covariance without extent in a direction has an ellipse, too
    factor = (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT
    return mean + torch.as_tensor(scales, dtype=mean.dtype)[:, None, None] * (circle @ factor.mT)
