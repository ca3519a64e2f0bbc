r"""The mixture: weights times components, one immutable value.

.. math:: p(x) = \sum_k w_k\, p_k(x), \qquad w_k = \mathrm{softmax}(a)_k .

A `Mixture` is a ``torch.distributions.Distribution``. Everything in Mixtura produces one or reads one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, MixtureSameFamily

from ..components import Component, TorchComponent
from ..errors import MixtureError, NotClosedForm, refuse
from . import convert, entropy, files, implicit, imputing, merging, quantile

__all__ = ["Mixture"]


class Mixture(Distribution):
    r"""A mixture distribution :math:`\sum_k w_k p_k(x)`, immutable, with any batch shape.

    Arguments:
        weights: The weights :math:`w_k \ge 0`, with shape ``(*B, K)``; they are divided by their sum.
        components: A family such as `Gaussian` with batch shape ``(*B, K)``, or any torch distribution whose last
            batch dimension is K.
        logits: Log-weights up to a constant, instead of ``weights``.

    Raises:
        MixtureError: If weights are negative, not finite or all zero, or a shape does not fit.

    Likelihoods are in nats. Rows are converted to the components' type, which every result has, on their device. A
    component of weight zero has probability zero. Log-densities, moments and `rsample` are differentiable in all
    parameters.

    Example:
        >>> components = mx.Normal(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 0.5]))
        >>> mixture = mx.Mixture(torch.tensor([0.25, 0.75]), components)
        >>> mixture.mean, mixture.variance
        (tensor(1.2500), tensor(2.1250))
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        weights: Tensor | None = None,
        components: Component | Distribution | None = None,
        *,
        logits: Tensor | None = None,
    ) -> None:
        family = components if isinstance(components, Component) else TorchComponent(components)  # type: ignore[arg-type]
        self._seal(_log_weights(weights, logits, family), family)

    @classmethod
    def _of(cls, logits: Tensor, components: Component) -> Mixture:
        """Builds a mixture from normalised logits without validation: for inner code."""
        new = object.__new__(cls)
        new._seal(logits, components)
        return new

    def _seal(self, logits: Tensor, components: Component) -> None:
        self.logits = logits
        self.components = components
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=False)
        self._sealed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_sealed", False):
            raise AttributeError(f"A Mixture is immutable: `{name}` cannot be set. Build a new one.")
        super().__setattr__(name, value)

    # -- what it is

    @property
    def weights(self) -> Tensor:
        """The weights, with shape ``(*B, K)``; they sum to one."""
        return self.logits.exp()

    @property
    def dtype(self) -> torch.dtype:
        """The floating point type of the parameters."""
        return self.components.dtype

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.components.device

    @property
    def parameters(self) -> int:
        """The number of free parameters of one batch entry: the components' own plus K - 1 weights."""
        return self.components.parameters + self.logits.shape[-1] - 1

    @property
    def support(self) -> Any:
        """The support of the components."""
        return self.components.support

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether `rsample` gives pathwise gradients for this family."""
        return self.components.has_rosenblatt

    def __repr__(self) -> str:
        return f"Mixture(weights=tensor{tuple(self.logits.shape)}, components={self.components!r})"

    # -- density

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log-density in nats of rows ``(*S, *B, *event)``, with shape ``(*S, *B)``."""
        return self.components.mixture_log_prob(self.logits, self._checked(value))

    def log_joint(self, x: Tensor) -> Tensor:
        """Returns :math:`\\log w_k + \\log p_k(x)`, with shape ``(*S, *B, K)``."""
        return self.logits + self.components.log_prob(self._checked(x))

    def responsibilities(self, x: Tensor) -> Tensor:
        """Returns the posterior probability of each component given each row, with shape ``(*S, *B, K)``.

        Example:
            >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
            >>> mixture.responsibilities(torch.tensor(0.0))
            tensor([0.5000, 0.5000])
        """
        return torch.softmax(self.log_joint(x), -1)

    def assign(self, x: Tensor) -> Tensor:
        """Returns the index of the most probable component of each row, with shape ``(*S, *B)``."""
        return self.log_joint(x).argmax(-1)

    def score(self, x: Tensor) -> Tensor:
        r"""Returns :math:`\nabla_x \log p(x) = \sum_k r_k(x) \nabla \log p_k(x)`, in the shape of ``x``.

        Example:
            >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([1.0]), torch.tensor([2.0])))
            >>> mixture.score(torch.tensor([3.0]))
            tensor([-0.5000])
        """
        return self.components.mixture_score(self.logits, self._checked(x))

    def cdf(self, value: Tensor) -> Tensor:
        """Returns the cumulative probability of numbers (or vectors of one feature), with shape ``(*S, *B)``."""
        return (self.weights * self.components.cdf(self._checked(value))).sum(-1)

    def icdf(self, value: Tensor) -> Tensor:
        """Returns the quantiles of probabilities ``(*S, *B)``: exact to rounding, differentiable.

        Raises:
            MixtureError: If a probability is outside [0, 1].

        Example:
            >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
            >>> mixture.icdf(mixture.cdf(torch.tensor(0.7)))
            tensor(0.7000)
        """
        return quantile.icdf(self, torch.as_tensor(value, dtype=self.dtype, device=self.device))

    # -- moments

    @property
    def mean(self) -> Tensor:
        """The mean, with shape ``(*B, *event)``."""
        return (self._spread(self.weights) * self.components.mean).sum(self._axis)

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate, with shape ``(*B, *event)``."""
        gap = self.components.mean - self.mean.unsqueeze(self._axis)
        return (self._spread(self.weights) * (self.components.variance + gap.square())).sum(self._axis)

    @property
    def covariance(self) -> Tensor:
        """The covariance matrix, with shape ``(*B, D, D)``; for numbers, the variance."""
        if not self.event_shape:
            return self.variance
        gap = self.components.mean - self.mean.unsqueeze(-2)
        second = self.components.covariance + gap.unsqueeze(-1) * gap.unsqueeze(-2)
        return (self.weights[..., None, None] * second).sum(-3)

    def entropy(self, samples: int = 10_000, generator: Generator | None = None) -> entropy.Entropy:  # type: ignore[override]
        """Estimates the entropy in nats by Monte Carlo, with its standard error and closed-form bounds.

        Arguments:
            samples: The number of draws.
            generator: The source of randomness.

        Returns:
            ``value``, ``standard_error``, ``lower`` and ``upper``, each with shape ``(*B)``.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> one.entropy().lower
            tensor(1.4189)
        """
        return entropy.entropy(self, samples, generator)

    # -- draws

    def sample(self, sample_shape: Sequence[int] = (), generator: Generator | None = None) -> Tensor:  # type: ignore[override]
        """Draws rows ``(*sample_shape, *B, *event)``: the component first, then only what is used of it.

        Example:
            >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
            >>> mixture.sample((5,), generator=torch.Generator().manual_seed(0)).shape
            torch.Size([5])
        """
        with torch.no_grad():
            return self.components.draw(self.sample_labels(sample_shape, generator), generator)

    def sample_labels(self, sample_shape: Sequence[int] = (), generator: Generator | None = None) -> Tensor:
        """Draws component indices, with shape ``(*sample_shape, *B)``."""
        shape = torch.Size(sample_shape)
        cumulative = self.weights.detach().double().cumsum(-1)
        cumulative = cumulative / cumulative[..., -1:]
        draws = torch.rand(
            *self.batch_shape, shape.numel(), dtype=torch.double, device=self.device, generator=generator
        )
        labels = _locate(cumulative, draws)
        return labels.movedim(-1, 0).reshape(shape + self.batch_shape)

    def rsample(self, sample_shape: Sequence[int] = (), generator: Generator | None = None) -> Tensor:  # type: ignore[override]
        """Draws rows with pathwise gradients in all parameters, weights included.

        Implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018) through the Rosenblatt transform; see
        `mixtura.mixture.implicit`.

        Raises:
            NotClosedForm: If the family has no conditional distribution functions.

        Example:
            >>> loc = torch.tensor([0.0, 1.0], requires_grad=True)
            >>> mx.Mixture(torch.ones(2), mx.Normal(loc, torch.ones(2))).rsample((4,)).requires_grad
            True
        """
        return implicit.reparameterise(self, self.sample(sample_shape, generator))

    # -- algebra

    def marginal(self, dims: Sequence[int] | int) -> Mixture:
        """Returns the mixture of some coordinates, in the order given.

        Raises:
            MixtureError: If a coordinate does not exist or is named twice.

        Example:
            >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.tensor([[1.0, 2.0]]), torch.eye(2)[None]))
            >>> mixture.marginal([1]).mean
            tensor([2.])
        """
        return self._of(self.logits, self.components.marginal(self._dims(dims)))

    def condition(self, dims: Sequence[int] | int, values: Tensor) -> Mixture:
        """Returns the mixture of the other coordinates given ``values`` ``(*S, *B, len(dims))`` of some.

        Raises:
            MixtureError: If ``dims`` names a coordinate twice or all of them, or ``values`` does not fit.

        Example:
            >>> mean = torch.tensor([[0.0, 1.0], [1.0, 2.0]])
            >>> mixture = mx.Mixture(torch.ones(2), mx.Gaussian(mean, torch.eye(2).expand(2, 2, 2)))
            >>> mixture.condition([0], torch.tensor([0.0])).mean
            tensor([1.3775])
        """
        known = self._dims(dims)
        if not 0 < len(known) < self.event_shape[0]:
            refuse("dims", f"some, but not all, of {self.event_shape[0]} coordinates", known)
        values = torch.as_tensor(values, dtype=self.dtype, device=self.device)
        if values.shape[-1:] != (len(known),):
            refuse("values", f"of shape (..., {len(known)}), one value per coordinate given", tuple(values.shape))
        components, evidence = self.components.condition(known, values)
        return self._of(torch.log_softmax(self.logits + evidence, -1), components)

    def affine(self, matrix: Tensor, offset: Tensor | None = None) -> Mixture:
        """Returns the mixture of ``matrix @ x + offset``, with ``matrix`` of shape ``(D', D)`` and full row rank.

        For numbers ``matrix`` is a number.
        """
        matrix = torch.as_tensor(matrix, dtype=self.dtype, device=self.device)
        offset = None if offset is None else torch.as_tensor(offset, dtype=self.dtype, device=self.device)
        if self.event_shape and (matrix.ndim != 2 or matrix.shape[-1] != self.event_shape[0]):
            refuse("matrix", f"of shape (rows, {self.event_shape[0]})", tuple(matrix.shape))
        if self.event_shape and offset is not None and offset.shape != matrix.shape[:1]:
            refuse("offset", f"of shape {tuple(matrix.shape[:1])}, as the rows of `matrix`", tuple(offset.shape))
        return self._of(self.logits, self.components.affine(matrix, offset))

    def convolve(self, covariance: Tensor) -> Mixture:
        """Returns the mixture of x plus independent zero-mean Gaussian noise of that covariance ``(D, D)``."""
        covariance = torch.as_tensor(covariance, dtype=self.dtype, device=self.device)
        if self.event_shape and covariance.shape[-2:] != self.event_shape * 2:
            refuse("covariance", f"of shape {tuple(self.event_shape * 2)}", tuple(covariance.shape))
        return self._of(self.logits, self.components.convolve(covariance))

    def product(self, other: Mixture) -> Mixture:
        r"""Returns the normalised product :math:`p(x) q(x) / \int p q`: a mixture of all pairs of components.

        The log of the integral is available as ``p.overlap(q)``.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> one.product(one).variance
            tensor(0.5000)
        """
        components, log_mass = self.components.product(other.components)
        return self._of(torch.log_softmax(self._pair_logits(other) + log_mass, -1), components)

    def overlap(self, other: Mixture) -> Tensor:
        r"""Returns :math:`\log\int p(x) q(x) dx` in nats, with shape ``(*B)``.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> one.overlap(one)
            tensor(-1.2655)
        """
        _, log_mass = self.components.product(other.components)
        return torch.logsumexp(self._pair_logits(other) + log_mass, -1)

    def reduce(self, components: int) -> Mixture:
        """Returns a mixture of fewer components with the same mean and covariance (Runnalls, 2007).

        Arguments:
            components: The number of components to keep, between 1 and K.

        Example:
            >>> mixture = mx.Mixture(torch.ones(3), mx.Normal(torch.tensor([0.0, 0.1, 5.0]), torch.ones(3)))
            >>> mixture.reduce(2).components.mean
            tensor([0.0500, 5.0000])
        """
        return merging.reduce(self, components)

    # -- errors of observation

    def observed(self, observation: Any) -> Mixture:
        """Returns the distribution of what is recorded of a draw.

        Arguments:
            observation: One of `mixtura.observation`, or a sequence of them, the one nearest to the draw first.

        Example:
            >>> clean = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
            >>> clean.observed(mx.observation.AdditiveNoise(scale=2.0)).variance
            tensor(9.)
        """
        return _observation(observation).apply(self)

    def posterior(self, observation: Any, y: Tensor) -> Mixture:
        """Returns the distribution of the clean value given what was recorded of it, for each row of ``y``.

        Arguments:
            observation: One of `mixtura.observation`, or a sequence of them, the one nearest to the draw first.
            y: What was recorded, with shape ``(*S, *B, *event)``; the result has batch shape ``(*S, *B)``.

        Example:
            >>> clean = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
            >>> clean.posterior(mx.observation.AdditiveNoise(scale=1.0), torch.tensor([0.0, 2.0])).mean
            tensor([0.0360, 2.0000])
        """
        return _observation(observation).posterior(self, y)

    def impute(self, rows: Tensor, how: imputing.Way | None = None) -> imputing.Imputed:
        """Fills the gaps (NaN) of rows ``(N, D)`` from what else was recorded of them, with uncertainty.

        Arguments:
            rows: The rows.
            how: `mixtura.observation.Mean`, the default, `Mode` or `Draw`.

        Returns:
            ``values``, the rows without gaps, and ``scale``, the conditional standard deviation of what was filled in.

        Example:
            >>> covariance = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
            >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), covariance))
            >>> mixture.impute(torch.tensor([[2.0, torch.nan]]))
            Imputed(values=tensor([[2., 1.]]), scale=tensor([[0.0000, 0.8660]]))
        """
        return imputing.impute(self, rows, imputing.Mean() if how is None else how)

    # -- moving and keeping

    def map(self, function: Callable[[Tensor], Tensor]) -> Mixture:
        """Returns the mixture with a function applied to each of its tensors."""
        return self._of(function(self.logits), self.components.map(function))

    def to(self, *args: Any, **kwargs: Any) -> Mixture:
        """Returns the mixture on another device or in another type, as ``torch.Tensor.to``."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Mixture:
        """Returns the mixture cut from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def batch(self, index: Any) -> Mixture:
        """Returns the entries that ``index`` selects along the first batch dimension."""
        return self._of(self.logits[index], self.components.batch(index))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Mixture:  # type: ignore[override]
        """Returns the mixture broadcast to a larger batch shape."""
        inner = len(self.batch_shape)
        return self.map(lambda t: t.expand(*batch_shape, *t.shape[inner:]))

    def order(self, by: Tensor | None = None) -> Mixture:
        """Returns the same mixture with components sorted by a key ``(K,)``: by falling weight if none is given."""
        if self.batch_shape:
            refuse("self", "a single mixture", f"a batch {tuple(self.batch_shape)}", "Order its entries one by one.")
        key = -self.logits if by is None else by
        index = key.argsort(stable=True)
        return self._of(self.logits[index], self.components.take(index))

    def save(self, path: str | Path, columns: Sequence[str] | None = None) -> None:
        """Writes the mixture to a safetensors file; the file is complete or absent, never half-written.

        Arguments:
            path: The file; one that exists is replaced.
            columns: The names of the columns, which `mixtura.mixture.files.read_columns` gives back.
        """
        files.save(self, path, columns)

    def to_torch(self) -> MixtureSameFamily:
        """Returns the same mixture as a ``torch.distributions.MixtureSameFamily``; gradients flow through.

        Raises:
            NotClosedForm: If torch has no distribution for this family of components.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> one.to_torch().component_distribution
            Normal(loc: tensor([0.]), scale: tensor([1.]))
        """
        return convert.to_torch(self)

    @staticmethod
    def from_torch(distribution: MixtureSameFamily) -> Mixture:
        """Returns a ``torch.distributions.MixtureSameFamily`` as a mixture; gradients flow through.

        ``MultivariateNormal`` and ``Independent(Normal, 1)`` become `Gaussian`, ``Normal`` becomes `Normal`, and any
        other family a `TorchComponent`.

        Raises:
            MixtureError: If it is no ``MixtureSameFamily``, or its components have more than one event dimension.

        Example:
            >>> weights = torch.distributions.Categorical(torch.ones(2))
            >>> gammas = torch.distributions.Gamma(torch.tensor([1.0, 2.0]), torch.ones(2))
            >>> mx.Mixture.from_torch(torch.distributions.MixtureSameFamily(weights, gammas)).mean
            tensor(1.5000)
        """
        return convert.from_torch(distribution)

    # -- inside

    @property
    def _axis(self) -> int:
        return -1 - len(self.event_shape)

    def _spread(self, weights: Tensor) -> Tensor:
        return weights.reshape(weights.shape + (1,) * len(self.event_shape))

    def _pair_logits(self, other: Mixture) -> Tensor:
        return (self.logits.unsqueeze(-1) + other.logits.unsqueeze(-2)).flatten(-2)

    def _checked(self, x: Any) -> Tensor:
        x = x.to(self.dtype) if isinstance(x, Tensor) else torch.as_tensor(x, dtype=self.dtype, device=self.device)
        dims = len(self.event_shape)
        if x.shape[x.ndim - dims :] != self.event_shape or x.ndim < dims:
            refuse("x", f"rows with shape (..., {', '.join(map(str, self.event_shape))})", tuple(x.shape))
        return x

    def _dims(self, dims: Sequence[int] | int) -> list[int]:
        if not self.event_shape:
            raise NotClosedForm("A mixture on numbers has no coordinates to choose from.")
        features = self.event_shape[0]
        chosen = [dims] if isinstance(dims, int) else list(dims)
        if not all(-features <= d < features for d in chosen):
            refuse("dims", f"coordinates between 0 and {features - 1}", chosen)
        chosen = [d % features for d in chosen]
        if len(set(chosen)) != len(chosen) or not chosen:
            refuse("dims", "different coordinates, at least one", chosen)
        return chosen


def _observation(observation: Any) -> Any:
    """The observation itself, or several as one: a sequence knows how to become one through its first."""
    if not isinstance(observation, (list, tuple)):
        return observation
    first, *others = observation
    return first.followed_by(others)


def _locate(cumulative: Tensor, draws: Tensor) -> Tensor:
    """Counts the cumulative weights ``(*B, K)`` at or below each draw ``(*B, N)``."""
    if cumulative.shape[-1] > 32 or draws.numel() < 4096:
        return torch.searchsorted(cumulative, draws, right=True)
    labels = torch.zeros(draws.shape, dtype=torch.uint8, device=draws.device)  # few: sweeps beat searches
    for edge in cumulative[..., :-1].unbind(-1):
        labels += draws >= edge.unsqueeze(-1)
    return labels.long()


def _log_weights(weights: Tensor | None, logits: Tensor | None, components: Component) -> Tensor:
    if (weights is None) == (logits is None):
        raise MixtureError("Give either `weights` or `logits`, not both and not neither.")
    if logits is None:
        logits = _log(_checked_weights(torch.as_tensor(weights, dtype=components.dtype, device=components.device)))
        return torch.log_softmax(_one_each(logits, "weights", components), -1)
    logits = _one_each(torch.as_tensor(logits, dtype=components.dtype, device=components.device), "logits", components)
    if bool(logits.isnan().any() | (logits == torch.inf).any() | (logits == -torch.inf).all(-1).any()):
        refuse("logits", "finite or minus infinity, not all of one mixture minus infinity", logits)
    return torch.log_softmax(logits, -1)


def _one_each(logits: Tensor, argument: str, components: Component) -> Tensor:
    if logits.shape != components.batch_shape or not components.batch_shape[-1]:
        expected = f"of shape {tuple(components.batch_shape)}, one per component and at least one"
        refuse(argument, expected, tuple(logits.shape))
    return logits


def _checked_weights(weights: Tensor) -> Tensor:
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        refuse("weights", "non-negative and finite", weights.detach().tolist())
    if not weights.ndim or weights.shape[-1] == 0 or bool((weights.sum(-1) <= 0).any()):
        refuse("weights", "positive somewhere in each mixture (K at least 1)", weights.detach().tolist())
    return weights


def _log(weights: Tensor) -> Tensor:
    """The logarithm with a zero gradient, not NaN, where a weight is zero."""
    positive = weights > 0
    return torch.where(positive, torch.where(positive, weights, 1).log(), -torch.inf)
