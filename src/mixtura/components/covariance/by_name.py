"""Covariances by the names of their parameters: scales and, where coordinates move together, correlations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from ..._value import Value
from ...errors import NotClosedForm
from ..argument import Argument

__all__ = ["ByName"]


class ByName(Value, ABC):
    """What is made of scales alone, unless a structure says otherwise: its factor is those scales."""

    factor: Any

    @property
    @abstractmethod
    def leading(self) -> tuple[int, ...]:
        """The dimensions before those of one factor."""

    def arguments(self, features: int) -> dict[str, Argument]:
        """Returns the scales and correlations that it is made of, by name.

        Raises:
            NotClosedForm: If they are not free to move one by one.
        """
        raise NotClosedForm(
            f"{type(self).__name__} covariances have no parameters that are free to move one by one; Full, Diagonal "
            "and Spherical ones do."
        )

    def made(self, values: Mapping[str, Tensor]) -> Self:
        """Returns the structure of scales and correlations by name, without a look at a number."""
        return self._replace(factor=values["scale"])

    def log_volume(self, features: int) -> Tensor:
        """Returns the logarithm of how free entries of the matrices grow with scales and correlations, by component.

        Of variances, :math:`dv = 2 s\\,ds`.
        """
        logs = (2 * self.factor).log()
        return logs.sum(-1) if logs.ndim > len(self.leading) else logs

    def read(self, features: int) -> dict[str, Tensor]:
        """Returns its scales and correlations by name: what `made` takes."""
        return {"scale": self.factor}
