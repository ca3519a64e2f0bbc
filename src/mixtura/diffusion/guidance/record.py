r"""What was recorded, :math:`y = A x_0 + b + \varepsilon_y` with :math:`\varepsilon_y \sim N(0, \Sigma_y)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ...components.covariance.columns import times
from ...components.observation import Frame, Observation
from ...errors import refuse
from ...observation.linear import Linear
from .errors import Alone, Errors, errors

__all__ = ["Record"]


@dataclass(frozen=True, eq=False)
class Record:
    """A linear record of rows that are vectors.

    Arguments:
        matrix: A, with shape ``(M, D)`` or ``(N, M, D)``, or none for the identity.
        y: What was recorded, with shape ``(*N, M)``.
        offset: b, with shape ``(M,)`` or ``(N, M)``.
        noise: The errors.
    """

    matrix: Tensor | None
    y: Tensor
    offset: Tensor
    noise: Errors

    @property
    def target(self) -> Tensor:
        """What A times the draw is recorded as, y - b."""
        return self.y - self.offset

    @classmethod
    def of(cls, observation: Any, y: Any, x: Tensor, event: torch.Size) -> Record:
        """Returns the record of rows ``(*S, *event)``.

        Raises:
            MixtureError: If the observation is not linear with Gaussian errors, has another width than the rows, or y
                is neither one record for all rows nor one for each.
        """
        if not isinstance(observation, Observation):
            refuse("observation", "one of mixtura.observation's", type(observation).__name__)
        leading = x.shape[: x.ndim - len(event)]
        rows = leading[0] if len(leading) == 1 else None
        resolved = observation.resolve(Frame(event, None, rows, x.dtype, x.device))
        if not resolved.carries or resolved.gaps:
            name = type(observation).__name__
            refuse("observation", "linear with Gaussian errors, such as LinearMeasurement or AdditiveNoise", name)
        linear = cast("Linear", resolved)
        matrix = None if linear.matrix is None else _shared(linear.matrix)
        noise, offset = _shared(linear.noise), _shared(linear.offset)
        recorded = _recorded(y, x, event, linear.width)
        return cls(matrix, recorded, offset, Alone(noise) if linear.diagonal else errors(noise))

    def image(self, x: Tensor) -> Tensor:
        """Returns A x of vectors ``(*L, *N, D)``."""
        return x if self.matrix is None else times(self.matrix, x)

    def back(self, u: Tensor) -> Tensor:
        """Returns the transpose of A times vectors ``(*L, *N, M)``."""
        return u if self.matrix is None else times(self.matrix.mT, u)

    def axes(self, like: Tensor) -> Tensor:
        """Returns the rows of A for each of rows ``(*N, D)``: ``(M, *N, D)``."""
        one = torch.eye(self.y.shape[-1], dtype=like.dtype, device=like.device)
        units = one.reshape(len(one), *(1,) * (like.ndim - 1), len(one)).expand(-1, *like.shape[:-1], -1)
        return self.back(units)

    def seen(self, variance: float) -> Errors:
        r"""Returns :math:`v A A^\top + \Sigma_y`: the errors of the record of a vector known to a round variance v."""
        if self.matrix is None:
            return self.noise.plus_round(variance)
        return errors(variance * self.matrix @ self.matrix.mT + self.noise.whole())

    def check(self) -> None:
        """Refuses errors of zero along directions that A does not see, and records that are not numbers.

        There y is certain whatever the draw is, and nothing can be divided by.
        """
        if not bool(self.y.isfinite().all()):
            refuse("y", "finite", "NaN or infinity", "Leave out the rows of A that recorded nothing.")
        exact = Record(None if self.matrix is None else self.matrix.double(), self.y, self.offset, self.noise.double())
        found = torch.linalg.eigvalsh(exact.seen(1.0).whole())
        if not bool((found[..., 0] > found.shape[-1] * torch.finfo(found.dtype).eps * found[..., -1]).all()):
            refuse(
                "observation",
                "of errors above zero, or of independent rows of A",
                "errors of zero along a direction in which A's rows repeat each other",
                "Leave out the rows that repeat others, or give them a variance.",
            )


def _shared(tensor: Tensor) -> Tensor:
    """A tensor led by rows and components, led by rows alone or by nothing."""
    if tensor.shape[1] > 1:
        refuse("observation", "the same for all components, or given by row", f"{tensor.shape[1]} of them")
    alone = tensor.squeeze(1)
    return alone.squeeze(0) if alone.shape[0] == 1 else alone


def _recorded(y: Any, x: Tensor, event: torch.Size, width: int) -> Tensor:
    """What was recorded as vectors ``(*N, M)``."""
    recorded = torch.as_tensor(y, dtype=x.dtype, device=x.device)
    recorded = recorded if event else recorded.unsqueeze(-1)
    leading = x.shape[: x.ndim - len(event)]
    each = recorded.shape[:-1]
    if recorded.ndim == 0 or recorded.shape[-1] != width or each != leading[len(leading) - len(each) :]:
        shapes = f"{(width,)} for all rows or {(*leading, width)}, one for each" if event else f"() or {tuple(leading)}"
        refuse("y", f"of shape {shapes}", tuple(torch.as_tensor(y).shape))
    return recorded
