r"""What a sampler asks at every step: the clean draw to be expected, :math:`E[x_0|x_t]`.

A mixture knows it exactly. A network says it in one of four ways, each a linear map of the others:

.. math::

    \hat x_0 = \frac{x + \sigma^2 s}{\alpha} = \frac{x - \sigma\hat\varepsilon}{\alpha}
             = \frac{\sigma' x - \sigma v}{\alpha\sigma' - \alpha'\sigma},

for a score s, a noise :math:`\hat\varepsilon` and a velocity :math:`v = \alpha'\hat x_0 + \sigma'\hat\varepsilon`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Generator, Tensor

from ..errors import NotClosedForm, refuse
from ..mixture import Mixture
from .beliefs import Belief, pulling, tweedie
from .bridge import bridged
from .laws import Process
from .places import Place
from .schedules import Schedule

__all__ = ["Denoiser", "Exact", "Model", "Noise", "Score", "Velocity", "model_of"]

Call = Callable[[Tensor, Tensor], Tensor]


class Model(ABC):
    """What says the clean draw to be expected."""

    @abstractmethod
    def denoise(self, x: Tensor, place: Place) -> Tensor:
        """Returns the mean of the clean draw for rows at a place, in their shape."""

    kind: Mapping[str, Any] = MappingProxyType({})
    """The type and device of rows to start from, as torch's functions take them."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuses a shape of rows that the model cannot serve; a function may serve any."""
        return

    def event_shape(self, x: Tensor) -> torch.Size:
        """Returns the shape of one draw among rows ``(*S, *event)``; of a function, the last dimension of several."""
        return x.shape[-1:] if x.ndim > 1 else torch.Size()

    def belief(self, x: Tensor, place: Place) -> Belief:
        """Returns mean and covariance of the clean draw for rows at a place, the covariance as its products.

        Raises:
            MixtureError: If the model is a function of which torch knows no derivative.
        """
        mean, pull = pulling(lambda at: self.denoise(at, place), x)
        return Belief(mean, lambda v: tweedie(place) * pull(v))

    def reverse(self, x: Tensor, late: Place, early: Place) -> Mixture:
        """Returns the law of rows at an earlier place.

        Raises:
            NotClosedForm: If that is not known.
        """
        raise NotClosedForm(f"{type(self).__name__} knows no reverse kernel: that takes a mixture as the model.")

    def draw_earlier(self, x: Tensor, late: Place, early: Place, generator: Generator | None) -> Tensor:
        """Returns draws of rows at an earlier place."""
        return self.reverse(x, late, early).sample((), generator)

    @property
    def truth(self) -> Process:
        """The mixture under its schedule of which the model knows all.

        Raises:
            NotClosedForm: If that is not known.
        """
        raise NotClosedForm(f"{type(self).__name__} knows no exact posterior: that takes a mixture as the model.")


