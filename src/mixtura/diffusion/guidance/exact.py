r"""The exact posterior: a mixture's own :math:`p(x_0|y)`, whose denoiser and reverse kernel are known.

Where few numbers were recorded of many features, nothing of D × D is made for the denoiser. Given :math:`x_t` and
component k the clean draw is :math:`N(m_k, C_k)`, with covariances that all rows share, and y is one more measurement:

.. math:: E[x_0|x_t, y] = \sum_k \hat r_k\big(m_k + C_k A^\top u_k\big), \qquad u_k = V_k^{-1}(y - A m_k), \qquad
    V_k = A C_k A^\top + \Sigma_y, \qquad \hat r_k \propto r_k\,N(y; A m_k, V_k) .
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from ...mixture import Mixture
from ...observation.matrices import square_root
from ..beliefs import Belief
from ..laws import Process
from ..laws.spread import Part
from ..models import Exact, Model
from ..places import Place
from ..samplers.sampler import Draw
from .errors import errors
from .guidance import Guidance
from .record import Record

__all__ = ["ExactGuidance"]

_FEW = 8  # features for each recorded number from which the posterior's own covariances are not worth their making


@dataclass(frozen=True, eq=False)
class ExactGuidance(Guidance):
    """What was recorded, learned without an approximation.

    Arguments:
        observation: How y was recorded, such as ``mx.observation.LinearMeasurement(A, variance)``.
        y: What was recorded: ``(M,)``, or one record for each row.

    Raises:
        NotClosedForm: If the model is not a mixture.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-2.0, 2.0]), torch.ones(2)))
        >>> rule = mx.diffusion.ExactGuidance(mx.observation.AdditiveNoise(0.0, 0.1), torch.tensor(1.0))
        >>> x = mx.diffusion.sample(mixture, mx.diffusion.EDM(), (1000,), 20, guidance=rule)
        >>> x.mean().round(decimals=1)
        tensor(1.)
    """

    observation: Any
    y: Tensor

    def guide(self, model: Model) -> Model:
        known = _Known(model.truth, self.observation, self.y)
        return known if known.few else known.posterior

    def denoise(self, model: Model, x: Tensor, place: Place) -> Tensor:
        return self.guide(model).denoise(x, place)


@dataclass(frozen=True, eq=False)
class _Known(Model):
    """A mixture of whose draws a few numbers are known."""

    process: Process
    observation: Any
    y: Any

    @cached_property
    def posterior(self) -> Exact:
        """The posterior mixture, with its covariances in their own axes."""
        return Exact(self.process.given(self.observation, self.y))

    @property
    def few(self) -> bool:
        """Whether it is worth while."""
        mixture, shape = self.process.mixture, torch.as_tensor(self.y).shape
        return not mixture.batch_shape and len(shape) > 0 and _FEW * shape[-1] <= mixture.event_shape.numel()

    @property
    def kind(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The mixture's type and device."""
        return Exact(self.process).kind

    def check(self, shape: tuple[int, ...]) -> None:
        Exact(self.process).check(shape)
        rows = torch.empty(shape, **self.kind)
        Record.of(self.observation, self.y, rows, self.event_shape(rows)).check()

    def event_shape(self, x: Tensor) -> torch.Size:
        return self.process.mixture.event_shape

    def belief(self, x: Tensor, place: Place) -> Belief:
        return self.posterior.belief(x, place)

    def reverse(self, x: Tensor, late: Place, early: Place) -> Mixture:
        return self.posterior.reverse(x, late, early)

    def draw_earlier(self, x: Tensor, late: Place, early: Place, generator: Generator | None) -> Tensor:
        taught = self._taught(x, late)
        if taught is None:
            return self.posterior.draw_earlier(x, late, early, generator)
        draw = Draw(generator)
        clean = torch.cat([one.drawn(draw) for one in taught]).reshape(x.shape)
        share = (early.ratio / late.ratio) ** 2
        kept = early.sigma / late.sigma * early.ratio / late.ratio  # share * alpha_s / alpha_t, without any signal, too
        mean = early.alpha * (1 - share) * clean + kept * x
        return mean + early.sigma * math.sqrt(1 - share) * draw(x)

    @property
    def truth(self) -> Process:
        return self.posterior.truth

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        taught = self._taught(x, place)
        if taught is None:
            return self.posterior.denoise(x, place)
        return torch.cat([one.mean() for one in taught]).reshape(x.shape)

    def _taught(self, x: Tensor, place: Place) -> list[_Taught] | None:
        """The rows, some at a time, with their records; none where rows were measured each in its way."""
        record = Record.of(self.observation, self.y, x, self.event_shape(x))
        if record.matrix is None or record.matrix.ndim > 2:
            return None
        parts = self.process.parts(place.t, x.reshape(-1, x.shape[-1]))
        sizes = [len(part.mean) for part in parts]
        targets = record.target.expand(*x.shape[:-1], -1).reshape(-1, record.target.shape[-1]).split(sizes)
        noise = record.noise.whole()
        return [_Taught(part, record.matrix, noise, target) for part, target in zip(parts, targets, strict=True)]


class _Taught:
    """Some rows, by component, and what their records ``(n, M)`` teach of the clean draw."""

    def __init__(self, part: Part, matrix: Tensor, noise: Tensor, target: Tensor) -> None:
        self.part, self.matrix, self.noise, self.target = part, matrix, noise, target
        self.crossed = part.crossed(matrix)
        self.covariance = self.crossed @ matrix.mT + noise
        self.spread, self.residual = errors(self.covariance), target.unsqueeze(-2) - part.images(matrix)
        self.share = torch.softmax(part.joint + self.spread.log_prob(self.residual), -1)

    def mean(self) -> Tensor:
        """The mean of the clean draw."""
        pull = self.share.unsqueeze(-1) * self.spread.solve(self.residual)
        return self.part.average(self.share) + pull.flatten(-2) @ self.crossed.flatten(0, 1)

    def drawn(self, draw: Draw) -> Tensor:
        """Draws of the clean draw."""
        label = torch.multinomial(self.share, 1, generator=draw.generator).squeeze(-1)
        one = torch.nn.functional.one_hot(label, self.share.shape[-1]).to(self.share.dtype)
        free = self.part.average(one) + self.part.colored(one, draw(self.part.mean))
        residual = self.target - draw(self.target) @ square_root(self.noise) - free @ self.matrix.mT
        pull = torch.linalg.solve(self.covariance[label], residual.unsqueeze(-1))
        return free + (self.crossed[label].mT @ pull).squeeze(-1)
