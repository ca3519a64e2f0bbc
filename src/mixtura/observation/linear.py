r"""Every Gaussian observation in one normal form, :math:`y = A x + b + \varepsilon`, :math:`\varepsilon \sim N(0, S)`.

With :math:`x | k \sim N(\mu_k, V_k)` and :math:`T = A V_k A^\top + S`,

.. math::

    y | k \sim N(A\mu_k + b,\; T), \qquad q = T^{-1}(y - A\mu_k - b), \\
    x | y, k \sim N\big(\mu_k + V_k A^\top q,\; V_k - V_k A^\top T^{-1} A V_k\big).

The expected statistics of the clean rows (the E-step of extreme deconvolution: Bovy, Hogg and Roweis, 2011) follow
from two sums, which are also the gradients of the log-likelihood in mean and covariance:

.. math::

    u_k = \sum_n r_{nk} A^\top q_{nk}, \qquad
    Q_k = \sum_n r_{nk} A^\top\big(q_{nk} q_{nk}^\top - T_{nk}^{-1}\big) A, \\
    \sum_n r_{nk} E[x - \mu_k] = V_k u_k, \qquad
    \sum_n r_{nk} E[(x - \mu_k)(x - \mu_k)^\top] = N_k V_k + V_k Q_k V_k .

A coordinate that was not recorded (NaN) drops out of y, A, b and S; as if its noise were infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from ..components import Component, Diagonal, Full, Gaussian, Labels, Spherical, Statistics, Structure
from ..components.observation import Frame, Observation, believe, over
from ..errors import MixtureError, refuse
from ..kernels import deconvolution as deconvolve
from ..mixture import Mixture
from .base import add_up, aligned, of_label, weighted

__all__ = ["Linear"]


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

    def clean_columns(self, recorded: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return recorded if self.matrix is None else None

    def recorded_shape(self, components: Component) -> torch.Size:
        return torch.Size((self.width,)) if components.event_shape else torch.Size()

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
        """Whether it does nothing but leave coordinates out."""
        return self.missing and self.matrix is None and not bool(self.noise.any()) and not bool(self.offset.any())

    def followed_by_gaussian(self, other: Linear) -> Linear:
        """Returns this observation followed by another."""
        if other.matrix is None:
            noise = _sum(self.noise, other.noise)
            return self._replace(offset=self.offset + other.offset, noise=noise, missing=self.missing or other.missing)
        if self.missing:
            refuse("observation", "with `Missing` behind every measurement", "`Missing` before a measurement")
        matrix = other.matrix if self.matrix is None else other.matrix @ self.matrix
        offset = _apply(other.matrix, self.offset) + other.offset
        noise = _sum(other.matrix @ _matrix(self.noise) @ other.matrix.mT, other.noise)
        return Linear._of(matrix=matrix, offset=offset, noise=noise, missing=other.missing)

    # -- the law of what is recorded

    def observed(self, components: Component) -> Component:
        return super().observed(components) if self.missing else self.law(components)

    def law(self, components: Component) -> Component:
        """Returns the law of what is recorded under each component where nothing is missing."""
        gaussian = components.gaussian_law
        mean = _image(self.matrix, gaussian.location, components) + aligned(self.offset, components)
        leading = aligned(self.noise, components).shape[: -1 if self.diagonal else -2]
        mean = mean.expand(*torch.broadcast_shapes(mean.shape[:-1], leading), self.width)
        recorded = Gaussian._of(location=mean, structure=self._structure(gaussian, mean.shape))
        return components.with_gaussian(recorded)

    def _structure(self, gaussian: Gaussian, shape: torch.Size) -> Structure:
        if self.diagonal and self.matrix is None and gaussian.structure.elementwise:
            variance = gaussian.structure.variance(gaussian.features) + aligned(self.noise, gaussian)
            scales = variance.sqrt().expand(shape)
            one = shape[-1] == 1
            return Spherical._of(factor=scales[..., 0], tied=False) if one else Diagonal._of(factor=scales, tied=False)
        covariance = _congruent(self.matrix, gaussian.covariance, gaussian) + aligned(_matrix(self.noise), gaussian)
        return Full._of(factor=_cholesky(covariance.expand(*shape, shape[-1])), tied=False)

    def log_prob(self, components: Component, y: Tensor) -> Tensor:
        y = y if components.event_shape else y.unsqueeze(-1)
        if not self.side and not self._has_gaps(self._refused_gaps(y)):
            return self.law(components).gaussian_law.log_prob(y)
        return torch.cat([one.log_prob for one in self._each(components.gaussian_law, y)])

    def moments(self, components: Component) -> tuple[Tensor, Tensor]:
        recorded = self.law(components)
        return recorded.mean, recorded.variance

    def record(self, x: Tensor, labels: Tensor, generator: Generator | None, components: Component | None) -> Tensor:
        scalar = x.shape == labels.shape
        rows = x.unsqueeze(-1) if scalar else x
        clean = rows if self.matrix is None else _apply(of_label(self.matrix, labels), rows)
        noise = torch.randn(clean.shape, dtype=x.dtype, device=x.device, generator=generator)
        root = of_label(self.noise.sqrt() if self.diagonal else _square_root(self.noise), labels)
        noise = noise * root if self.diagonal else _apply(root, noise)
        y = clean + of_label(self.offset, labels) + noise
        return y.squeeze(-1) if scalar else y

    # -- the clean value given what was recorded

    def posterior(self, mixture: Mixture, y: Tensor) -> Mixture:
        gaussian = mixture.components.gaussian_law
        rows = self._refused_gaps(y if mixture.event_shape else y.unsqueeze(-1))
        if self.matrix is None and self.diagonal and gaussian.structure.elementwise:
            offset, noise = aligned(self.offset, gaussian), aligned(self.noise, gaussian)
            evidence, components = _elementwise_posterior(gaussian, offset, noise, rows)
        else:
            evidence, components = _Seen.of(self, gaussian, rows).posterior()
        logits = torch.log_softmax(mixture.logits + evidence, -1)
        return Mixture._of(logits, mixture.components.with_gaussian(components))

    # -- learning

    def complete(self, components: Component, y: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        gaussian = components.gaussian_law
        rows = over(y.reshape(len(y), -1), components)
        parts, start = [], 0
        for one in self._each(gaussian, rows):
            share = r[start : start + len(one.log_prob)]
            parts.append(one.sums(share))
            start += len(one.log_prob)
        first, second = add_up(parts)
        return _finish(gaussian, r.sum(0).double(), first, second)

    def clean_moments(self, components: Component, y: Tensor) -> tuple[Tensor, Tensor]:
        gaussian = components.gaussian_law
        rows = y if components.event_shape else y.unsqueeze(-1)
        parts = [one.moments() for one in self._each(gaussian, rows)]
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
        left = (y - _apply(matrix, solution)).square().nanmean()
        gain = matrix.square().sum(-1).mean()
        variance = torch.maximum(left - error.mean(), _LEAST * left) / gain
        return solution, variance.expand(solution.shape)

    def expect(
        self, components: Component, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        gaussian, rows = components.gaussian_law, y.reshape(len(y), -1)
        if not self.side:
            return self._expect_shared(gaussian, logits, rows, weight, labels)
        if deconvolve.fits(self.matrix, self.noise, self.offset, gaussian.structure, logits, labels):
            return self._expect_fused(gaussian, logits, rows, weight)
        return self._expect_rows(gaussian, logits, rows, weight, labels)

    def _expect_rows(
        self, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        """Row by row, in torch: the reference."""
        parts, start = [], 0
        for one in self._each(gaussian, over(y, gaussian)):
            stop = start + len(one.log_prob)
            share = None if weight is None else weight[start:stop]
            r, log_likelihood = believe(logits + one.log_prob, share, labels)
            parts.append((log_likelihood, r.sum(0).double(), *one.sums(r)))
            start = stop
        log_likelihood, mass, first, second = add_up(parts)
        return Statistics(log_likelihood, mass, _finish(gaussian, mass, first, second))

    def _expect_fused(self, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None) -> Statistics:
        """One compiled pass for rows that each have their own noise."""
        sums = deconvolve.sums(
            gaussian.location, gaussian.covariance, logits, y - self.offset[:, 0], self.noise[:, 0], weight
        )
        return Statistics(sums.log_likelihood, sums.weight, _finish(gaussian, sums.weight, sums.first, sums.second))

    def _expect_shared(
        self, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> Statistics:
        """The sums of what is recorded, by the family's own pass, one for each pattern of gaps, carried over to x."""
        parts = []
        for index, seen in _patterns(y, self.missing):
            rows, row_weight = (y, weight) if index is None else (y[index], None if weight is None else weight[index])
            parts.append(self._pattern(seen)._pull_back(gaussian, logits, rows[:, seen], row_weight, labels))
        log_likelihood, mass, first, second = add_up(parts)
        return Statistics(log_likelihood, mass, _finish(gaussian, mass, first, second))

    def _pattern(self, seen: list[int]) -> Linear:
        """The observation of some coordinates."""
        if len(seen) == self.width:
            return self
        whole = torch.eye(self.width, dtype=self.offset.dtype, device=self.offset.device)[None, None]
        noise = self.noise[..., seen] if self.diagonal else self.noise[..., seen, :][..., seen]
        matrix = whole[..., seen, :] if self.matrix is None else self.matrix[..., seen, :]
        return Linear._of(matrix=matrix, offset=self.offset[..., seen], noise=noise, missing=False)

    def _pull_back(
        self, gaussian: Gaussian, logits: Tensor, y: Tensor, weight: Tensor | None, labels: Labels
    ) -> tuple[Tensor, ...]:
        if not self.width:
            return _unseen(gaussian, logits, len(y), weight, labels)
        mean = _image(self.matrix, gaussian.location, gaussian) + aligned(self.offset, gaussian)
        covariance = _congruent(self.matrix, gaussian.covariance, gaussian) + aligned(_matrix(self.noise), gaussian)
        factor = _cholesky(covariance.expand(*mean.shape, self.width))
        recorded = Gaussian._of(location=mean, structure=Full._of(factor=factor, tied=False))
        sums = recorded.expect(logits, y, weight, labels)
        return sums.log_likelihood, sums.weight, *self._scores(gaussian, factor, sums)

    def carried_back(self, components: Component, sums: Statistics) -> Statistics:
        """The clean rows' sums from those of what this observation makes of them; errors shared by all rows."""
        gaussian, law = components.gaussian_law, self.law(components).gaussian_law
        second = sums.moments[1]
        if isinstance(law.structure, Spherical):
            second = second.unsqueeze(-1)
        if not isinstance(law.structure, Full):
            second = torch.diag_embed(second)
        dense = Statistics(sums.log_likelihood, sums.weight, (sums.moments[0], second))
        scores = self._scores(gaussian, _cholesky(law.covariance), dense)
        return Statistics(sums.log_likelihood, sums.weight, _finish(gaussian, sums.weight, *scores))

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

    def _scores(self, gaussian: Gaussian, factor: Tensor, sums: Statistics) -> tuple[Tensor, Tensor]:
        """The sums u and Q of the module's equations from those of what was recorded."""
        precision = torch.cholesky_inverse(factor.double())
        first = _apply(precision, sums.moments[0])
        second = precision @ sums.moments[1] @ precision - sums.weight[..., None, None] * precision
        if self.matrix is None:
            return first, second
        matrix = aligned(self.matrix, gaussian).double()
        return _apply(matrix.mT, first), matrix.mT @ second @ matrix

    # -- inside: rows one by one, as torch expressions

    def _refused_gaps(self, y: Tensor) -> Tensor:
        if y.shape[-1] != self.width:
            refuse("y", f"of shape (..., {self.width}), one number per recorded coordinate", tuple(y.shape))
        if not self.missing and bool(y.isnan().any()):
            refuse("y", "free of NaN", "NaN", "Put `Missing()` last in the observation where gaps are meant.")
        return y

    def _has_gaps(self, y: Tensor) -> bool:
        return self.missing and bool(y.isnan().any())

    def _each(self, gaussian: Gaussian, y: Tensor) -> Iterator[_Seen]:
        """The rows ``(n, ..., M)`` in pieces small enough for a matrix per row and component."""
        features = max(self.width, gaussian.features)
        if self.side and len(y) != len(self.side[0]):  # sample dimensions in front of the rows
            yield _Seen.of(self, gaussian, y)
            return
        size = max(1, 2**21 // (gaussian.batch_shape.numel() * features * features))
        for start in range(0, len(y), size):
            some = slice(start, start + size)
            yield _Seen.of(self.at([tensor[some] for tensor in self.side]), gaussian, y[some])


@dataclass(frozen=True, eq=False)
class _Seen:
    r"""Recorded rows under each component: residual, A, S and V, gaps taken out.

    A coordinate that was not recorded keeps its place with a residual of zero, a row of zeros in A and a noise of one,
    which leaves T block diagonal; its density of :math:`(2\pi)^{-1/2}` is taken out again.
    """

    gaussian: Gaussian
    residual: Tensor  # (*rows, K, M)
    matrix: Tensor  # (*rows, K, M, D)
    noise: Tensor  # (*rows, K, M, M)
    recorded: Tensor | int  # how many coordinates, (*rows, 1)

    @classmethod
    def of(cls, observation: Linear, gaussian: Gaussian, y: Tensor) -> _Seen:
        mean = _image(observation.matrix, gaussian.location, gaussian) + aligned(observation.offset, gaussian)
        noise = aligned(_matrix(observation.noise), gaussian)
        identity = torch.eye(observation.width, dtype=y.dtype, device=y.device)
        matrix = identity if observation.matrix is None else aligned(observation.matrix, gaussian)
        residual = y.unsqueeze(-2) - mean
        if not observation._has_gaps(y):
            return cls(gaussian, residual, matrix, noise, observation.width)
        absent = y.isnan().unsqueeze(-2)
        apart = absent.unsqueeze(-1) | absent.unsqueeze(-2)
        noise = torch.where(apart, identity * absent.unsqueeze(-1), noise)
        matrix = matrix.masked_fill(absent.unsqueeze(-1), 0.0)
        return cls(gaussian, residual.masked_fill(absent, 0.0), matrix, noise, (~absent).sum(-1))

    @cached_property
    def precision_factor(self) -> tuple[Tensor, Tensor]:
        """The Cholesky factor L of T, and :math:`L^{-1}`."""
        covariance = self.matrix @ self.gaussian.covariance @ self.matrix.mT + self.noise
        factor = _cholesky(covariance)
        identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        return factor, torch.linalg.solve_triangular(factor, identity, upper=False)

    @cached_property
    def log_prob(self) -> Tensor:
        """log p(y|k), with shape ``(*rows, K)``."""
        factor, inverse = self.precision_factor
        return _log_density(_apply(inverse, self.residual), factor, self.recorded)

    def sums(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """The sums u and Q of the module's equations over the rows, in float64."""
        _, inverse = self.precision_factor
        back = inverse @ self.matrix  # L^-1 A
        pull = _apply(back.mT, _apply(inverse, self.residual))
        back, pull = torch.broadcast_to(back, (*pull.shape[:-1], *back.shape[-2:])), pull
        weighted = (r.unsqueeze(-1) * pull).double()
        outer = torch.einsum("n...i,n...j->...ij", weighted, pull.double())
        precision = torch.einsum("n...mi,n...mj->...ij", (r[..., None, None] * back).double(), back.double())
        return weighted.sum(0), outer - precision

    def moments(self) -> tuple[Tensor, Tensor]:
        """E[x - mu] and E[(x - mu)(x - mu)^T] given y, for each row and component."""
        _, inverse = self.precision_factor
        gain = inverse @ self.matrix @ self.gaussian.covariance  # L^-1 A V
        shift = _apply(gain.mT, _apply(inverse, self.residual))
        return shift, shift.unsqueeze(-1) * shift.unsqueeze(-2) + self.gaussian.covariance - gain.mT @ gain

    def posterior(self) -> tuple[Tensor, Gaussian]:
        r"""The evidence and the posterior components, by one orthogonal triangularisation.

        .. math:: \begin{pmatrix} S^{1/2} & A F \\ 0 & F \end{pmatrix} \Theta =
            \begin{pmatrix} T^{1/2} & 0 \\ G & C^{1/2} \end{pmatrix}, \qquad F F^\top = V,

        so that the posterior covariance is never a difference, and noise may go to zero.
        """
        factor = torch.linalg.cholesky(self.gaussian.covariance)
        width, features = self.residual.shape[-1], factor.shape[-1]
        shape = (*self.residual.shape[:-1], width + features, width + features)
        array = factor.new_zeros(shape)
        array[..., :width, :width] = _square_root(self.noise)
        array[..., :width, width:] = self.matrix @ factor
        array[..., width:, width:] = factor
        lower = torch.linalg.qr(array.mT).R.mT
        lower = lower * torch.where(lower.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)
        root = lower[..., :width, :width]
        if not bool((root.diagonal(dim1=-2, dim2=-1) > 0).all()):
            raise MixtureError(_SINGULAR)
        z = torch.linalg.solve_triangular(root, self.residual.unsqueeze(-1), upper=False)
        mean = self.gaussian.location + (lower[..., width:, :width] @ z).squeeze(-1)
        structure = Full._of(factor=lower[..., width:, width:], tied=False)
        return _log_density(z.squeeze(-1), root, self.recorded), Gaussian._of(location=mean, structure=structure)


_SINGULAR = (
    "`covariance` of the errors plus the mixture's own, as seen through `matrix`, must be positive definite; got a "
    "singular one. Give errors above zero, or a `matrix` whose rows are independent."
)
_LEAST = 0.01  # of the recorded variance, at least so much is taken to be the clean rows' at first
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def _log_density(z: Tensor, factor: Tensor, recorded: Tensor | int) -> Tensor:
    half_logdet = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * z.square().sum(-1) - half_logdet - recorded * _HALF_LOG_TWO_PI


def _elementwise_posterior(gaussian: Gaussian, offset: Tensor, noise: Tensor, y: Tensor) -> tuple[Tensor, Gaussian]:
    """The posterior where no coordinate tells of another; a gap has no gain and no evidence."""
    prior = gaussian.structure.variance(gaussian.features)
    absent = y.isnan().unsqueeze(-2)
    residual = (y.unsqueeze(-2) - gaussian.location - offset).masked_fill(absent, 0.0)
    total = prior + noise
    if not bool((total > 0).all()):
        raise MixtureError(_SINGULAR)
    evidence = -0.5 * (residual.square() / total + total.log()) - _HALF_LOG_TWO_PI
    near = torch.where(absent, torch.inf, noise) < prior  # from whichever end the step is the smaller
    end = torch.where(near, (y.unsqueeze(-2) - offset).nan_to_num(0.0), gaussian.location)
    mean = end + torch.where(near, -noise, prior) / total * residual
    scale = torch.where(absent, prior, prior * (noise / total)).sqrt().expand(mean.shape)
    structure = Spherical if mean.shape[-1] == 1 else Diagonal
    factor = scale.squeeze(-1) if mean.shape[-1] == 1 else scale
    components = Gaussian._of(location=mean, structure=structure._of(factor=factor, tied=False))
    return evidence.masked_fill(absent, 0.0).sum(-1), components


def _unseen(gaussian: Gaussian, logits: Tensor, rows: int, weight: Tensor | None, labels: Labels) -> tuple[Tensor, ...]:
    """The sums of rows of which nothing was recorded: they keep their prior weight and say nothing of components."""
    r, log_likelihood = believe(logits.expand(rows, *logits.shape), weight, labels)
    shape, features = gaussian.location.shape, gaussian.features
    first = torch.zeros(shape, dtype=torch.float64, device=logits.device)
    return log_likelihood, r.sum(0).double(), first, first.unsqueeze(-1).expand(*shape, features)


def _finish(gaussian: Gaussian, weight: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The expected sums about the means, in the structure's own form, from u and Q."""
    covariance = gaussian.covariance.double()
    scatter = weight[..., None, None] * covariance + covariance @ second @ covariance
    return _apply(covariance, first), gaussian.structure.pooled(scatter)


def _patterns(y: Tensor, missing: bool) -> Iterator[tuple[Tensor | None, list[int]]]:
    """The rows of each pattern of gaps, None for all of them, and the coordinates recorded there."""
    recorded = ~y.isnan()
    if not missing or bool(recorded.all()):
        yield None, list(range(y.shape[-1]))
        return
    which = _codes(recorded)
    for code in which.unique():
        index = (which == code).nonzero().squeeze(-1)
        yield index, recorded[index[0]].nonzero().squeeze(-1).tolist()


def _codes(recorded: Tensor) -> Tensor:
    """A number for each row that tells its pattern."""
    if recorded.shape[-1] > 62:
        return torch.unique(recorded, dim=0, return_inverse=True)[1]
    powers = 2 ** torch.arange(recorded.shape[-1], device=recorded.device)
    return (recorded * powers).sum(-1)


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _image(matrix: Tensor | None, mean: Tensor, components: Component) -> Tensor:
    return mean if matrix is None else _apply(aligned(matrix, components), mean)


def _congruent(matrix: Tensor | None, covariance: Tensor, components: Component) -> Tensor:
    if matrix is None:
        return covariance
    placed = aligned(matrix, components)
    return placed @ covariance @ placed.mT


def _matrix(noise: Tensor) -> Tensor:
    """Noise led by ``(R, C)`` as whole matrices."""
    return torch.diag_embed(noise) if noise.ndim == 3 else noise


def _sum(one: Tensor, other: Tensor) -> Tensor:
    return one + other if one.ndim == other.ndim else _matrix(one) + _matrix(other)


def _square_root(covariance: Tensor) -> Tensor:
    """A symmetric root, which a singular matrix has too."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT


def _cholesky(covariance: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        raise MixtureError(_SINGULAR)
    return factor
