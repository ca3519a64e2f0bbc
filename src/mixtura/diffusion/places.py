"""A schedule at one time, as numbers: what a step of a sampler reads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .schedules import Schedule

__all__ = ["Place", "place", "places"]


class Place(NamedTuple):
    r"""Everything of a schedule at a time t; numbers, computed in float64.

    ``ratio`` is :math:`\rho = \sigma/\alpha`, ``half_log_snr`` is :math:`\lambda = -\log\rho`, and the rates are
    :math:`\alpha'` and :math:`\sigma'`. Some are infinite where no signal or no noise is left.
    """

    t: float
    alpha: float
    sigma: float
    ratio: float
    half_log_snr: float
    drift: float
    diffusion: float
    alpha_rate: float
    sigma_rate: float


def places(schedule: Schedule, times: Tensor) -> list[Place]:
    """Returns the schedule at each of times ``(N)``."""
    alpha, sigma, half = schedule.alpha(times), schedule.sigma(times), 0.5 * schedule.log_snr(times)
    rates = schedule.drift(times), schedule.diffusion(times), schedule.alpha_rate(times), schedule.sigma_rate(times)
    return [Place(*row) for row in torch.stack([times, alpha, sigma, torch.exp(-half), half, *rates], -1).tolist()]


def place(schedule: Schedule, time: Tensor) -> Place:
    """Returns the schedule at one time."""
    return places(schedule, time.reshape(1))[0]
