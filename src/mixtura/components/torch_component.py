"""Any ``torch.distributions.Distribution`` whose last batch dimension is K, as a family of components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import (
    Dirichlet,
    Distribution,
    Independent,
    Multinomial,
    OneHotCategorical,
    constraints,
    transform_to,
)
from torch.distributions.utils import lazy_property

from ..errors import NotClosedForm, refuse
from . import gradient_step
from .argument import Argument
from .base import Component
from .family import Family
from .statistics import Statistics

__all__ = ["TorchComponent"]


_SAMPLE, _STEPS = 1000, 15  # rows and steps from which components start
_CAREFUL = 0.2  # the share of a step that is sure to climb
_FARTHEST = 50  # scales from a mean at which a row may lie at first, so that no density is zero


@dataclass(frozen=True, eq=False, repr=False, init=False)
class TorchComponent(Component):
    """K components given by one batched torch distribution.

    Arguments:
        distribution: A distribution with batch shape ``(*B, K)`` and at most one event dimension.

    Raises:
        MixtureError: If the distribution has no batch dimension or more than one event dimension.

    Operations that rebuild the distribution (`to`, `detach`, `batch`, `take`, saving) work for torch's own
    distributions, which are made from their tensors, and for `Independent` ones.

    Example:
        >>> gammas = torch.distributions.Gamma(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
        >>> mx.components.TorchComponent(gammas).mean
        tensor([1., 2.])
    """

    distribution: Distribution

    def __init__(self, distribution: Distribution) -> None:
        if not isinstance(distribution, Distribution) or not distribution.batch_shape:
            refuse(
                "components",
                "a component family, or a torch distribution whose last batch dimension is K",
                distribution,
            )
        if len(distribution.event_shape) > 1:
            refuse("components", "a distribution of numbers or vectors", f"event shape {distribution.event_shape}")
        object.__setattr__(self, "distribution", distribution)

    @property
    def batch_shape(self) -> torch.Size:
        return self.distribution.batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return self.distribution.event_shape

    @property
    def support(self) -> Any:
        return self.distribution.support

    @property
    def parameters(self) -> int:
        """The number of values in the distribution's own parameters, per batch entry."""
        entries = max(1, self.batch_shape[:-1].numel())
        return sum(tensor.numel() for tensor in self.tensors()) // entries

    @property
    def dtype(self) -> torch.dtype:
        return next(t.dtype for t in _stored(self.distribution) if t.is_floating_point())

    @property
    def device(self) -> torch.device:
        return next(_stored(self.distribution)).device

    @property
    def mean(self) -> Tensor:
        return self.distribution.mean

    @property
    def variance(self) -> Tensor:
        return self.distribution.variance

    @property
    def covariance(self) -> Tensor:
        matrix = getattr(self.distribution, "covariance_matrix", None)
        if matrix is not None:
            return matrix
        if not self.event_shape or isinstance(self.distribution, Independent):
            return super().covariance
        if isinstance(self.distribution, (Dirichlet, Multinomial, OneHotCategorical)):
            return _of_shares(self.mean, self.variance)
        raise self._no("covariance matrices")

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density: none outside the support, and NaN of NaN, both of which torch would refuse."""
        axis = x.ndim - len(self.event_shape)
        if not x.numel():  # which torch's own sums over vectors cannot take
            return x.new_empty(torch.broadcast_shapes((*x.shape[:axis], 1), self.batch_shape))
        rows = x.unsqueeze(axis)
        outside, unknown = self._outside(rows), self._unknown(x).unsqueeze(axis)
        bad = outside.unsqueeze(-1) if self.event_shape else outside
        density = self.distribution.log_prob(torch.where(bad, self._possible(rows), rows))
        unknown = unknown.squeeze(-1) if self.event_shape else unknown
        return density.masked_fill(outside, -torch.inf).masked_fill(unknown, torch.nan)

    def _outside(self, rows: Tensor) -> Tensor:
        """Which rows ``(*S, *B, 1, *event)`` lie outside the support of a component, ``(*S, *B, K)`` or 1 for K."""
        inside = self.support.check(rows)
        return ~(inside.all(-1) if inside.ndim == rows.ndim and self.event_shape else inside)

    def _possible(self, rows: Tensor) -> Tensor:
        """Values in the support, which stand for rows outside it while densities are computed."""
        try:
            return transform_to(self.support)(torch.zeros_like(rows))
        except NotImplementedError:  # whole numbers
            return torch.zeros_like(rows) + getattr(self.support, "lower_bound", 0)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws from every component and keeps the chosen: torch's samplers cannot draw from one.

        torch's samplers take no generator; a given one seeds torch's own stream for the length of this call.
        """
        sample = labels.shape[: labels.ndim - len(self.batch_shape) + 1]
        with torch.random.fork_rng(enabled=generator is not None):
            if generator is not None:
                seed = torch.randint(2**62, (), generator=generator, device=generator.device)
                torch.manual_seed(int(seed))
            every = self.distribution.sample(sample)
        index = labels.reshape(labels.shape + (1,) * (1 + len(self.event_shape)))
        index = index.expand(*labels.shape, 1, *self.event_shape)
        return every.gather(labels.ndim, index).squeeze(labels.ndim)

    def cdf(self, x: Tensor) -> Tensor:
        """The cumulative probability: zero below the support and one above it, where torch would refuse."""
        if self.event_shape:
            raise self._no("cumulative probabilities of vectors")
        x = x.unsqueeze(-1)
        low, high = (getattr(self.support, name, None) for name in ("lower_bound", "upper_bound"))
        below = torch.zeros_like(x, dtype=torch.bool) if low is None else x <= low
        above = torch.zeros_like(x, dtype=torch.bool) if high is None else x >= high
        inside = torch.where(below | above | x.isnan(), self.mean.nan_to_num(0.0, 0.0, 0.0).detach(), x)
        try:
            within = torch.where(above, 1.0, self.distribution.cdf(inside))
        except NotImplementedError as error:  # torch's own, which says nothing
            raise NotClosedForm(f"torch has no distribution function of {type(self.distribution).__name__}.") from error
        return torch.where(below, 0.0, within).masked_fill(x.isnan(), torch.nan)

    def tensors(self) -> Iterator[Tensor]:
        """Iterates over the distribution's parameters."""
        yield from _parameters(self.distribution).values()

    # -- learning

    @property
    def remark(self) -> str:
        return "The components were learned by gradient steps, for lack of a closed form."

    @classmethod
    def template(cls, **settings: Any) -> Family:
        """Returns torch's own family as a fit takes it: ``distribution`` is its class, the others its settings.

        Example:
            >>> mx.components.TorchComponent.template(distribution=torch.distributions.Gumbel)
            Template(Gumbel)
        """
        kind = settings.pop("distribution", None)
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            refuse("distribution", "a class of torch distributions", kind)
        return TorchFamily(cls, kind, settings)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of scores, of their squares and of second derivatives; see `gradient_step`."""
        rows = self._shared(x)
        with torch.no_grad():
            return gradient_step.sums(lambda *u: self._at(u).log_prob(rows), self._free(), self.batch_shape, r)

    def update(self, statistics: Statistics, prior: Any = None) -> TorchComponent:
        """Returns the components after one gradient step, which raises the likelihood but does not maximise it."""
        return self._stepped(statistics, prior, 1.0)

    @property
    def bold(self) -> bool:
        return True

    def cautious(self, statistics: Statistics, prior: Any = None) -> TorchComponent:
        return self._stepped(statistics, prior, _CAREFUL)

    def _stepped(self, statistics: Statistics, prior: Any, share: float) -> TorchComponent:
        if prior is not None:
            raise self._no("update under a prior")
        sums = statistics.weight, *statistics.moments
        return self._at(gradient_step.moved(self._free(), self.batch_shape, share, *sums))

    def _free(self) -> list[Tensor]:
        """The parameters, unconstrained."""
        return [transform.inv(value) for transform, value in self._transforms()]

    def _at(self, free: Sequence[Tensor]) -> TorchComponent:
        moved = iter(transform(one) for (transform, _), one in zip(self._transforms(), free, strict=True))
        return self._of(distribution=_rebuilt(self.distribution, lambda _: next(moved)))

    def _transforms(self) -> Iterator[tuple[Any, Tensor]]:
        inner = self.distribution
        while isinstance(inner, Independent):
            inner = inner.base_dist
        for name, value in _parameters(self.distribution).items():
            yield transform_to(inner.arg_constraints[name]), value

    def _take(self, axis: int, index: Any, size: int) -> TorchComponent:
        at = (slice(None),) * axis + (index,)
        return self.map(lambda tensor: tensor[at])

    def map(self, function: Callable[[Tensor], Tensor]) -> TorchComponent:
        """Rebuilds the distribution from its parameters, each passed through ``function``.

        Raises:
            NotClosedForm: If the distribution is not made from tensors, such as a ``TransformedDistribution``.
        """
        return TorchComponent(_rebuilt(self.distribution, function))


@dataclass(frozen=True, eq=False, repr=False)
class TorchFamily(Family):
    """A family of torch's own: the class of its distributions, and how to make one from parameters."""

    distribution: type[Distribution]
    settled: dict[str, Any]

    @property
    def title(self) -> str:
        """The name of torch's class."""
        return self.distribution.__name__

    @property
    def domain(self) -> Any:
        """The support, as far as it is known without parameters."""
        support = self.distribution.support
        known = isinstance(support, constraints.Constraint) and not constraints.is_dependent(support)
        return getattr(support, "base_constraint", support) if known else constraints.real

    @property
    def discrete(self) -> bool:
        return bool(getattr(self.distribution.support, "is_discrete", False))

    @property
    def expects(self) -> str:
        return f"in the support of torch's {self.name}"

    def arguments(self, features: int | None) -> dict[str, Argument]:
        kind: Any = self.distribution
        return {name: Argument(kind.arg_constraints[name]) for name in _own(kind)}

    def made(self, values: Mapping[str, Tensor], features: int | None) -> TorchComponent:
        return TorchComponent._of(distribution=self.distribution(**values, **self.settled, validate_args=False))

    def read(self, components: Any) -> dict[str, Tensor]:
        return {name: getattr(components.distribution, name) for name in _own(self.distribution)}

    def outside(self, x: Tensor) -> Tensor:
        inside = self.domain.check(x)
        return ~(inside if inside.shape == x.shape else inside.unsqueeze(-1).expand(x.shape))

    def start(self, x: Tensor, r: Tensor) -> TorchComponent:
        """Returns components after some steps from means and scales of the rows, where parameters have such names."""
        stride = max(1, len(x) // _SAMPLE)
        x, r = x[::stride], r[::stride]
        weight = r.sum(0)
        r = 0.9 * r + 0.1 * r.sum(-1, keepdim=True) * (weight / weight.sum(-1, keepdim=True)).clamp_min(1e-3)
        first = _first_guess(self.distribution, x, r)
        components = TorchComponent(self.distribution(**first, **self.settled, validate_args=False))
        for _ in range(_STEPS):
            sums = components.statistics(x, r)
            moved = components.update(Statistics(weight.sum(-1), r.sum(0).double(), sums))
            components = moved.where(~moved.broken(), components)  # what collapses does so in the loop, which tells
        return components


def _own(kind: Any) -> list[str]:
    """The parameters of a class of torch's that are free, by name; logits stand for probabilities."""
    return [name for name in kind.arg_constraints if name not in ("logits", "total_count")]


def _first_guess(kind: Any, x: Tensor, r: Tensor) -> dict[str, Tensor]:
    """Parameters of a torch family for numbers ``(N,)``: the mean for a loc, the spread for a scale, else neutral."""
    if x.ndim > 1:
        refuse("x", "one column of numbers, for torch's own families", f"rows of shape {tuple(x.shape[1:])}")
    base = kind
    weight = r.sum(0)
    rows = x.reshape(-1, *(1,) * (r.ndim - 1))
    mean = (r * rows).sum(0) / weight
    spread = ((r * (rows - mean).square()).sum(0) / weight).sqrt()
    spread = torch.maximum(spread, (rows - mean).abs().amax(0) / _FARTHEST)
    known = {"loc": mean, "scale": spread}
    names = _own(base)
    neutral = {name: transform_to(base.arg_constraints[name])(torch.zeros_like(mean)) for name in names}
    real = base.support is constraints.real
    return {name: known[name] if real and name in known else neutral[name] for name in names}


def _of_shares(mean: Tensor, variance: Tensor) -> Tensor:
    """The covariance of shares of a whole T with means m: c (diag(m T) - m m'), and c is known from a variance."""
    whole = mean.sum(-1, keepdim=True)
    matrix = torch.diag_embed(mean * whole) - mean.unsqueeze(-1) * mean.unsqueeze(-2)
    first = variance[..., :1] / matrix.diagonal(dim1=-2, dim2=-1)[..., :1]
    return first.unsqueeze(-1) * matrix


def _rebuilt(distribution: Distribution, function: Callable[[Tensor], Tensor]) -> Distribution:
    if isinstance(distribution, Independent):
        base = _rebuilt(distribution.base_dist, function)
        return Independent(base, distribution.reinterpreted_batch_ndims, validate_args=False)
    changed = {name: function(value) for name, value in _parameters(distribution).items()}
    if not changed:
        raise NotClosedForm(f"A {type(distribution).__name__} distribution cannot be rebuilt from its tensors.")
    return type(distribution)(**changed, **_settings(distribution), validate_args=False)  # a collapse is NaN


def _parameters(distribution: Distribution) -> dict[str, Tensor]:
    """The tensors from which the distribution was made.

    Those named by its constraints, but of parameters that stand for each other (which torch fills in when they are
    asked for) only the first.
    """
    if isinstance(distribution, Independent):
        return _parameters(distribution.base_dist)
    found: dict[str, Tensor] = {}
    for name in distribution.arg_constraints:
        lazy = isinstance(getattr(type(distribution), name, None), lazy_property)
        value = distribution.__dict__.get(name) if lazy else getattr(distribution, name, None)
        if isinstance(value, Tensor) and not any(name in same and found.keys() & same for same in _SAME):
            found[name] = value
    return found


def _stored(distribution: Distribution) -> Iterator[Tensor]:
    """Every tensor that a distribution holds, itself or in those it is built on."""
    for value in vars(distribution).values():
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Distribution):
            yield from _stored(value)


def _settings(distribution: Distribution) -> dict[str, Any]:
    """What the distribution needs beside its parameters: whole numbers of trials."""
    count = getattr(distribution, "total_count", None)
    return {"total_count": count} if isinstance(count, int) else {}


_SAME = ({"probs", "logits"}, {"covariance_matrix", "precision_matrix", "scale_tril"})
