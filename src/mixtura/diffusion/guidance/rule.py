r"""Rules that put a Gaussian in the place of :math:`p(y|x_t)`.

For :math:`\hat p(y|x_t) = N(y; A E, V)`, with E = :math:`E[x_0|x_t]` and a covariance V that is held fixed where the
gradient is taken,

.. math:: E + \frac{\sigma^2}{\alpha}\nabla_{x_t}\log\hat p(y|x_t)
    = E + \mathrm{Cov}[x_0|x_t]\,A^\top V^{-1}(y - A E),

because :math:`\mathrm{Cov}[x_0|x_t] = (\sigma^2/\alpha)\,\partial E/\partial x_t`. Rules differ in V.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import NotClosedForm
from ..models import Model
from ..places import Place
from .errors import Errors
from .guidance import Guidance
from .record import Record
from .seen import Seen

__all__ = ["Likelihood", "LikelihoodRule", "Rule"]


class Likelihood(NamedTuple):
    """A Gaussian that stands for the law of what is recorded given the noisy rows.

    ``mean`` has shape ``(*S, M)``, where records are ``numbers``, too: then M is 1.
    """

    mean: Tensor
    errors: Errors
    numbers: bool = False

    def log_prob(self, y: Tensor) -> Tensor:
        """Returns the log-density of records in nats: ``(*S, M)``, or ``(*S)`` of numbers."""
        return self.errors.log_prob((y.unsqueeze(-1) if self.numbers else y) - self.mean)


@dataclass(frozen=True, eq=False)
class Rule(Guidance):
    """A published answer to what a record says of the clean draw.

    Arguments:
        observation: How y was recorded: linear, with Gaussian errors.
        y: What was recorded: ``(M,)``, or one record for each row; of draws that are numbers, one number or each its.
    """

    observation: Any
    y: Any

    @abstractmethod
    def expected(self, seen: Seen) -> Tensor:
        """Returns what stands for :math:`E[x_0|x_t, y]`, as vectors."""

    def believed(self, seen: Seen) -> Likelihood:
        """Returns the Gaussian that stands for :math:`p(y|x_t)`, less the offset.

        Raises:
            NotClosedForm: If the rule has none.
        """
        raise NotClosedForm(f"{self!r} has no Gaussian in the place of p(y | x_t).")

    def denoise(self, model: Model, x: Tensor, place: Place) -> Tensor:
        seen = Seen.of(self.observation, self.y, model, x, place)
        return seen.shaped(self.expected(seen))

    def likelihood(self, model: Model, x: Tensor, place: Place) -> Likelihood:
        seen = Seen.of(self.observation, self.y, model, x, place)
        mean, errors, _ = self.believed(seen)
        return Likelihood(mean + seen.record.offset, errors, not seen.event)

    def check(self, model: Model, shape: tuple[int, ...]) -> None:
        rows = torch.empty(shape, **model.kind)
        Record.of(self.observation, self.y, rows, model.event_shape(rows)).check()


@dataclass(frozen=True, eq=False)
class LikelihoodRule(Rule):
    """A rule that states the covariance of what is recorded about A E."""

    @abstractmethod
    def spread(self, seen: Seen) -> Errors:
        """Returns V."""

    def expected(self, seen: Seen) -> Tensor:
        pull = self.spread(seen).solve(seen.residual)
        return seen.mean + seen.covariance(seen.record.back(pull))

    def believed(self, seen: Seen) -> Likelihood:
        return Likelihood(seen.record.image(seen.mean), self.spread(seen))
