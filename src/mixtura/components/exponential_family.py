r"""What all exponential families share: density, expected statistics, update, and conjugate prior.

With natural parameters :math:`\eta`, sufficient statistics T, log-normaliser A and base measure h,

.. math:: \log p(x|\eta) = \langle\eta, T(x)\rangle - A(\eta) + h(x),

the density of N rows under K components is one matrix product of T, (N, P), with the natural parameters, (P, K); the
sums of an E-step are another, of the responsibilities with T; and the M-step matches the mean parameters,

.. math:: \nabla A(\eta_k) = \sum_n r_{nk} T(x_n) / \sum_n r_{nk} .

A family's file says what T, h and A are, and which parameters have given mean parameters (Barndorff-Nielsen, 1978).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor
from torch.distributions import transform_to

from ..errors import NotClosedForm
from ..kernels import soft
from ..kernels.laws import Law, Matching
from .base import Component, Labels
from .family import Family
from .statistics import Statistics

__all__ = ["ExponentialFamily", "MatchedMeans"]

_BLEND = 0.05, 0.6  # the share of all rows in first guesses: components apart in the first, nearly alike in the last


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ExponentialFamily(Component):
    """K members of one exponential family; shapes of one row's statistics are ``(*event, *P)``."""

    law: ClassVar[Law | None] = None  # by which compiled M-steps know it; none where they do not

    @property
    def sums_add(self) -> bool:
        return True

    @property
    def log_volume(self) -> Tensor:
        r"""The logarithm of :math:`|d\eta/d\theta|`, ``(*B, K)``: how natural parameters grow with those by name.

        It turns the density of a conjugate prior into one of these. Zero, where they are the same but for signs.
        """
        return torch.zeros(self.batch_shape, dtype=self.dtype, device=self.device)

    @property
    def has_natural(self) -> bool:
        return True

    # -- what a family says of itself

    @abstractmethod
    def sufficient(self, x: Tensor) -> Tensor:
        """Returns T of rows in the support: ``(..., *event)`` to ``(..., *event, *P)``."""

    @property
    @abstractmethod
    def natural(self) -> Tensor:
        r"""The natural parameters :math:`\eta`, with shape ``(*B, K, *event, *P)``."""

    @abstractmethod
    def log_normaliser(self, natural: Tensor) -> Tensor:
        r"""Returns :math:`A(\eta)`, one number per component, or per component and coordinate."""

    @abstractmethod
    def base(self, x: Tensor) -> Tensor:
        """Returns h of rows, with shape ``(..., *event)``, or ``(...)`` already summed over the event."""

    @abstractmethod
    def from_mean(self, mean: Tensor) -> Self:
        """Returns the members with these mean parameters ``(*B, K, *event, *P)``: the M-step."""

    def with_natural(self, natural: Tensor) -> Self:
        """Returns the members with these natural parameters, or with expected ones."""
        raise self._no("expectation under a conjugate prior")

    def at_natural(self, natural: Tensor) -> Self:
        """Returns the members that have these natural parameters."""
        return self.with_natural(natural)

    @property
    def matching(self) -> Matching | None:
        """What a compiled M-step needs to know of the family; none where there is no such step."""
        if self.law is None:
            return None
        return Matching(self.law, 1 if self.law <= Law.BINOMIAL else self.natural.shape[-1])

    # -- and of its conjugate prior, where that has a closed form

    @property
    def has_conjugate_law(self) -> bool:
        """Whether the conjugate prior has a closed-form normaliser."""
        return type(self).prior_log_normaliser is not ExponentialFamily.prior_log_normaliser

    def prior_log_normaliser(self, strength: Tensor, total: Tensor) -> Tensor:
        r"""Returns :math:`\log\int \exp(\langle\tau,\eta\rangle - \nu A(\eta))\,d\eta`, shaped as A.

        Arguments:
            strength: :math:`\nu`, with the shape of A (or broadcasting against it).
            total: :math:`\tau`, with the shape of the natural parameters.
        """
        raise self._no("conjugate law")

    def prior_exists(self, strength: Tensor, total: Tensor) -> Tensor:
        """Tells for each number of the total whether the conjugate law of those parameters is one."""
        return total > 0

    def prior_draw(self, strength: Tensor, total: Tensor, generator: Generator | None) -> Self:
        """Draws members from the conjugate law of those parameters."""
        raise self._no("conjugate law")

    def middling(self) -> Tensor:
        """Returns the statistics ``(*event, *P)`` of a row, or a mean of rows, that lies within the support."""
        inside = torch.full(self.event_shape, self._inside(), dtype=self.dtype, device=self.device)
        return self.sufficient(inside)

    # -- what follows

    def log_prob(self, x: Tensor) -> Tensor:
        outside, exact = ~self.domain.check(x), self.to(torch.float64)  # terms may be far larger than their sum
        rows = torch.where(outside, self._inside(), x.double())
        return self._within(exact._density(rows).to(self.dtype), x, outside)

    def _density(self, x: Tensor) -> Tensor:
        """The log-density of rows in the support; a family on numbers may know a form whose terms do not cancel."""
        statistics, base = self._read(x, x.ndim - len(self.event_shape))
        return _pair(statistics, self._flat_natural()) - self._normaliser() + base.unsqueeze(-1)

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of sufficient statistics, ``(*B, K, *event, *P)``, in double precision.

        What parameters follow from may be a difference of sums, such as a logarithm's mean from the mean's logarithm.
        """
        statistics, _ = self._read(x.double(), 1)
        sums = r.flatten(1).double().mT @ statistics
        return (sums.reshape(*r.shape[1:], *self.sufficient(self._example(x)).shape),)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        if prior is not None:
            return prior.posterior(statistics, self).mode()
        (sums,) = statistics.moments
        return self.from_mean(sums / _column(statistics.weight, sums)).to(self.dtype)

    def _expect_block(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        """The composition of the base class, with the sufficient statistics computed once, in double precision.

        The terms of a log-density may cancel to a thousandth of their size, and all rows share the rounding of A.
        """
        if x.dtype is not torch.float64:
            return self.to(torch.float64)._expect_block(logits.double(), x.double(), weight, labels)
        statistics, base = self._read(x, 1)
        batch = self.batch_shape
        natural = self._flat_natural().reshape(batch.numel(), -1)
        joint = (statistics @ natural.mT).add_(base.unsqueeze(-1)).reshape(len(x), *batch)
        joint = joint.add_(logits - self._normaliser())
        density = torch.logsumexp(joint, -1)
        r = joint.sub_(density.unsqueeze(-1)).exp_() if labels is soft else labels(joint)
        if weight is not None:
            share = weight.to(x.dtype).reshape(-1, *(1,) * len(batch))
            density, r = density * share.squeeze(-1), r * share
        sums = r.flatten(1).mT @ statistics
        moments = sums.double().reshape(self.natural.shape)
        return Statistics(density.sum(0, dtype=torch.float64), r.sum(0, dtype=torch.float64), (moments,))

    def _read(self, x: Tensor, leading: int) -> tuple[Tensor, Tensor]:
        """Returns T ``(..., P)`` and h ``(...)`` of rows with that many dimensions before the event."""
        statistics, base = self.sufficient(x), self.base(x)
        flat = statistics.flatten(leading) if statistics.ndim > leading else statistics.unsqueeze(-1)
        return flat, _total(base, leading)

    def _inside(self) -> float:
        """A value inside the support, which stands for values outside while densities are computed."""
        return 1.0

    def _example(self, x: Tensor) -> Tensor:
        return torch.full_like(x[:1], self._inside()).squeeze(0) if len(x) else x.new_full(x.shape[1:], self._inside())

    def _flat_natural(self) -> Tensor:
        natural, batch = self.natural, len(self.batch_shape)
        return natural.flatten(batch) if natural.ndim > batch else natural.unsqueeze(-1)

    def _normaliser(self) -> Tensor:
        return _total(self.log_normaliser(self.natural), len(self.batch_shape))

    def _no(self, what: str) -> NotClosedForm:
        return NotClosedForm(f"{type(self).__name__} components have no closed-form {what} in Mixtura.")


@dataclass(frozen=True, eq=False, repr=False)
class MatchedMeans(Family, of=[ExponentialFamily]):
    """An exponential family, which starts where expected statistics match those of the rows.

    Arguments:
        kind: The class of components.
        vectors: Whether rows are vectors; they say so themselves.
    """

    vectors: bool = False

    def neutral(self, x: Tensor, batch: tuple[int, ...]) -> Any:
        """Returns some members of the family, ``(*B, K)`` of them, on rows like these.

        Where parameters lie is all that it takes from those of the class, in `arguments`.
        """
        kind: Any = self.kind
        parameters = {name: _middle(where, x, batch) for name, where in kind.arguments.items()}
        return kind(**parameters, **self.settings(), vectors=x.ndim > 1)

    def start(self, x: Tensor, r: Tensor) -> Component:
        """Returns members at blends of each component's mean statistics with those of all rows."""
        neutral = self.neutral(x, tuple(r.shape[1:]))
        (sums,) = neutral.statistics(x, r)
        weight = _column(r.sum(0).double(), sums)
        pooled = sums.sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        blend = _column(torch.linspace(*_BLEND, sums.shape[0], dtype=sums.dtype, device=sums.device), sums)
        mean = torch.where(weight > 0, (1 - blend) * sums / weight + blend * pooled, pooled)
        return neutral.from_mean(mean).to(x.dtype)


