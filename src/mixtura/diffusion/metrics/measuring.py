r"""A number, and what exact samples of the same size would have given.

Samples of N rows from the mixture itself, F times over, give the Monte Carlo floor: mean and standard deviation of the
metric where nothing is wrong. If the samples were exact, theirs would be one more such number, so

.. math:: p = \frac{1 + \#\{f: m_f \ge m\}}{1 + F}

is a p-value, exactly and at any N; for a metric that looks to both sides, twice the smaller tail.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...mixture import Mixture
from .metric import Metric

__all__ = ["Measured", "Yardstick", "measure"]


class Measured(NamedTuple):
    """What a metric says of samples, and of exact samples.

    Arguments:
        value: Of the samples.
        floor: The mean over sets of exact samples of the same size.
        scale: The standard deviation over them.
        p_value: The probability of a value at least as far out, were the samples exact.
    """

    value: float
    floor: float
    scale: float
    p_value: float


class Yardstick:
    """A metric against a mixture with its floor, worked out once for any number of samples of one size.

    Arguments:
        metric: The metric.
        mixture: The mixture.
        exact: Sets of exact samples, ``(F, N, D)``.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> metrics = mx.diffusion.metrics
        >>> yardstick = metrics.Yardstick(metrics.SlicedWasserstein(), mixture, mixture.sample((19, 50)))
        >>> yardstick(mixture.sample((50,)) + 1).p_value
        0.05
    """

    def __init__(self, metric: Metric, mixture: Mixture, exact: Tensor) -> None:
        if exact.ndim < 2 or len(exact) < 2:
            refuse("exact", "two or more sets of samples, (F, N, D)", tuple(exact.shape))
        self.metric = metric
        self.count = exact.shape[1]
        self.of = metric.against(mixture, self.count)
        with torch.no_grad():
            self.floors = torch.stack([self.of(_rows(one)) for one in exact])

    def __call__(self, samples: Tensor) -> Measured:
        """Returns the metric of samples ``(N, D)`` beside its floor.

        Raises:
            MixtureError: If they are not as many as the exact ones.
        """
        if len(samples) != self.count:
            refuse("samples", f"{self.count} rows, as the exact ones", len(samples))
        with torch.no_grad():
            value = self.of(_rows(samples))
        return Measured(float(value), float(self.floors.mean()), float(self.floors.std()), self._p_value(value))

    def _p_value(self, value: Tensor) -> float:
        above, below = (int((one <= other).sum()) for one, other in ((value, self.floors), (self.floors, value)))
        if not bool(value.isfinite()):
            above = below = 0
        tails = ((1 + above) / (1 + len(self.floors)), (1 + below) / (1 + len(self.floors)))
        return min(1.0, 2 * min(tails)) if self.metric.two_sided else tails[0]


def measure(
    samples: Tensor, mixture: Mixture, metric: Metric, floors: int = 99, generator: Generator | None = None
) -> Measured:
    """Returns how far samples are from a mixture, beside what exact samples of the same size give.

    Arguments:
        samples: The samples, ``(N, D)``.
        mixture: What they should be of, a mixture of Gaussians.
        metric: The metric.
        floors: How many sets of exact samples are drawn; the least p-value is 1/(1 + floors).
        generator: The source of randomness of the exact samples.

    Raises:
        MixtureError: If there are no samples, they have another width, or ``floors`` is below 2.
        NotClosedForm: If the mixture is not one of Gaussians.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> found = mx.diffusion.metrics.measure(3 * mixture.sample((100,)), mixture, mx.diffusion.metrics.MMD())
        >>> found.p_value, found.value > 10 * found.floor
        (0.01, True)
    """
    if floors < 2:
        refuse("floors", "at least 2", floors)
    wanted = tuple(mixture.event_shape)
    if not isinstance(samples, Tensor) or not len(samples) or tuple(samples.shape[1:]) != wanted:
        came = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else type(samples).__name__
        refuse("samples", f"a tensor of one or more rows of shape {wanted}, as the mixture's", came)
    return Yardstick(metric, mixture, mixture.sample((floors, len(samples)), generator))(samples)


def _rows(samples: Tensor) -> Tensor:
    """Samples as vectors; numbers are vectors of one coordinate."""
    return samples.double() if samples.ndim > 1 else samples.double().unsqueeze(-1)
