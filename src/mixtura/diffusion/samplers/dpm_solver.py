r"""DPM-Solver++: the flow is solved exactly for a clean draw that is a polynomial in the log of signal over noise.

With :math:`\lambda = \log(\alpha/\sigma)`, :math:`h = \lambda_s - \lambda_t` and :math:`\varphi = 1 - e^{-h}`, a
step of each of the three orders is

.. math:: x_s = \frac{\sigma_s}{\sigma_t} x_t + \alpha_s\varphi\,D_0
    \;\Big[+ \tfrac12\alpha_s\varphi\,D_1\Big] \quad\text{or}\quad
    \Big[+ \alpha_s\big(1 - \tfrac{\varphi}{h}\big) D_1
    + \alpha_s\big(\tfrac{\varphi - h}{h^2} + \tfrac12\big) D_2\Big],

where :math:`D_0 = \hat x_0` and :math:`D_1, D_2` are divided differences of it over steps before, in units of h. The
first order is DDIM. A last step, to no noise at all, has :math:`h = \infty` and is of first order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..places import Place, place
from .sampler import Draw, Here, Sampler, Seen

__all__ = ["DPMSolver2M", "DPMSolver2S", "DPMSolver3M", "DPMSolverSDE"]


@dataclass(frozen=True)
class DPMSolver2S(Sampler):
    r"""The second order by a question in the middle of the step, in :math:`\lambda`; two questions a step.

    Source: Lu et al. (2022), DPM-Solver++(2S), algorithm 1.
    """

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        middle = 0.5 * (here.place.half_log_snr + then.half_log_snr)
        if not math.isfinite(middle):
            return _first(here, then, here.clean)
        between = _at(here, middle)
        there = here.at(_first(here, between, here.clean), between)
        return _first(here, then, there.clean)


@dataclass(frozen=True)
class DPMSolver2M(Sampler):
    """The second order by what the model said one step before; one question a step.

    Source: Lu et al. (2022), DPM-Solver++(2M), algorithm 2.
    """

    memory = 1

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        return _first(here, then, _forward(here, then))


@dataclass(frozen=True)
class DPMSolverSDE(Sampler):
    r"""The second order for the reverse stochastic equation, by what the model said one step before.

    .. math:: x_s = \frac{\sigma_s}{\sigma_t}e^{-h}x_t + \alpha_s(1 - e^{-2h})(D_0 + \tfrac12 D_1)
        + \sigma_s\sqrt{1 - e^{-2h}}\,z .

    Source: Lu et al. (2022), SDE-DPM-Solver++(2M).
    """

    deterministic = False
    memory = 1

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        span = then.half_log_snr - here.place.half_log_snr
        new = -math.expm1(-2 * span)
        kept = then.sigma / here.place.sigma * math.exp(-span)
        mean = kept * here.x + then.alpha * new * _forward(here, then)
        return mean + then.sigma * math.sqrt(new) * draw(here.x)


@dataclass(frozen=True)
class DPMSolver3M(Sampler):
    """The third order by what the model said in the two steps before; one question a step, but two in the first.

    A first step of first order, as is usual, would leave the whole of second order: `DPMSolver2S` makes it. And
    :math:`D_2` is a second derivative, twice the divided difference that stands in its place in published code; with
    half of it the order is 2, too.

    Source: Lu et al. (2022), DPM-Solver++ of order 3, multistep.
    """

    memory = 2

    def step(self, here: Here, then: Place, draw: Draw) -> Tensor:
        span = then.half_log_snr - here.place.half_log_snr
        if not here.past:
            return DPMSolver2S().step(here, then, draw)
        if len(here.past) < 2 or not math.isfinite(span + 1 / _gap(here.past[0], here.past[1])):
            return _first(here, then, _forward(here, then))
        near, far = _gap(here, here.past[0]) / span, _gap(here.past[0], here.past[1]) / span
        slope = (here.clean - here.past[0].clean) / near
        bend = 2 * (slope - (here.past[0].clean - here.past[1].clean) / far) / (near + far)
        phi = -math.expm1(-span)
        first = _first(here, then, here.clean) + then.alpha * (1 - phi / span) * (slope + 0.5 * near * bend)
        return first + then.alpha * ((phi - span) / span**2 + 0.5) * bend


def _first(here: Here, then: Place, clean: Tensor) -> Tensor:
    """A step with a clean draw that does not change on the way."""
    now = here.place
    share = -math.expm1(now.half_log_snr - then.half_log_snr)
    return then.sigma / now.sigma * here.x + then.alpha * share * clean


def _forward(here: Here, then: Place) -> Tensor:
    """The clean draw half a step ahead, along the line through the place before; without one, as it is."""
    span = then.half_log_snr - here.place.half_log_snr
    if not here.past or not math.isfinite(span):
        return here.clean
    return here.clean + 0.5 * span / _gap(here, here.past[0]) * (here.clean - here.past[0].clean)


def _gap(here: Here | Seen, before: Seen) -> float:
    return here.place.half_log_snr - before.place.half_log_snr


def _at(here: Here, half_log_snr: float) -> Place:
    """The place of a log signal-to-noise ratio."""
    return place(here.schedule, here.schedule.time(torch.tensor(2 * half_log_snr, dtype=torch.float64)))
