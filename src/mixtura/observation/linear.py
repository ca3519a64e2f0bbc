r"""Every Gaussian observation in one normal form, :math:`y = A x + b + \varepsilon`, :math:`\varepsilon \sim N(0, S)`.

With :math:`x | k \sim N(\mu_k, V_k)` and :math:`T = A V_k A^\top + S`,

.. math::

    y | k \sim N(A\mu_k + b,\; T), \qquad q = T^{-1}(y - A\mu_k - b), \\
    x | y, k \sim N\big(\mu_k + V_k A^\top q,\; V_k - V_k A^\top T^{-1} A V_k\big).

A coordinate that was not recorded (NaN) drops out of y, A, b and S; as if its noise were infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ..components import Component, Gaussian, Labels, Statistics
from ..components.observation import EXACT, Frame, Observation, over
from ..errors import refuse
from ..kernels import Drawn
from ..mixture import Mixture
from .base import add_up, aligned, by_row, of_label, weighted
from .clean_draws import drawn_sums
from .clean_posterior import clean_posterior
from .clean_sums import carried_back, expected_sums, finished
from .matrices import added, apply, square_root, whole
from .recorded_law import recorded_law, trusted_law
from .seen_rows import SeenRows, pieces

__all__ = ["Linear"]

_LEAST = 0.01  # of the recorded variance, at least so much is taken to be the clean rows' at first


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Observation):
    r"""The normal form of a Gaussian observation; tensors are led by ``(R, C)``, rows and components, or 1.

    Arguments:
        matrix: A, with shape ``(R, C, M, D)``, or none for the identity.
        offset: b, with shape ``(R, C, M)``.
        noise: The variances of independent errors ``(R, C, M)``, or S whole, ``(R, C, M, M)``.
        missing: Whether NaN in y means that nothing was recorded.
    """

    matrix: Tensor | None
    offset: Tensor
    noise: Tensor
    missing: bool

    @classmethod
    def identity(cls, frame: Frame) -> Linear:
        """The observation that changes nothing."""
        nothing = torch.zeros(1, 1, frame.features, dtype=frame.dtype, device=frame.device)
        return cls._of(matrix=None, offset=nothing, noise=nothing, missing=False)

    def verify(self) -> None:
        super().verify()
        size, variances = self.width, self.noise if self.diagonal else self.noise.diagonal(dim1=-2, dim2=-1)
        wide = self.matrix is None or self.matrix.shape[-2] == size
        if not wide or set(self.noise.shape[2:]) != {size} or not bool((variances >= 0).all()):
            refuse("noise", f"variances of at least zero of {size} recorded numbers", tuple(self.noise.shape))

    @property
    def gaps(self) -> bool:
        return self.missing

    @property
    def diagonal(self) -> bool:
        """Whether errors are independent between coordinates."""
        return self.noise.ndim == 3

    @property
    def width(self) -> int:
        """The number M of recorded coordinates."""
        return self.offset.shape[-1]

    def clean_features(self, recorded: int) -> int:
        return recorded if self.matrix is None else self.matrix.shape[-1]

    @property
    def errors(self) -> Tensor | None:
        shifted = self.matrix is not None or not self.diagonal or bool(self.offset.any())
        return None if shifted or self.noise.shape[1] > 1 else self.noise.sqrt()

    def clean_columns(self, recorded: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return recorded if self.matrix is None else None

    def recorded_shape(self, components: Component) -> torch.Size:
        return torch.Size((self.width,)) if components.event_shape else torch.Size()

    def kinds(self, y: Tensor) -> Tensor | None:
        return (~y.reshape(len(y), -1).isnan()).long() if self.gaps else None

    def of_kind(self, y: Tensor, kind: Sequence[int]) -> tuple[Observation, Tensor, Sequence[int] | None]:
        index = [place for place, recorded in enumerate(kind) if recorded]
        offset = self.offset[..., index]
        noise = self.noise[..., index] if self.diagonal else self.noise[..., index, :][..., index]
        matrix = None if self.matrix is None else self.matrix[..., index, :]
        nothing = matrix is None and not bool(offset.any()) and not bool(noise.any())
        own = EXACT if nothing else Linear._of(matrix=matrix, offset=offset, noise=noise, missing=False)
        vectors = y.ndim > 1
        return own, y[:, index] if vectors else y, index if vectors and matrix is None else None

    # -- in sequence

    @property
    def carries(self) -> bool:
        return True

    def passed_on(self, frame: Frame) -> Frame:
        return frame._replace(event_shape=torch.Size((self.width,))) if frame.event_shape else frame

    def merged_into(self, before: Observation) -> Observation | None:
        return before.followed_by_gaussian(self)

    @property
    def only_gaps(self) -> bool:
        return self.missing and self.matrix is None and not bool(self.noise.any()) and not bool(self.offset.any())

    def followed_by_gaussian(self, other: Linear) -> Linear:
        """Returns this observation followed by another."""
        if other.matrix is None:
            noise = added(self.noise, other.noise)
            return self._replace(offset=self.offset + other.offset, noise=noise, missing=self.missing or other.missing)
        if self.missing:
            refuse("observation", "with `Missing` behind every measurement", "`Missing` before a measurement")
        matrix = other.matrix if self.matrix is None else other.matrix @ self.matrix
        offset = apply(other.matrix, self.offset) + other.offset
        noise = added(other.matrix @ whole(self.noise) @ other.matrix.mT, other.noise)
        return Linear._of(matrix=matrix, offset=offset, noise=noise, missing=other.missing)

    # -- the law of what is recorded

    def observed(self, components: Component) -> Component:
        return super().observed(components) if self.missing else recorded_law(self, components)

    def law(self, components: Component) -> Component:
        """Returns the law of what is recorded where nothing is missing, each component with a covariance of its own."""
        return recorded_law(self, components).untied()

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        y = y if components.event_shape else y.unsqueeze(-1)
        if not self.side and not self._has_gaps(self._refused_gaps(y)):
            return self.law(components).gaussian_law.log_prob(y)
        return torch.cat([one.log_prob for one in pieces(self, components.gaussian_law, y)])

    def density(self, components: Component, y: Tensor) -> Tensor:
        rows = y if components.event_shape else y.unsqueeze(-1)
        return self.trusted(components).log_prob(rows)

    def trusted(self, components: Component) -> Gaussian:
        """Returns the law of what is recorded, on vectors, without a look at a number; resolved only."""
        return trusted_law(self, components)

    def own_log_prob(self, mixture: Mixture, y: Tensor) -> Tensor:
        if not self.side:
            return super().own_log_prob(mixture, y)
        gaussian, rows = mixture.components.gaussian_law, self._refused_gaps(y.reshape(len(y), -1))
        if self._has_gaps(rows):
            return torch.logsumexp(mixture.logits + SeenRows.of(self, gaussian, rows, by_row).log_prob, -1)
        return Mixture._of(mixture.logits, trusted_law(self, gaussian, by_row)).log_prob(rows)

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        recorded = self.law(components)
        return recorded.mean, recorded.variance

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        scalar = x.shape == labels.shape
        rows = x.unsqueeze(-1) if scalar else x
        clean = rows if self.matrix is None else apply(of_label(self.matrix, labels), rows)
        noise = torch.randn(clean.shape, dtype=x.dtype, device=x.device, generator=generator)
        root = of_label(self.noise.sqrt() if self.diagonal else square_root(self.noise), labels)
        noise = noise * root if self.diagonal else apply(root, noise)
        y = clean + of_label(self.offset, labels) + noise
        return y.squeeze(-1) if scalar else y

    # -- the clean value given what was recorded

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        rows = y.to(mixture.dtype)
        rows = self._refused_gaps(rows if mixture.event_shape else rows.unsqueeze(-1))
        evidence, components = clean_posterior(self, mixture.components.gaussian_law, rows)
        logits = torch.log_softmax(mixture.logits + evidence, -1)
        return Mixture._of(logits, mixture.components.with_gaussian(components))

    # -- learning

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        gaussian = components.gaussian_law
        rows = over(y.reshape(len(y), -1), components)
        parts, start = [], 0
        for one in pieces(self, gaussian, rows):
            share = r[start : start + len(one.log_prob)]
            parts.append(one.sums(share))
            start += len(one.log_prob)
        first, second = add_up(parts)
        return finished(gaussian, r.sum(0).double(), first, second)

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        gaussian = components.gaussian_law
        rows = y if components.event_shape else y.unsqueeze(-1)
        parts = [one.moments() for one in pieces(self, gaussian, rows)]
        shift, second = zip(*parts, strict=True)
        return torch.cat(shift), torch.cat(second)

    def first_guess(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = y - self.offset.mean(1)
        error = (self.noise if self.diagonal else self.noise.diagonal(dim1=-2, dim2=-1)).mean((0, 1))
        if self.matrix is None:
            mean, variance = super().first_guess(y)
            return mean, torch.maximum(variance - error, _LEAST * variance)
        return self._least_squares(y, error)

    def _least_squares(self, y: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """The clean mean that fits best, and one variance for all coordinates that explains what it leaves."""
        matrix = self.matrix.mean(1)  # type: ignore[union-attr]
        recorded = ~y.isnan()
        seen = (matrix * recorded.unsqueeze(-1)).reshape(-1, matrix.shape[-1])
        solution = torch.linalg.lstsq(seen, y.nan_to_num(0.0).reshape(-1, 1), driver="gelsd").solution.squeeze(-1)
        left = (y - apply(matrix, solution)).square().nanmean()
        gain = matrix.square().sum(-1).mean()
        variance = torch.maximum(left - error.mean(), _LEAST * left) / gain
        return solution, variance.expand(solution.shape)

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        return expected_sums(self, components.gaussian_law, logits, y.reshape(len(y), -1), weight, labels)

    @property
    def draws(self) -> bool:
        return True

    def drawn(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Drawn
    ) -> Statistics:
        return drawn_sums(self, components.gaussian_law, logits, y.reshape(len(y), -1), weight, labels)

    def carried_back(self, components: Component, sums: Statistics) -> Statistics:
        """The clean rows' sums from those of what this observation makes of them; errors shared by all rows."""
        return carried_back(self, components.gaussian_law, sums)

    def of(self, seen: list[int]) -> Linear:
        """Returns the observation of some recorded coordinates."""
        if len(seen) == self.width:
            return self
        whole = torch.eye(self.width, dtype=self.offset.dtype, device=self.offset.device)[None, None]
        noise = self.noise[..., seen] if self.diagonal else self.noise[..., seen, :][..., seen]
        matrix = whole[..., seen, :] if self.matrix is None else self.matrix[..., seen, :]
        return Linear._of(matrix=matrix, offset=self.offset[..., seen], noise=noise, missing=False)

    def moments_behind(self, components: Component, shift: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        r"""Returns E[x - mu] and E[(x - mu)(x - mu)^T] from those of the outcome z about its mean.

        .. math:: E[x - \mu] &= G\, E[z - \nu], \qquad G = V A^\top T^{-1}, \\
            E[(x-\mu)(x-\mu)^\top] &= G\, E[(z-\nu)(z-\nu)^\top]\, G^\top + V - G A V .
        """
        gaussian = components.gaussian_law
        back = gaussian.covariance if self.matrix is None else gaussian.covariance @ aligned(self.matrix, gaussian).mT
        covariance = self.law(components).gaussian_law.covariance
        gain = torch.linalg.solve(covariance, back.mT).mT
        left = gaussian.covariance - gain @ back.mT
        return (gain @ shift.unsqueeze(-1)).squeeze(-1), gain @ second @ gain.mT + left

    def completed_behind(self, components: Component, last: Observation, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the expected sums of clean rows whose outcome another observation recorded."""
        outcome = last.clean_moments(self.law(components), over(y, components))
        return weighted(components.gaussian_law, r, *self.moments_behind(components, *outcome))

    def unrecorded_behind(self, components: Component, last: Any, logits: Tensor, count: Tensor) -> Statistics:
        """Returns the sums of clean rows whose outcome another observation left out, each row with its own errors."""
        likelihood, share, mass, shift, second = last.left_out(self.law(components), logits, count)
        _, left = self.moments_behind(components, torch.zeros_like(shift), torch.zeros_like(second))
        first, whole = self.moments_behind(components, shift, second)
        moments = weighted(components.gaussian_law, share, first, whole - mass[..., None, None] * left)
        return Statistics(likelihood, (share * (1 - mass)).double().sum(0), moments)

    # -- inside: rows one by one, as torch expressions

    def _refused_gaps(self, y: Tensor) -> Tensor:
        if y.shape[-1] != self.width:
            refuse("y", f"of shape (..., {self.width}), one number per recorded coordinate", tuple(y.shape))
        if not self.missing and bool(y.isnan().any()):
            refuse("y", "free of NaN", "NaN", "Put `Missing()` last in the observation where gaps are meant.")
        return y

    def _has_gaps(self, y: Tensor) -> bool:
        return self.missing and bool(y.isnan().any())
