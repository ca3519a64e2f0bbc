"""How covariates of a row move the parameters of the components and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.distributions import biject_to

from ..components import Argument

__all__ = ["Slopes"]


@dataclass(frozen=True, eq=False)
class Slopes:
    """Which parameters covariates move.

    Arguments:
        moved: The parameters of the family that are moved, by name, and where they lie; each has a variable
            ``<name>_slope`` of shape ``(K, Q, ...)``.
        weights: Whether weights are moved, by ``weights_slope`` of shape ``(K, Q)``.
    """

    moved: Mapping[str, Argument]
    weights: bool

    @property
    def move(self) -> bool:
        """Whether covariates move anything."""
        return self.weights or bool(self.moved)

    def at(self, values: Mapping[str, Tensor], covariates: Tensor, leading: int) -> dict[str, Tensor]:
        """Returns the values of each row: those that are moved gain a dimension ``(N, *S, ...)`` in front."""
        own = dict(values)
        for name, argument in self.moved.items():
            link = biject_to(argument.support)
            own[name] = link(link.inv(values[name]) + _pull(values[f"{name}_slope"], covariates, leading))
        if self.weights:
            logits = values["weights"].log() + _pull(values["weights_slope"], covariates, leading)
            own["weights"] = logits.log_softmax(-1).exp()
        return own


def _pull(slope: Tensor, covariates: Tensor, leading: int) -> Tensor:
    """The sum over covariates ``(N, Q)`` of slopes ``(*S, K, Q, ...)``: ``(N, *S, K, ...)``."""
    rows = covariates.reshape(len(covariates), *(1,) * (leading + 1), -1, *(1,) * (slope.ndim - leading - 2))
    return (rows * slope).sum(leading + 2)
