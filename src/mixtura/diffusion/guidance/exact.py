r"""The exact posterior: a mixture's own :math:`p(x_0|y)`, whose denoiser and reverse kernel are known.

Where few numbers were recorded of many features, nothing of D × D is made for the denoiser. Given :math:`x_t` and
component k the clean draw is :math:`N(m_k, C_k)`, with covariances that all rows share, and y is one more measurement:

.. math:: E[x_0|x_t, y] = \sum_k \hat r_k\big(m_k + C_k A^\top u_k\big), \qquad u_k = V_k^{-1}(y - A m_k), \qquad
    V_k = A C_k A^\top + \Sigma_y, \qquad \hat r_k \propto r_k\,N(y; A m_k, V_k) .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from ...mixture import Mixture
from ..beliefs import Belief
from ..laws import Process
from ..laws.spread import Part
from ..models import Exact, Model
from ..places import Place
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
        return self.posterior.draw_earlier(x, late, early, generator)

    @property
    def truth(self) -> Process:
        return self.posterior.truth

    def denoise(self, x: Tensor, place: Place) -> Tensor:
        record = Record.of(self.observation, self.y, x, self.event_shape(x))
        if record.matrix is None or record.matrix.ndim > 2:
            return self.posterior.denoise(x, place)
        parts = self.process.parts(place.t, x.reshape(-1, x.shape[-1]))
        sizes = [len(part.mean) for part in parts]
        targets = record.target.expand(*x.shape[:-1], -1).reshape(-1, record.target.shape[-1]).split(sizes)
        noise = record.noise.whole()
        found = [_given(part, record.matrix, noise, target) for part, target in zip(parts, targets, strict=True)]
        return torch.cat(found).reshape(x.shape)


def _given(part: Part, matrix: Tensor, noise: Tensor, target: Tensor) -> Tensor:
    """The mean of the clean draw of some rows given their records ``(n, M)``."""
    crossed = part.crossed(matrix)
    spread = errors(crossed @ matrix.mT + noise)
    residual = target.unsqueeze(-2) - part.images(matrix)
    share = torch.softmax(part.joint + spread.log_prob(residual), -1)
    pull = share.unsqueeze(-1) * spread.solve(residual)
    return part.average(share) + pull.flatten(-2) @ crossed.flatten(0, 1)
