r"""Components whose weights hang on columns of a row: mixtures of experts, regressions with concomitant variables.

.. math:: p(y | x, z) = \sum_k \pi_k(z)\, p_k(y | x), \qquad \pi(z) = \mathrm{softmax}(a + B (z - c)),

(Dayton and Macready, 1988; Jordan and Jacobs, 1994). A mixture has weights :math:`w_k`, too: the shares of the rows it
was learned from. By Bayes' rule :math:`\pi_k(z)/w_k` is how much likelier covariates z are among the rows of component
k than among all, so component k of a row (z, x, y) is

.. math:: \frac{\pi_k(z)}{w_k}\, p_k(y | x),

its density relative to the law of the covariates, which nobody models. All that is true of mixtures is then true of
these, with responsibilities in :math:`\pi_k(z)\, p_k(y | x)`; the density itself does not hang on the shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ...errors import NotClosedForm, refuse
from ..base import Component, Labels
from ..regression.gate import Gate
from ..statistics import Statistics
from .product import expanded

if TYPE_CHECKING:
    from ..family import Family

__all__ = ["Gated"]

_OF_GATE = 3  # sums that belong to the gate, behind those of the components


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Gated(Component):
    r"""K components of any family, with weights that hang on columns of a row by a multinomial logistic regression.

    Arguments:
        parts: The components, with batch shape ``(*B, K)``.
        intercept: The log-weights where covariates are zero, up to what all have in common, with shape ``(*B, K)``.
        coefficients: The coefficients of the covariates, with shape ``(*B, K, P)``.
        on: The P columns of a row that weights hang on.
        columns: The columns of a row that the components describe, in rising order; the first ones by default. The two
            may share some.

    A fit takes ``family=mx.Gated.template(mx.LinearRegression.template(target="y"), on="z")``: weights that hang on z,
    with any family. Of regressions without ``on``, weights hang on their covariates: a mixture of experts.

    Log-densities are given what weights hang on, in nats. ``mixture.condition(covariates, values)`` is a mixture with
    the weights of each row of values; ``mixture.weights`` are the shares of rows that it was learned from, on which
    nothing else hangs.

    Raises:
        MixtureError: If a shape does not fit, an effect is not finite, or a column has no part.

    Example:
        >>> lines = mx.LinearRegression(torch.tensor([0.0, 1.0]), torch.tensor([[2.0], [-1.0]]), 0.5)
        >>> experts = mx.Gated(lines, torch.zeros(2), torch.tensor([[1.0], [-1.0]]), on=[0])
        >>> mixture = mx.Mixture(torch.ones(2), experts).named(["z", "y"])
        >>> mixture.condition(["z"], [[0.0], [1.0]]).weights
        tensor([[0.5000, 0.5000],
                [0.8808, 0.1192]])
    """

    gated: ClassVar[bool] = True

    parts: Component
    gate: Gate
    on: tuple[int, ...]
    columns: tuple[int, ...]

    def __init__(
        self,
        parts: Component,
        intercept: Tensor,
        coefficients: Tensor,
        on: Sequence[int],
        columns: Sequence[int] | None = None,
    ) -> None:
        own = tuple(range(parts.event_shape.numel())) if columns is None else tuple(columns)
        _check(parts, intercept, coefficients, tuple(on), own)
        effect = torch.cat([intercept.unsqueeze(-1), coefficients], -1)
        effect = effect - effect.mean(-2, keepdim=True)
        share = torch.log_softmax(torch.zeros_like(intercept), -1)
        gate = Gate(effect, torch.zeros_like(coefficients[..., :1, :]), share)
        for name, value in (("parts", parts), ("gate", gate), ("on", tuple(on)), ("columns", own)):
            object.__setattr__(self, name, value)

    @classmethod
    def template(cls, family: Any = None, on: Any = None, **settings: Any) -> Family:
        """Returns the family as a fit takes it.

        Arguments:
            family: What components are: a class or a template. Regressions describe all columns unless they name their
                features; other families describe all but those that weights hang on.
            on: The columns that weights hang on, by number or name; of regressions, their covariates by default.

        Example:
            >>> mx.Gated.template(mx.Gaussian, on=["age"]).on
            ('age',)
        """
        return super().template(of=family, on=on, **settings)

    def verify(self) -> None:
        super().verify()
        _check(self.parts, self.gate.effect[..., 0], self.gate.coefficients, self.on, self.columns)

    # -- what it is

    @property
    def batch_shape(self) -> torch.Size:
        return self.parts.batch_shape

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size([len({*self.on, *self.columns})])

    @property
    def parameters(self) -> int:
        return self.parts.parameters + self.gate.slopes

    @property
    def weight_parameters(self) -> int:
        return self.gate.slopes

    @property
    def factors(self) -> tuple[Any, ...]:
        """The components and the gate: what a `JointPrior` has its two parts for."""
        return self.parts, self.gate

    @property
    def support(self) -> Any:
        entries: list[Any] = [constraints.real] * self.event_shape[0]
        own = getattr(self.parts.support, "base_constraint", self.parts.support)
        each = own.cseq if isinstance(own, constraints.stack) else [own] * len(self.columns)
        for column, one in zip(self.columns, each, strict=True):
            entries[column] = one
        return constraints.stack(entries, -1)

    @property
    def remark(self) -> str:
        return self.parts.remark

    @property
    def traits(self) -> Tensor:
        return self.parts.traits

    @property
    def mean(self) -> Tensor:
        self._need("means")

    @property
    def variance(self) -> Tensor:
        self._need("variances")

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        self._need("draws")

    def _need(self, what: str) -> NoReturn:
        raise NotClosedForm(
            f"Gated components have {what} given what their weights hang on only: ask "
            "mixture.condition(columns, values), a mixture with the weights of each row of values."
        )

    # -- weights

    def weighed(self, logits: Tensor) -> tuple[Tensor, Self]:
        gate = self.gate.weighed(logits)
        return logits.detach(), self._replace(gate=gate)

    def weights_at(self, logits: Tensor, x: Tensor) -> Tensor:
        return self.gate.log_weights(x[..., list(self.on)])

    def with_weights_of(self, old: Self) -> Self:
        return self._replace(gate=old.gate)

    # -- density, draws, and what covariates make known

    def log_prob(self, x: Tensor) -> Tensor:
        return self.gate.relative(x[..., list(self.on)]) + self.parts.log_prob(self._own(x))

    def drawn_again(self, x: Tensor, labels: Tensor, generator: Generator | None = None) -> Tensor:
        drawn, out = self.parts.drawn_again(self._own(x), labels, generator), x.clone()
        out[..., list(self.columns)] = drawn if self.parts.event_shape else drawn.unsqueeze(-1)
        return out

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        """Returns the components given columns, and log-weights there, relative to the shares, ``(*S, *B, K)``."""
        known = list(dims)
        if not {*self.on} <= {*known}:
            expected = f"with all columns that weights hang on, {list(self.on)}, among them"
            refuse("dims", expected, known, "What these are like, gated components do not say.")
        evidence = self.gate.relative(values[..., [known.index(one) for one in self.on]])
        given = [one for one in self.columns if one in known]
        if not given:
            return expanded([self.parts], evidence)[0], evidence
        at = values[..., [known.index(one) for one in given]]
        found, density = self.parts.condition([self.columns.index(one) for one in given], at)
        return found, evidence + density

    # -- learning

    bold = True

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """Returns the sums of the components, and behind them those of the gate."""
        return *self.parts.statistics(self._own(x), r), *self.gate.sums(x[..., list(self.on)], r)

    def _expect_block(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        """The same as the composition, with weights worked out once."""
        z, own = x[..., list(self.on)].double(), self._own(x)
        at = self.gate.to(torch.float64).log_weights(self._shared(z))
        joint = logits - self.gate.shared + at.to(x.dtype) + self.parts.log_prob(self.parts._shared(own))
        log_likelihood, r = self._believed(joint, x, weight, labels)
        moments = *self.parts.statistics(own, r), *self.gate.sums(z, r, at)
        return Statistics(log_likelihood, r.sum(0, dtype=torch.float64), moments)

    def settled(self, reduce: Any) -> Self:
        own = self.parts.settled(lambda read: reduce(lambda x, weight: read(self._own(x), weight)))
        return self._replace(parts=own)

    def update(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(attrgetter("update"), statistics, prior)

    def cautious(self, statistics: Statistics, prior: Any = None) -> Self:
        return self._updated(attrgetter("cautious"), statistics, prior)

    def _updated(self, asked: attrgetter[Any], statistics: Statistics, prior: Any) -> Self:
        law, of_gate = (None, None) if prior is None else prior.of_parts(2)
        parts = asked(self.parts)(self._of_parts(statistics), law)
        gate = asked(self.gate)(statistics.moments[-_OF_GATE:], statistics.weight, of_gate)
        return self._replace(parts=parts, gate=gate)

    @property
    def sums_add(self) -> bool:
        return self.parts.sums_add

    def sums_units(self, statistics: Statistics) -> tuple[Tensor, ...]:
        own = self.parts.sums_units(self._of_parts(statistics))
        return *own, *self.gate.units(statistics.moments[-_OF_GATE:], statistics.weight)

    def restated(self, statistics: Statistics, old: Self) -> Statistics:
        own = self.parts.restated(self._of_parts(statistics), old.parts).moments
        return self._sums(statistics, own, self.gate.restated(statistics.moments[-_OF_GATE:], old.gate))

    def broken(self) -> Tensor:
        return self.parts.broken() | self.gate.broken()

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.parts.collapsed(self._own(floor)) | self.gate.broken()

    @property
    def narrows(self) -> bool:  # type: ignore[override]
        return self.parts.narrows

    @property
    def span(self) -> int:
        return self.parts.span

    def thinness(self, weights: Tensor) -> Tensor:
        return self.parts.thinness(weights)

    # -- holding parameters

    @property
    def shares(self) -> bool:
        return self.parts.shares

    def untied(self) -> Self:
        return self._replace(parts=self.parts.untied())

    @property
    def holds_moments(self) -> bool:
        return self.parts.holds_moments

    def holding_means(self, statistics: Statistics) -> Statistics:
        own = self.parts.holding_means(self._of_parts(statistics)).moments
        return self._sums(statistics, own, statistics.moments[-_OF_GATE:])

    def with_moments_of(self, old: Self, means: bool, covariances: bool) -> Self:
        return self._replace(parts=self.parts.with_moments_of(old.parts, means, covariances))

    def with_frozen(self, old: Self, free: Tensor) -> Self:
        return self._replace(parts=self.parts.with_frozen(old.parts, free))

    def held_parameters(self, frozen: Sequence[int], means: bool, covariances: bool) -> int:
        return self.parts.held_parameters(frozen, means, covariances)

    # -- inside

    def _own(self, x: Tensor) -> Tensor:
        """The columns of rows ``(..., D)`` that the components describe; of one, numbers."""
        return x[..., list(self.columns)] if self.parts.event_shape else x[..., self.columns[0]]

    def _of_parts(self, statistics: Statistics) -> Statistics:
        return Statistics(statistics.log_likelihood, statistics.weight, statistics.moments[:-_OF_GATE])

    def _sums(self, statistics: Statistics, own: tuple[Tensor, ...], of_gate: tuple[Tensor, ...]) -> Statistics:
        return Statistics(statistics.log_likelihood, statistics.weight, (*own, *of_gate))


def _check(
    parts: Component, intercept: Tensor, coefficients: Tensor, on: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    if parts.gated:
        refuse("parts", "components that are not gated", parts)
    if len(columns) != parts.event_shape.numel() or list(columns) != sorted({*columns}):
        refuse("columns", f"{parts.event_shape.numel()} of them in rising order, for these components", columns)
    if intercept.shape != parts.batch_shape:
        refuse("intercept", f"of shape {tuple(parts.batch_shape)}", tuple(intercept.shape))
    if coefficients.shape != (*parts.batch_shape, len(on)) or not on:
        expected = f"of shape {(*parts.batch_shape, len(on))}, with a column at least"
        refuse("coefficients", expected, tuple(coefficients.shape))
    if not bool(intercept.isfinite().all() & coefficients.isfinite().all()):
        refuse("coefficients", "finite, as the intercept", "NaN or infinity")
    if len({*on}) < len(on) or {*on, *columns} != {*range(len({*on, *columns}))}:
        refuse("on", "columns without gaps, beside those of the components", (on, columns))
