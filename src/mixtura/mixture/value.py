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
from torch.distributions import Distribution

from .._value import permuted
from ..components import Component, TorchComponent
from ..components.observation_sequence import as_one
from ..errors import refuse
from . import algebra, convert, draws, entropy, implicit, imputing, quantile, saving
from .columns import checked_names, each, recorded_of
from .weights import log_weights

__all__ = ["Mixture"]


class Mixture(Distribution):
    r"""A mixture distribution :math:`\sum_k w_k p_k(x)`, immutable, with any batch shape.

    Arguments:
        weights: The weights :math:`w_k \ge 0`, with shape ``(*B, K)``; they are divided by their sum.
        components: A family such as `Gaussian` with batch shape ``(*B, K)``, or any torch distribution whose last
            batch dimension is K.
        logits: Log-weights up to a constant, instead of ``weights``.
        validate_args: Whether to check that weights are non-negative and finite; shapes always are. Without it nothing
            waits for the device. Components check their own numbers when they are made, and take the same word.

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
        validate_args: bool = True,
    ) -> None:
        family = components if isinstance(components, Component) else TorchComponent(components)  # type: ignore[arg-type]
        self._seal(log_weights(weights, logits, family, validate_args), family)

    @classmethod
    def _of(cls, logits: Tensor, components: Component, columns: tuple[str, ...] | None = None) -> Mixture:
        """Builds a mixture from normalised logits without validation: for inner code."""
        new = object.__new__(cls)
        new._seal(logits, components, columns)
        return new

    def _seal(self, logits: Tensor, components: Component, columns: tuple[str, ...] | None = None) -> None:
        self.logits, self.components = components.weighed(logits)
        self.columns = columns
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=False)
        self._sealed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_sealed", False):
            raise AttributeError(f"A Mixture is immutable: `{name}` cannot be set. Build a new one.")
        super().__setattr__(name, value)

    # -- what it is

    columns: tuple[str, ...] | None
    """The names of the D columns that it was learned from, or none; `fit` sets them, and a saved model keeps them."""

    def named(self, columns: Sequence[str] | None) -> Mixture:
        """Returns the mixture with other names for its columns, or without names.

        Raises:
            MixtureError: If there is not one name for each column, or two are the same.

        Example:
            >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1))).named(["waiting"])
            >>> mixture.log_prob({"eruptions": [3.6, 1.8], "waiting": [0.0, 1.0]})
            tensor([-0.9189, -1.4189])
        """
        return self._of(self.logits, self.components, checked_names(self, columns))

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

    # -- density: rows are a tensor, an array, lists, or a table or file whose columns are found by name

    def log_prob(self, value: Any) -> Tensor:
        """Returns the log-density in nats of rows ``(*S, *B, *event)``, with shape ``(*S, *B)``.

        Rows may be whatever `fit` takes: a frame, a mapping or the path of a file is read by the names in `columns`.
        """
        return each(self, value, lambda x: self.components.mixture_log_prob(self.logits, x))

    def log_joint(self, x: Any) -> Tensor:
        r"""Returns :math:`\log w_k + \log p_k(x)`, with shape ``(*S, *B, K)``."""
        return each(self, x, lambda x: self.logits + self.components.log_prob(x))

    def responsibilities(self, x: Any) -> Tensor:
        """Returns the posterior probability of each component given each row, with shape ``(*S, *B, K)``.

        Example:
            >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
            >>> mixture.responsibilities(torch.tensor(0.0))
            tensor([0.5000, 0.5000])
        """
        return torch.softmax(self.log_joint(x), -1)

    def assign(self, x: Any) -> Tensor:
        """Returns the index of the most probable component of each row, with shape ``(*S, *B)``."""
        return self.log_joint(x).argmax(-1)

    def score(self, x: Any) -> Tensor:
        r"""Returns :math:`\nabla_x \log p(x) = \sum_k r_k(x) \nabla \log p_k(x)`, in the shape of ``x``.

        Example:
            >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([1.0]), torch.tensor([2.0])))
            >>> mixture.score(torch.tensor([3.0]))
            tensor([-0.5000])
        """
        return each(self, x, lambda x: self.components.mixture_score(self.logits, x))

    def cdf(self, value: Any) -> Tensor:
        """Returns the cumulative probability of numbers (or vectors of one feature), with shape ``(*S, *B)``.

        Example:
            >>> mx.Mixture(torch.ones(2), mx.Poisson(torch.tensor([1.0, 4.0]))).cdf(torch.tensor([-1.0, 0.0, 2.5]))
            tensor([0.0000, 0.1931, 0.5789])
        """
        return each(self, value, lambda x: quantile.cdf(self, x))

    def icdf(self, value: Tensor) -> Tensor:
        """Returns the quantiles of probabilities ``(*S, *B)``, exact to rounding in either tail.

        The quantile is the least number of the mixture's type whose cumulative probability reaches the one given, for
        counts the least whole number; that of 0 is the lower end of the support. Differentiable but for counts.

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

    def entropy(self, samples: int = 10_000, generator: Generator | None = None) -> Tensor:
        """Returns a Monte Carlo estimate of the entropy in nats, with shape ``(*B)``; see `entropy_estimate`.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> abs(one.entropy(generator=torch.Generator().manual_seed(0)) - 1.4189) < 0.05
            tensor(True)
        """
        return self.entropy_estimate(samples, generator).value

    def entropy_estimate(self, samples: int = 10_000, generator: Generator | None = None) -> entropy.Entropy:
        """Estimates the entropy in nats by Monte Carlo, with its standard error and closed-form bounds.

        Arguments:
            samples: The number of draws.
            generator: The source of randomness.

        Returns:
            ``value``, ``standard_error``, ``lower`` and ``upper``, each with shape ``(*B)``.

        Example:
            >>> one = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
            >>> one.entropy_estimate().lower
            tensor(1.4189)
        """
        return entropy.entropy(self, samples, generator)

    # -- draws

    def sample(self, sample_shape: Sequence[int] = (), generator: Generator | None = None) -> Tensor:  # type: ignore[override]
        """Draws rows ``(*sample_shape, *B, *event)``: the component first, then only what is used of it.

        Raises:
            MixtureError: If ``sample_shape`` is a number.

        Example:
            >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
            >>> mixture.sample((5,), generator=torch.Generator().manual_seed(0)).shape
            torch.Size([5])
        """
        with torch.no_grad():
            return self.components.draw(self.sample_labels(sample_shape, generator), generator)

    def sample_labels(self, sample_shape: Sequence[int] = (), generator: Generator | None = None) -> Tensor:
        """Draws component indices, with shape ``(*sample_shape, *B)``."""
        return draws.labels(self, sample_shape, generator)

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

    # -- algebra: `mixtura.mixture.algebra`

    marginal = algebra.marginal
    condition = algebra.condition
    conditional_mean = algebra.conditional_mean
    affine = algebra.affine
    convolve = algebra.convolve
    product = algebra.product
    overlap = algebra.overlap
    reduce = algebra.reduce

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
        through = as_one(observation)
        return through.apply(self).named(through.clean_columns(self.columns))

    def posterior(self, observation: Any, y: Any) -> Mixture:
        """Returns the distribution of the clean value given what was recorded of it, for each row of ``y``.

        Arguments:
            observation: One of `mixtura.observation`, or a sequence of them, the one nearest to the draw first.
            y: What was recorded, with shape ``(*S, *B, *event)``, or a table; the result has batch shape ``(*S, *B)``.

        Example:
            >>> clean = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
            >>> clean.posterior(mx.observation.AdditiveNoise(scale=1.0), torch.tensor([0.0, 2.0])).mean
            tensor([0.0360, 2.0000])
        """
        one = as_one(observation)
        return one.posterior(self, recorded_of(self, y, one)).named(self.columns)

    def impute(self, rows: Any, how: imputing.Way | None = None) -> imputing.Imputed:
        """Fills the gaps (NaN) of rows ``(N, D)`` from what else was recorded of them, with uncertainty.

        Arguments:
            rows: The rows, in any form that `fit` takes.
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
        return self._of(function(self.logits), self.components.map(function), self.columns)

    def to(self, *args: Any, **kwargs: Any) -> Mixture:
        """Returns the mixture on another device or in another type, as ``torch.Tensor.to``."""
        return self.map(lambda tensor: tensor.to(*args, **kwargs))

    def detach(self) -> Mixture:
        """Returns the mixture cut from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def batch(self, index: Any) -> Mixture:
        """Returns the entries that ``index`` selects along the first batch dimension."""
        return self._of(self.logits[index], self.components.batch(index), self.columns)

    def reordered(self, order: Tensor) -> Mixture:
        """Returns a batch ``(B,)`` with the components of entry b in the order ``order[b]``, of ``(B, K)``."""
        return self._of(permuted(self.logits, order), self.components.reordered(order), self.columns)

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
        return self._of(self.logits[index], self.components.take(index), self.columns)

    def save(self, path: str | Path) -> None:
        """Writes the mixture, with the names of its columns, to a safetensors file: complete or absent.

        Arguments:
            path: The file; one that exists is replaced.
        """
        saving.save(self, path)

    to_torch = convert.to_torch
    from_torch = classmethod(convert.from_torch)

    # -- inside

    @property
    def _axis(self) -> int:
        return -1 - len(self.event_shape)

    def _spread(self, weights: Tensor) -> Tensor:
        return weights.reshape(weights.shape + (1,) * len(self.event_shape))
