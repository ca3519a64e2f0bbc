"""What a metric is: prepared against a mixture once, it measures any number of samples of one size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import NotClosedForm, refuse
from ...mixture import Mixture

__all__ = ["Measure", "Metric", "checked", "visible"]

Measure = Callable[[Tensor], Tensor]
"""A function of samples ``(N, D)`` to a number, a tensor without dimensions."""


class Metric(ABC):
    """How far samples are from a Gaussian mixture: a number that is larger the worse they are.

    A metric of your own states `against`; what depends on the mixture alone is worked out there, once.
    """

    two_sided: bool = False
    """Whether a number far below that of exact samples is wrong, too."""

    @abstractmethod
    def against(self, mixture: Mixture, count: int) -> Measure:
        """Returns the function that measures samples of ``count`` rows.

        Raises:
            NotClosedForm: If the components are not Gaussian.
        """

    @property
    def name(self) -> str:
        """What a table calls it."""
        return type(self).__name__


def checked(mixture: Mixture) -> Mixture:
    """Returns a mixture on vectors, in double precision.

    Raises:
        MixtureError: If it is a batch.
        NotClosedForm: If its components are not Gaussian.
    """
    if mixture.batch_shape:
        refuse("mixture", "a single mixture", f"a batch {tuple(mixture.batch_shape)}")
    if not mixture.components.is_gaussian:
        name = type(mixture.components).__name__
        raise NotClosedForm(f"{name} components are on no line and under no kernel in closed form; Gaussian ones are.")
    return Mixture._of(mixture.logits, mixture.components.gaussian).to(torch.float64)


def visible(mixture: Mixture) -> Mixture:
    """Returns the mixture without components whose weight is below rounding, which no mean sees."""
    heavy = (mixture.logits > math.log(torch.finfo(torch.float64).eps)).nonzero().flatten()
    return Mixture._of(torch.log_softmax(mixture.logits[heavy], -1), mixture.components.take(heavy))
