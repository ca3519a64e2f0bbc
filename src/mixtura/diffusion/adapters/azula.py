r"""azula: a denoiser is called with rows and a time in [0, 1], and returns a posterior that has a mean.

Its schedules are functions of the time that return the pair :math:`(\alpha_t, \sigma_t)`. Such a function is a
`Schedule` of ours (`AzulaSchedule`), and a schedule of ours, its times stretched to [0, 1], is such a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import Module

from ...mixture import Mixture
from ..schedules import Schedule
from ..schedules.schedule import as_time
from .truth import Truth

__all__ = ["AzulaDenoiser", "AzulaSchedule"]

Pair = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class AzulaSchedule(Schedule):
    r"""A schedule of azula's, with all that follows from it.

    Arguments:
        pair: A function of times in [0, 1] that returns :math:`(\alpha_t, \sigma_t)`, made of torch's operations.

    Example:
        >>> schedule = mx.diffusion.adapters.AzulaSchedule(lambda t: (1 - t, t))
        >>> schedule.log_snr(0.5), schedule.drift(0.5)
        (tensor(0., dtype=torch.float64), tensor(-2., dtype=torch.float64))
    """

    pair: Pair

    def alpha(self, t: Any) -> Tensor:
        return self.pair(as_time(t))[0]

    def variance(self, t: Any) -> Tensor:
        return self.sigma(t).square()

    def sigma(self, t: Any) -> Tensor:
        return self.pair(as_time(t))[1]


class AzulaDenoiser(Module):
    r"""A mixture as azula's samplers and guidance ask their denoisers: exact means, with gradients.

    Arguments:
        mixture: The law of the draws, without batch shape; its type and device are where the means are computed.
        schedule: One of azula's, any function :math:`t \mapsto (\alpha_t, \sigma_t)`, or one of ours. Where no noise is
            left at time 0, as in ours, a sampler that asks there should stop a little before.

    Attributes:
        schedule: What azula calls for :math:`(\alpha_t, \sigma_t)`.

    Raises:
        MixtureError: If the mixture has a batch shape.
        NotClosedForm: If its components are not Gaussian.

    Source: azula 0.11, ``azula.denoise.Denoiser``.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> denoiser = mx.diffusion.adapters.AzulaDenoiser(mixture, mx.diffusion.RectifiedFlow())  # doctest: +SKIP
        >>> denoiser(torch.ones(1, 2), torch.tensor(0.5)).mean  # doctest: +SKIP
        tensor([[1., 1.]])
    """

    def __init__(self, mixture: Mixture, schedule: Schedule | Pair) -> None:
        super().__init__()
        self.schedule = _OnUnitTime(schedule) if isinstance(schedule, Schedule) else schedule
        self._truth = Truth(mixture, AzulaSchedule(self.schedule))

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> Mean:
        """Returns the posterior of the clean rows: its mean.

        Arguments:
            x_t: The noisy rows, ``(N, *)`` with D numbers in each, or one row.
            t: The time in [0, 1], or one for each row, ``(N,)``.
            kwargs: Taken as azula passes them on, and not looked at.
        """
        return Mean(self._truth.denoise(x_t, t))


class Mean(NamedTuple):
    """What azula reads of a posterior."""

    mean: Tensor


@dataclass(frozen=True)
class _OnUnitTime:
    """A schedule of ours as azula's are called."""

    schedule: Schedule

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        one = self.schedule
        time = one.begin + as_time(t) * (one.end - one.begin)
        return one.alpha(time), one.sigma(time)
