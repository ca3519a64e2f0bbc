r"""Regressions as components: the law of one column of a row, the target, given the others, the covariates.

Of a row :math:`(z, y)` component k knows :math:`p_k(y | z)`, through a linear predictor about a centre c,

.. math:: \eta_k = a_k + b_k \cdot (z - c), \qquad \log p_k(y | z) = f(y; \eta_k, \dots),

and a mixture of such components is a mixture of regressions, :math:`\sum_k w_k\, p_k(y | z)`, whose log-density is that
of the target alone. What the covariates are like it does not say: draws and moments need them given, and
``mixture.condition(covariates, values)`` returns a mixture on numbers for each row of them.

The centre spares digits and says nothing: predictors about one centre are predictors about any other. With the design
:math:`u = (1, z - c)` and effects :math:`\beta = (a, b)`, :math:`\eta = u \cdot \beta`, moving the centre by g is the
linear map :math:`u \to A u` with :math:`A = \begin{pmatrix} 1 & 0 \\ -g & I \end{pmatrix}`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

import torch
from torch import Generator, Tensor
from torch.distributions import constraints

from ...errors import NotClosedForm, refuse
from ...kernels.regressions import Given, RegressionLaw, RegressionSums, regression_sums, serves_regressions
from ..base import Component, Labels
from ..exponential_family import _pair
from ..statistics import Statistics

__all__ = ["Regression", "moved"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Regression(Component):
    """K regressions of one column of a row on others, with batch shape ``(*B, K)``."""

    response: ClassVar[Any] = constraints.real  # where the target may lie

    effect: Tensor
    centre: Tensor
    target: int
    constant: bool

    def _seal(self, intercept: Tensor | None, coefficients: Tensor, target: int, **more: Any) -> None:
        """Sets all fields from what a user gives: coefficients of the covariates as they are."""
        _check(intercept, coefficients)
        effect = coefficients if intercept is None else torch.cat([intercept.unsqueeze(-1), coefficients], -1)
        fields = {"effect": effect, "centre": torch.zeros_like(coefficients), "constant": intercept is not None, **more}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if not -self.width <= target < self.width:
            refuse("target", f"a column between 0 and {self.width - 1}", target)
        object.__setattr__(self, "target", target % self.width)

    # -- what it is

    @property
    def batch_shape(self) -> torch.Size:
        return self.effect.shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size([self.width])

    @property
    def width(self) -> int:
        """The number of columns of a row: the covariates, the target, and what else has a part."""
        return self.centre.shape[-1] + 1

    @property
    def apart(self) -> tuple[int, ...]:
        """The columns that are no covariates."""
        return (self.target,)

    @property
    def covariates(self) -> list[int]:
        """The columns of the covariates, in the order of their coefficients."""
        return [column for column in range(self.width) if column not in self.apart]

    @property
    def parameters(self) -> int:
        return self.batch_shape[-1] * self.effect.shape[-1]

    @property
    def support(self) -> Any:
        entries: list[Any] = [constraints.real] * self.width
        entries[self.target] = self.response
        return constraints.stack(entries, -1)

    @property
    def coefficients(self) -> Tensor:
        """The coefficients of the covariates, with shape ``(*B, K, P)``."""
        return self.effect[..., 1:] if self.constant else self.effect

    @property
    def intercept(self) -> Tensor:
        """The predictor where all covariates are zero, with shape ``(*B, K)``; zeros where there is none."""
        return self._level(torch.zeros_like(self.centre[..., 0, :]))

    @property
    def traits(self) -> Tensor:
        """What components are told apart by: their effects."""
        return self.effect

    # -- density, and what needs covariates

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_prob_at(x, self.predictor(x))

    def log_prob_at(self, x: Tensor, predictor: Tensor) -> Tensor:
        """Returns log p(y|z) of rows ``(*S, *B, D)`` at predictors that are known, ``(*S, *B, K)``."""
        y = x[..., self.target]
        bad = ~self.inside(x) & ~x.isnan().any(-1)
        density = self.density(x, torch.where(bad, 0, y), predictor)
        return density.masked_fill(bad.unsqueeze(-1), -torch.inf)

    def inside(self, x: Tensor) -> Tensor:
        """Tells for which rows ``(*S, *B, D)`` the target is in the support."""
        return self.response.check(x[..., self.target])

    @abstractmethod
    def density(self, x: Tensor, y: Tensor, predictor: Tensor) -> Tensor:
        """Returns log p(y|z) of targets ``(*S, *B)`` in the support, ``(*S, *B, K)``; x are the rows they are of."""

    @abstractmethod
    def law(self, x: Tensor, predictor: Tensor) -> Component:
        """Returns the law of the target at predictors ``(*S, *B, K)``: plain components of that batch shape."""

    def predictor(self, x: Tensor) -> Tensor:
        """Returns the linear predictors of rows ``(*S, *B, D)`` under each component, ``(*S, *B, K)``."""
        centre = self.reference
        return self._level(centre) + _pair(self.explaining(x) - centre, self.coefficients)

    def explaining(self, x: Tensor) -> Tensor:
        """Returns the covariates of rows ``(..., D)``, ``(..., P)``."""
        first = self.centre.shape[-1]
        return x[..., :first] if min(self.apart) == first else x[..., self.covariates]

    @property
    def reference(self) -> Tensor:
        """One of the centres, ``(P,)``: in a fit they are all the same."""
        return self.centre.reshape(-1, self.centre.shape[-1])[0]

    def _level(self, at: Tensor) -> Tensor:
        """The predictor at a point ``(P,)``, or at points ``(*B, P)``: ``(*B, K)``."""
        gap = at.unsqueeze(-2) - self.centre
        slope = (self.coefficients * gap).sum(-1)
        return self.effect[..., 0] + slope if self.constant else slope

    def condition(self, dims: Sequence[int], values: Tensor) -> tuple[Component, Tensor]:
        """Returns the law of the target given all covariates; they say nothing of the component."""
        known = list(dims)
        if sorted([*known, self.target]) != list(range(self.width)):
            expected = f"all columns but the target, {self.target}, of a regression"
            refuse("dims", expected, known, "What covariates are like, a regression does not say.")
        x = values.new_zeros(*values.shape[:-1], self.width)
        x[..., known] = values
        predictor = self.predictor(x)
        return self.law(x, predictor), torch.zeros_like(predictor)

    def draw(self, labels: Tensor, generator: Generator | None = None) -> Tensor:
        self._need("draws")

    def drawn_again(self, x: Tensor, labels: Tensor, generator: Generator | None = None) -> Tensor:
        """Returns rows ``(N, D)`` with targets drawn from the component that each label names, at their covariates."""
        drawn = self.law(x, self.predictor(x)).draw(labels, generator)
        return self.with_targets(x, drawn.unsqueeze(-1))

    def with_targets(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns rows ``(N, D)`` with other targets, ``(N, 1)``."""
        return x.index_copy(-1, torch.tensor([self.target], device=x.device), y.to(x))

    @property
    def mean(self) -> Tensor:
        self._need("means")

    @property
    def variance(self) -> Tensor:
        self._need("variances")

    def _need(self, what: str) -> NoReturn:
        raise NotClosedForm(
            f"{type(self).__name__} components have {what} given covariates only: ask "
            "mixture.condition(covariates, values), a mixture on the target."
        )

    def broken(self) -> Tensor:
        return ~self.effect.isfinite().all(-1)

    def collapsed(self, floor: Tensor) -> Tensor:
        return self.broken()

    def started(self, effect: Tensor, left: Tensor) -> Self:
        """Returns components of these effects; ``left``, ``(*B, K)``, is the mean square that they leave of targets."""
        return self._replace(effect=effect)

    # -- sums over rows

    def expect(self, logits: Tensor, x: Tensor, weight: Tensor | None, labels: Labels) -> Statistics:
        """Returns the sums of one block, by a compiled pass where there is one."""
        if self.compiled is None or not serves_regressions(x, labels):
            return super().expect(logits, x, weight, labels)
        found = regression_sums(self.given(self.compiled, logits), x, weight)
        found = RegressionSums(*(one.reshape(self.batch_shape[:-1] + one.shape[1:]) for one in found))
        return Statistics(found.log_likelihood, found.weight, self.moments_of(found))

    def given(self, law: RegressionLaw, logits: Tensor) -> Given:
        """Returns what a compiled pass is to know, about the `reference`; the batch becomes restarts."""
        count, covariates = self.batch_shape[-1], self.covariates
        level, slope = self._level(self.reference), self.coefficients
        flat = slope.reshape(-1, count, len(covariates)), logits.reshape(-1, count)
        return Given(law, covariates, self.target, self.reference, level.reshape(-1, count), *flat, self.constant)

    def moments_of(self, found: RegressionSums) -> tuple[Tensor, ...]:
        """Returns the moments of the family from the sums of a compiled pass."""
        raise NotImplementedError

    def designed(self, x: Tensor) -> Tensor:
        """Returns the design u of rows ``(N, D)`` about the `reference`, ``(N, Q)``, in double precision."""
        columns = self.explaining(x).double().mT - self.reference.double().unsqueeze(-1)
        return (torch.cat([torch.ones_like(columns[:1]), columns]) if self.constant else columns).mT

    def about_centres(self, square: Tensor) -> Tensor:
        """Returns sums of u u', ``(*B, K, Q, Q)``, about each component's own centre."""
        a = self._turn()
        return a @ square @ a.mT

    def pulled(self, pull: Tensor) -> Tensor:
        """Returns sums of u, ``(*B, K, Q)``, about each component's own centre."""
        return (self._turn() @ pull.unsqueeze(-1)).squeeze(-1)

    def _turn(self) -> Tensor:
        return moved(self.centre.double() - self.reference.double(), self.constant)


def moved(gap: Tensor, constant: bool) -> Tensor:
    """Returns the matrices A ``(..., Q, Q)`` that move the centre of a design by gaps ``(..., P)``."""
    size = gap.shape[-1] + constant
    a = torch.eye(size, dtype=gap.dtype, device=gap.device).expand(*gap.shape[:-1], size, size)
    return torch.cat([a[..., :1, :], torch.cat([-gap.unsqueeze(-1), a[..., 1:, 1:]], -1)], -2) if constant else a


def _check(intercept: Tensor | None, coefficients: Tensor) -> None:
    if coefficients.ndim < 2 or not coefficients.shape[-1]:
        expected = "of shape (*B, K, P), with a covariate at least"
        refuse("coefficients", expected, tuple(coefficients.shape), "Without covariates, mx.Normal is the family.")
    if intercept is not None and intercept.shape != coefficients.shape[:-1]:
        refuse("intercept", f"of shape {tuple(coefficients.shape[:-1])}", tuple(intercept.shape))
    if not bool(coefficients.isfinite().all()) or (intercept is not None and not bool(intercept.isfinite().all())):
        refuse("coefficients", "finite, as the intercept", "NaN or infinity")
