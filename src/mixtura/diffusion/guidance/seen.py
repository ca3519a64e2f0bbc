"""Rows at a place, what is believed of their clean draws, and what was recorded: all that a rule may ask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..beliefs import Belief
from ..models import Model
from ..places import Place
from .record import Record

__all__ = ["Seen"]


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything as vectors: draws that are numbers have one feature.

    Arguments:
        model: The model of all draws.
        rows: The rows as they came.
        place: The schedule at their time.
        event: The shape of one draw.
        record: What was recorded.
    """

    model: Model
    rows: Tensor
    place: Place
    event: torch.Size
    record: Record

    @classmethod
    def of(cls, observation: Any, y: Any, model: Model, x: Tensor, place: Place) -> Seen:
        """Returns rows ``(*S, *event)`` and their record."""
        event = model.event_shape(x)
        return cls(model, x, place, event, Record.of(observation, y, x, event))

    @property
    def x(self) -> Tensor:
        """The rows."""
        return self.vectors(self.rows)

    @cached_property
    def clean(self) -> Tensor:
        """The clean draw to be expected, E; without derivatives."""
        return self.vectors(self.model.denoise(self.rows, self.place))

    @cached_property
    def mean(self) -> Tensor:
        """The same, of a model that is asked for its covariance, too."""
        return self.vectors(self._belief.mean)

    @cached_property
    def residual(self) -> Tensor:
        """What was recorded beyond what is to be expected, y - b - A E, where the covariance is asked for, too."""
        return self.record.target - self.record.image(self.mean)

    def covariance(self, v: Tensor) -> Tensor:
        """Returns the covariance of the clean draw times vectors ``(*L, *S, D)``."""
        return self.vectors(self._belief.times(self.shaped(v)))

    def seen_covariance(self, u: Tensor) -> Tensor:
        """Returns the covariance of A times the clean draw, times vectors ``(*S, M)``."""
        return self.record.image(self.covariance(self.record.back(u)))

    def shaped(self, vectors: Tensor) -> Tensor:
        """Returns vectors as draws."""
        return vectors if self.event else vectors.squeeze(-1)

    @cached_property
    def _belief(self) -> Belief:
        return self.model.belief(self.rows, self.place)

    def vectors(self, rows: Tensor) -> Tensor:
        """Returns draws as vectors."""
        return rows if self.event else rows.unsqueeze(-1)
