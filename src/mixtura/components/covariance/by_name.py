"""Covariances by the names of their parameters: scales and, where coordinates move together, correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from ..._value import Value
from ...errors import NotClosedForm
from ..argument import Argument

__all__ = ["ByName"]


class ByName(Value):
    """What is made of scales alone, unless a structure says otherwise: its factor is those scales."""

    factor: Any

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

    def read(self, features: int) -> dict[str, Tensor]:
        """Returns its scales and correlations by name: what `made` takes."""
        return {"scale": self.factor}
