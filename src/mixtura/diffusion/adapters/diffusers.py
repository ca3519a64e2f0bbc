r"""diffusers: a scheduler knows :math:`\bar\alpha_i` at whole timesteps, and calls a model with rows and a timestep.

.. math:: x_i = \sqrt{\bar\alpha_i}\,x_0 + \sqrt{1 - \bar\alpha_i}\,\varepsilon .

The ratio :math:`\rho = \sqrt{(1-\bar\alpha)/\bar\alpha}` is taken along a line between timesteps, as the schedulers
themselves do where they stop between two.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Generator, Tensor

from ...errors import refuse
from ...mixture import Mixture
from ..schedules import Schedule
from ..schedules.schedule import as_time
from .truth import Truth

__all__ = ["DiffusersModel", "DiffusersSchedule", "run_scheduler"]


@dataclass(frozen=True, eq=False)
class DiffusersSchedule(Schedule):
    r"""A schedule of diffusers', with all that follows from it: time 0 is clean, and time i + 1 is timestep i.

    Arguments:
        alphas_cumprod: :math:`\bar\alpha_i` of each timestep, ``(T,)``, falling from below 1 to above 0.

    Raises:
        MixtureError: If they do not.

    Example:
        >>> schedule = mx.diffusion.adapters.DiffusersSchedule(torch.tensor([0.8, 0.5, 0.2]))
        >>> schedule.alpha(torch.tensor([0.0, 1.0, 2.0, 3.0])).square()
        tensor([1.0000, 0.8000, 0.5000, 0.2000])
    """

    alphas_cumprod: Tensor

    def __post_init__(self) -> None:
        known = self.alphas_cumprod.double()
        falls = torch.cat([known.new_ones(1), known, known.new_zeros(1)]).diff() < 0
        if known.ndim != 1 or not bool(falls.all()):
            refuse("alphas_cumprod", "numbers that fall from below 1 to above 0", self.alphas_cumprod.tolist())

    @property
    def end(self) -> float:  # type: ignore[override]
        """The last timestep and one."""
        return float(len(self.alphas_cumprod))

    def alpha(self, t: Any) -> Tensor:
        return (1 + self._ratio(t).square()).rsqrt()

    def variance(self, t: Any) -> Tensor:
        return self._ratio(t).square() / (1 + self._ratio(t).square())

    def sigma(self, t: Any) -> Tensor:
        return self._ratio(t) * self.alpha(t)

    def noise_scale(self, t: Any) -> Tensor:
        return torch.ones_like(as_time(t))

    @cached_property
    def _ratios(self) -> Tensor:
        known = self.alphas_cumprod.double()
        return torch.cat([known.new_zeros(1), ((1 - known) / known).sqrt()])

    def _ratio(self, t: Any) -> Tensor:
        """Along the line between the whole times on either side."""
        times, ratios = as_time(t), self._ratios.to(as_time(t))
        before = times.detach().floor().clamp(0, len(ratios) - 2).long()
        return ratios[before] + (times - before) * (ratios[before + 1] - ratios[before])


class DiffusersModel:
    r"""A mixture as diffusers' loops call their models: by default the noise to be expected, of variance one.

    Arguments:
        mixture: The law of the draws, without batch shape; its type and device are where the answers are computed.
        alphas_cumprod: :math:`\bar\alpha_i` of each timestep, as a scheduler has them.
        prediction_type: ``"epsilon"``, ``"sample"`` (the clean rows) or ``"v_prediction"``
            (:math:`\alpha\hat\varepsilon - \sigma\hat x_0`), as a scheduler's configuration says.

    Raises:
        MixtureError: If the prediction is another, or the mixture has a batch shape.
        NotClosedForm: If its components are not Gaussian.

    Source: diffusers 0.42, ``diffusers.schedulers``.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> model = mx.diffusion.adapters.DiffusersModel(mixture, torch.tensor([0.91, 0.36]))
        >>> model(torch.ones(1, 2), 1)  # sigma x, for draws of N(0, I)
        tensor([[0.8000, 0.8000]])
    """

    def __init__(self, mixture: Mixture, alphas_cumprod: Tensor, prediction_type: str = "epsilon") -> None:
        if prediction_type not in _PREDICTED:
            refuse("prediction_type", f"one of {', '.join(_PREDICTED)}", prediction_type)
        self.schedule = DiffusersSchedule(alphas_cumprod)
        self._truth, self._predicted = Truth(mixture, self.schedule), _PREDICTED[prediction_type]

    def __call__(self, x: Tensor, timestep: Any) -> Tensor:
        """Returns what is to be predicted, in the shape and type of ``x``.

        Arguments:
            x: The noisy rows, ``(N, *)`` with D numbers in each, of the variance that the schedule says.
            timestep: The timestep, or one for each row, ``(N,)``; from 0, whole or between two.
        """
        time = torch.as_tensor(timestep).double() + 1
        clean = self._truth.denoise(x, time)
        alpha, sigma = (_beside(one(time), x) for one in (self.schedule.alpha, self.schedule.sigma))
        return self._predicted(clean, (x - alpha * clean) / sigma, alpha, sigma)


def run_scheduler(
    mixture: Mixture, scheduler: Any, shape: Sequence[int], steps: int, generator: Generator | None = None
) -> Tensor:
    r"""Draws rows by one of diffusers' schedulers, whose model is the truth.

    Arguments:
        mixture: The law of the draws, without batch shape.
        scheduler: Any of diffusers' that has ``alphas_cumprod``; its configuration says what it wants predicted.
        shape: The shape of what is drawn, ``(N, *)`` with D numbers in each row.
        steps: The number of steps that the scheduler is told; some ask the model twice in each.
        generator: The source of randomness, of the start and of the steps of schedulers that take one.

    Returns:
        The rows, in the mixture's type and on its device.

    Raises:
        MixtureError: If the scheduler has no ``alphas_cumprod`` that fall from 1 to above 0, or clips clean rows, as
            its default may be: draws of the mixture do not end at 1.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> from diffusers import DDIMScheduler  # doctest: +SKIP
        >>> scheduler = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")  # doctest: +SKIP
        >>> x = mx.diffusion.adapters.run_scheduler(mixture, scheduler, (1000, 2), 50)  # doctest: +SKIP
    """
    model = _model(mixture, scheduler)
    kind = {"dtype": mixture.dtype, "device": mixture.device}
    scheduler.set_timesteps(steps)
    x = torch.randn(tuple(shape), generator=generator, **kind) * scheduler.init_noise_sigma
    takes = inspect.signature(scheduler.step).parameters
    extra = {"generator": generator} if "generator" in takes else {}
    for timestep in scheduler.timesteps:
        predicted = model(scheduler.scale_model_input(x, timestep), timestep)
        x = scheduler.step(predicted, timestep, x, **extra).prev_sample
    return x.to(**kind)


def _model(mixture: Mixture, scheduler: Any) -> DiffusersModel:
    config, known = scheduler.config, getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(known, Tensor):
        refuse("scheduler", "one that has alphas_cumprod", type(scheduler).__name__)
    for name in ("clip_sample", "thresholding"):
        if config.get(name):
            refuse(
                "scheduler", "one that leaves clean rows as they are", f"{name}=True", f"Build it with {name}=False."
            )
    return DiffusersModel(mixture, known, config.get("prediction_type", "epsilon"))


def _beside(number: Tensor, x: Tensor) -> Tensor:
    """A number, or one for each row, as it multiplies rows."""
    return number.to(x).reshape(number.shape + (1,) * (x.ndim - 1) * (number.ndim > 0))


_PREDICTED: Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "epsilon": lambda clean, noise, alpha, sigma: noise,
        "sample": lambda clean, noise, alpha, sigma: clean,
        "v_prediction": lambda clean, noise, alpha, sigma: alpha * noise - sigma * clean,
    }
)
