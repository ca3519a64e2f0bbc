r"""Linear measurements, :math:`y = A x + b + \varepsilon` with :math:`\varepsilon \sim N(0, S)`, and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..components.observation import Frame
from ..components.unresolved_observation import Unresolved
from ..errors import refuse
from .base import lead
from .linear import Linear
from .noise import finite, nonnegative, semidefinite, spread, vector

__all__ = ["LinearMeasurement", "Missing"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LinearMeasurement(Unresolved):
    r"""A linear image of each draw with Gaussian errors, :math:`y = A x + b + \varepsilon`.

    Arguments:
        matrix: A, with shape ``(M, D)``, or ``(N, M, D)`` for one per row; a number where draws are numbers.
        covariance: The errors' covariance, ``(M, M)``, or a number: that variance in every direction. None for exact
            measurements.
        offset: b, a number or ``(M,)``.
        scale: The standard deviations of independent errors, a number or ``(M,)``, instead of ``covariance``.
        per_row: What one more dimension in front counts, as in `AdditiveNoise`.

    Raises:
        MixtureError: If the matrix has another width than the draws, the covariance is not positive semi-definite, or
            a shape does not fit.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), torch.eye(2)[None]))
        >>> first = mx.observation.LinearMeasurement(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0]]))
        >>> clean.posterior(first, torch.tensor([1.0])).mean
        tensor([0.5000, 0.0000])
    """

    matrix: Tensor
    covariance: Tensor | None
    offset: Tensor
    scale: Tensor | None
    per_row: bool | None

    def __init__(
        self,
        matrix: Any,
        covariance: Any = None,
        offset: Any = 0.0,
        *,
        scale: Any = None,
        per_row: bool | None = None,
    ) -> None:
        matrix = finite("matrix", matrix)
        if covariance is not None and scale is not None:
            refuse("covariance", "given without `scale`", "both")
        if covariance is not None and finite("covariance", covariance).ndim == 0:
            covariance, scale = None, nonnegative("covariance", covariance).sqrt()
        for name, value in (
            ("matrix", matrix),
            ("covariance", None if covariance is None else semidefinite("covariance", covariance)),
            ("offset", finite("offset", offset)),
            ("scale", None if scale is None else nonnegative("scale", scale)),
            ("per_row", per_row),
        ):
            object.__setattr__(self, name, value)

    def clean_features(self, recorded: int) -> int:
        return self.matrix.shape[-1] if self.matrix.ndim else recorded

    def clean_columns(self, recorded: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None

    def resolve(self, frame: Frame) -> Linear:
        matrix = self._matrix(frame)
        recorded = frame._replace(event_shape=matrix.shape[-2:-1]) if frame.event_shape else frame
        per_row = self.per_row
        offset = vector("offset", self.offset, recorded, per_row)
        noise = spread(self.scale, self.covariance, recorded, per_row)
        return Linear._of(matrix=matrix, offset=offset, noise=noise, missing=False)

    def _matrix(self, frame: Frame) -> Tensor:
        matrix = self.matrix.to(frame.device, frame.dtype)
        if not frame.event_shape and matrix.ndim < 2:
            return lead("matrix", matrix, 0, frame, self.per_row)[..., None, None]
        if matrix.ndim < 2 or matrix.shape[-1] != frame.features:
            refuse(
                "matrix", f"of shape (..., M, {frame.features}), the width of a draw", f"shape {tuple(matrix.shape)}"
            )
        return lead("matrix", matrix, 2, frame, self.per_row)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Missing(Unresolved):
    """Entries that were not recorded: NaN where there is nothing, whatever the reason was.

    The reason must not depend on the value that is missing ("missing at random": Rubin, 1976). A row of which nothing
    was recorded is allowed: it keeps its prior weight. In a sequence of observations it stands last.

    Example:
        >>> clean = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])))
        >>> clean.posterior(mx.observation.Missing(), torch.tensor([2.0, torch.nan])).mean
        tensor([2., 1.])
    """

    def __init__(self) -> None:
        pass

    @property
    def gaps(self) -> bool:
        return True

    def resolve(self, frame: Frame) -> Linear:
        return Linear.identity(frame)._replace(missing=True)
