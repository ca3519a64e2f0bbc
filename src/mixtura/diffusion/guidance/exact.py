r"""The exact posterior: a mixture's own :math:`p(x_0|y)`, whose denoiser and reverse kernel are known.

Where few numbers were recorded of many features, nothing of D × D is made for the denoiser. Given :math:`x_t` and
component k the clean draw is :math:`N(m_k, C_k)`, with covariances that all rows share, and y is one more measurement:

.. math:: E[x_0|x_t, y] = \sum_k \hat r_k\big(m_k + C_k A^\top u_k\big), \qquad u_k = V_k^{-1}(y - A m_k), \qquad
    V_k = A C_k A^\top + \Sigma_y, \qquad \hat r_k \propto r_k\,N(y; A m_k, V_k) .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from ...mixture import Mixture
from ...observation.matrices import square_root
from ..beliefs import Belief
from ..bridge import bridged
from ..laws import Process
from ..laws.order import Part
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
        known = _Known(model.truth, self.observation, _tensor(self.y, model.truth.mixture))
        return known if known.few else known.posterior

    def denoise(self, model: Model, x: Tensor, place: Place) -> Tensor:
        return self.guide(model).denoise(x, place)

    def likelihood(self, model: Model, x: Tensor, place: Place) -> Mixture:
        """Returns :math:`p(y|x_t)` itself."""
        return model.truth.recorded(place.t, x, self.observation)


def _tensor(y: Any, mixture: Mixture) -> Tensor:
    return torch.as_tensor(y, dtype=mixture.dtype, device=mixture.device)


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
        clean = torch.cat([one.drawn(generator) for one in taught]).reshape(x.shape)
        return bridged(x, clean, late, early, Draw(generator)(x))

    @property
    def truth(self) -> Process:
        return self.posterior.truth

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        taught = self._taught(x, place)
        if taught is None:
            return self.posterior.denoise(x, place)
        return torch.cat([one.mean() for one in taught]).reshape(x.shape)

    def _taught(self, x: Tensor, place: Place) -> Iterator[_Taught] | None:
        """The rows, some at a time, with their records; none where rows were measured each in its way."""
        record = Record.of(self.observation, self.y, x, self.event_shape(x))
        if record.matrix is None or record.matrix.ndim > 2:
            return None
        rows, noise = x.reshape(-1, x.shape[-1]), record.noise.whole()
        targets = record.target.expand(*x.shape[:-1], -1).reshape(len(rows), -1)
        return self._by_parts(self.process.parts(place.t, rows), record.matrix, noise, targets)

    def _by_parts(self, parts: Iterator[Part], matrix: Tensor, noise: Tensor, targets: Tensor) -> Iterator[_Taught]:
        for part in parts:
            target, targets = targets.tensor_split([len(part.mean)])
            yield _Taught(part, matrix, noise, target)


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

    def drawn(self, generator: Generator | None) -> Tensor:
        """Draws of the clean draw: of the components' own draws, what their records leave."""
        label = torch.multinomial(self.share, 1, generator=generator).squeeze(-1)
        free, draw = self.part.of_components(label, generator), Draw(generator)
        residual = self.target - draw(self.target) @ square_root(self.noise) - free @ self.matrix.mT
        pull = torch.linalg.solve(self.covariance[label], residual.unsqueeze(-1))
        return free + (self.crossed[label].mT @ pull).squeeze(-1)