def _middle(where: Any, x: Tensor, batch: tuple[int, ...]) -> Tensor:
    """A value that satisfies a constraint, for every component and coordinate."""
    return transform_to(where)(x.new_zeros(*batch, *x.shape[1:]))


def _pair(statistics: Tensor, natural: Tensor) -> Tensor:
    """Inner products of ``(*S, *B, P)`` with ``(*B, K, P)``, as ``(*S, *B, K)``, without copies for every row."""
    batch = natural.ndim - 2
    statistics = statistics.reshape((1,) * (batch + 1 - statistics.ndim) + statistics.shape)
    sample = statistics.shape[: statistics.ndim - batch - 1]
    middle = statistics.shape[len(sample) : -1]
    if batch == 0 or all(size == 1 for size in middle):
        flat = statistics.reshape(-1, statistics.shape[-1]) @ natural.reshape(-1, natural.shape[-1]).mT
        return flat.reshape(*sample, *natural.shape[:-1])
    rows = statistics.reshape(-1, *middle, statistics.shape[-1]).movedim(0, -2)
    return (rows @ natural.mT).movedim(-2, 0).reshape(*sample, *torch.broadcast_shapes(middle, natural.shape[:-2]), -1)


def _total(values: Tensor, leading: int) -> Tensor:
    """Sums over every dimension behind the leading ones."""
    return values.flatten(leading).sum(-1) if values.ndim > leading else values


def _column(weight: Tensor, like: Tensor) -> Tensor:
    return weight.reshape(weight.shape + (1,) * (like.ndim - weight.ndim))