@dataclass(frozen=True, eq=False)
class Exact(Model):
    """A mixture's own answers.

    Arguments:
        process: The mixture under its schedule.
    """

    process: Process

    @property
    def kind(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The mixture's type and device."""
        return {"dtype": self.process.mixture.dtype, "device": self.process.mixture.device}

    def check(self, shape: tuple[int, ...]) -> None:
        wanted = tuple(self.process.mixture.batch_shape + self.process.mixture.event_shape)
        if len(shape) < len(wanted) or shape[len(shape) - len(wanted) :] != wanted:
            refuse("shape", f"of rows that end in {wanted}, as the mixture's do", shape)

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        alpha, variance = torch.tensor([place.alpha, place.sigma**2], dtype=torch.float64)
        return self.process.denoise_at(alpha, variance, x)

    def event_shape(self, x: Tensor) -> torch.Size:
        return self.process.mixture.event_shape

    def belief(self, x: Tensor, place: Place) -> Belief:
        return self.process.belief(place.t, x)

    def reverse(self, x: Tensor, late: Place, early: Place) -> Mixture:
        return self.process.reverse(late.t, x, early.t)

    def draw_earlier(self, x: Tensor, late: Place, early: Place, generator: Generator | None) -> Tensor:
        """Draws the clean draw, and then what lies between."""
        mixture = self.process.mixture
        rows = x.reshape(-1, *mixture.batch_shape, *mixture.event_shape)
        clean = torch.cat([part.drawn(generator) for part in self.process.parts(late.t, rows)])
        noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        return bridged(x, clean.reshape(x.shape), late, early, noise)

    @property
    def truth(self) -> Process:
        return self.process


class Told(Model):
    """What a function ``(x, t)`` says, of which the clean draw is a linear map, with numbers of the place."""

    function: Call

    @abstractmethod
    def clean(self, x: Tensor, said: Tensor, place: Place) -> Tensor:
        """Returns the clean draw that follows from rows and what was said of them; linear in both."""

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        return self.clean(x, _called(self.function, x, place), place)

    def belief(self, x: Tensor, place: Place) -> Belief:
        said, pull = pulling(lambda at: _called(self.function, at, place), x)
        return Belief(self.clean(x, said, place), lambda v: tweedie(place) * self.clean(v, pull(v), place))


@dataclass(frozen=True, eq=False)
class Denoiser(Told):
    """A function ``(x, t)`` that returns the mean of the clean draw.

    Arguments:
        function: Called with rows and a time, a tensor without dimensions of their type, on their device.

    Example:
        >>> model = mx.diffusion.Denoiser(lambda x, t: x / (1 + t**2))  # draws of N(0, 1) under EDM
        >>> generator = torch.Generator().manual_seed(0)
        >>> mx.diffusion.sample(model, mx.diffusion.EDM(), (1000,), 200, generator=generator).std() > 0.9
        tensor(True)
    """

    function: Call

    def clean(self, x: Tensor, said: Tensor, place: Place) -> Tensor:
        return said


@dataclass(frozen=True, eq=False)
class Score(Told):
    """A function ``(x, t)`` that returns the gradient of the log-density of noisy rows.

    Arguments:
        function: As for `Denoiser`.
    """

    function: Call

    def clean(self, x: Tensor, said: Tensor, place: Place) -> Tensor:
        return (x + place.sigma**2 * said) / place.alpha


@dataclass(frozen=True, eq=False)
class Noise(Told):
    """A function ``(x, t)`` that returns the noise to be expected, of variance one.

    Arguments:
        function: As for `Denoiser`.
    """

    function: Call

    def clean(self, x: Tensor, said: Tensor, place: Place) -> Tensor:
        return (x - place.sigma * said) / place.alpha


@dataclass(frozen=True, eq=False)
class Velocity(Told):
    """A function ``(x, t)`` that returns the velocity of the probability flow.

    Arguments:
        function: As for `Denoiser`.
    """

    function: Call

    def clean(self, x: Tensor, said: Tensor, place: Place) -> Tensor:
        push = place.sigma_rate * x - place.sigma * said
        return push / (place.alpha * place.sigma_rate - place.alpha_rate * place.sigma)


def model_of(model: Any, schedule: Schedule) -> Model:
    """Returns what a user gave as a model: a mixture or a process knows all, a plain function denoises.

    Raises:
        MixtureError: If it is none of these.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, Mixture):
        return Exact(Process(model, schedule))
    if isinstance(model, Process):
        if model.schedule != schedule:
            refuse("schedule", f"the process's own, {model.schedule!r}", repr(schedule))
        return Exact(model)
    if callable(model):
        return Denoiser(cast("Call", model))
    refuse("model", "a mixture, a process, a function (x, t), or Score, Noise or Velocity of one", type(model).__name__)


def _called(function: Call, x: Tensor, place: Place) -> Tensor:
    out = function(x, torch.tensor(place.t, dtype=x.dtype, device=x.device))
    if not isinstance(out, Tensor) or out.shape != x.shape:
        came = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        refuse("model", f"a function whose answer has the rows' shape {tuple(x.shape)}", came)
    return out
