r"""How much of a draw is left at a time, and how much noise came: :math:`x_t = \alpha_t x_0 + \sigma_t \varepsilon`.

A schedule states two functions, the signal :math:`\alpha_t` and the variance of the noise :math:`\sigma_t^2`. All else
follows from them, by automatic derivatives, so that nothing can disagree:

.. math::

    dx = f_t\,x\,dt + g_t\,dw, \qquad f_t = \frac{\alpha_t'}{\alpha_t}, \qquad
    g_t^2 = (\sigma_t^2)' - 2 f_t \sigma_t^2, \qquad \log\mathrm{SNR}_t = 2\log\alpha_t - \log\sigma_t^2 .

The ratio :math:`\sigma_t/\alpha_t = e^{-\log\mathrm{SNR}_t/2}` is the noise in units of the draw: what EDM calls
:math:`\sigma`. It rises with time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...errors import refuse
from ..grids import Grid, Uniform

__all__ = ["Schedule", "as_time"]

_HALVINGS = 80  # of the interval of times: below the distance of numbers in float64


class Schedule(ABC):
    """How signal and noise change with time, between `begin`, where draws are, and `end`, where noise is.

    A schedule of your own states `alpha` and `variance`, as functions of a tensor made of torch's operations. Times may
    be numbers or tensors of any shape; the answer has their shape and type (float64 for numbers), on their device.
    """

    begin: float = 0.0
    end: float = 1.0
    grid: Grid = Uniform()
    """The times at which samplers stop, unless they are told others."""

    @abstractmethod
    def alpha(self, t: Any) -> Tensor:
        r"""Returns :math:`\alpha_t`, what is left of the draw."""

    @abstractmethod
    def variance(self, t: Any) -> Tensor:
        r"""Returns :math:`\sigma_t^2`, the variance of the noise."""

    def sigma(self, t: Any) -> Tensor:
        r"""Returns :math:`\sigma_t`, the scale of the noise: a standard deviation."""
        return self.variance(t).sqrt()

    def drift(self, t: Any) -> Tensor:
        r"""Returns :math:`f_t = \alpha_t'/\alpha_t` of :math:`dx = f_t x\,dt + g_t\,dw`."""
        return self.alpha_rate(t) / self.alpha(t)

    def diffusion(self, t: Any) -> Tensor:
        r"""Returns :math:`g_t = \sqrt{(\sigma_t^2)' - 2 f_t \sigma_t^2}` of :math:`dx = f_t x\,dt + g_t\,dw`."""
        return (self.variance_rate(t) - 2 * self.drift(t) * self.variance(t)).clamp_min(0).sqrt()

    def log_snr(self, t: Any) -> Tensor:
        r"""Returns :math:`\log(\alpha_t^2/\sigma_t^2)`, which falls with time."""
        return 2 * self.alpha(t).log() - self.variance(t).log()

    def time(self, log_snr: Any) -> Tensor:
        """Returns the time of a log signal-to-noise ratio, the inverse of `log_snr`; an end where it is beyond."""
        wanted = as_time(log_snr)
        low, high = torch.full_like(wanted, self.begin), torch.full_like(wanted, self.end)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            later = self.log_snr(middle) > wanted
            low, high = torch.where(later, middle, low), torch.where(later, high, middle)
        return high

    def alpha_rate(self, t: Any) -> Tensor:
        r"""Returns :math:`\alpha_t'`."""
        return _rate(self.alpha, t)

    def variance_rate(self, t: Any) -> Tensor:
        r"""Returns :math:`(\sigma_t^2)'`."""
        return _rate(self.variance, t)

    def sigma_rate(self, t: Any) -> Tensor:
        r"""Returns :math:`\sigma_t' = (\sigma_t^2)'/(2\sigma_t)`."""
        return 0.5 * self.variance_rate(t) / self.sigma(t)

    def noise_scale(self, t: Any) -> Tensor:
        """Returns the scale of the round noise from which samplers start at a late time."""
        return self.sigma(t)

    def checked(self, t: Any) -> Tensor:
        """Returns times as a tensor, in float64 where they are numbers.

        Raises:
            MixtureError: If one is outside of `begin` and `end`, or not a number.
        """
        times = as_time(t)
        if not bool(((times >= self.begin) & (times <= self.end)).all()):
            refuse("t", f"between {self.begin:g} and {self.end:g}, the times of {self!r}", _shown(times))
        return times


def as_time(t: Any) -> Tensor:
    """Returns a time as a tensor, in float64 if it was none."""
    if isinstance(t, Tensor) and t.is_floating_point():
        return t
    try:
        return torch.as_tensor(t, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        refuse("t", "a number, or numbers as a tensor", repr(t))


def _rate(function: Callable[[Tensor], Tensor], t: Any) -> Tensor:
    """The derivative of a function of time, elementwise."""
    times = as_time(t)
    with torch.enable_grad():
        at = times if times.requires_grad else times.detach().clone().requires_grad_()
        value = function(at)
        if not value.requires_grad:  # a constant
            return torch.zeros_like(times)
        return torch.autograd.grad(value.sum(), at, create_graph=times.requires_grad)[0]


def _shown(times: Tensor) -> str:
    flat = times.detach().flatten()
    return f"{flat[0]:g}" if len(flat) == 1 else f"times from {flat.min():g} to {flat.max():g}"
