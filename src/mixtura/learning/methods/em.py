r"""Expectation maximisation: maximum likelihood, and MAP with conjugate priors.

E-step: :math:`r_{nk} = w_k p_k(x_n) / \sum_l w_l p_l(x_n)`. M-step: :math:`w_k = N_k / \sum_l N_l`, and components
whose expected statistics match the sums. A prior adds its pseudo-sums: a Dirichlet of concentration :math:`\alpha`
makes :math:`w_k \propto N_k + \alpha - 1`. Neither step can lower the (penalised) log-likelihood (Dempster, Laird and
Rubin, 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from ...components import Component, Family, Labels, Statistics
from ...data import Rows
from ...errors import refuse
from ...mixture import Mixture
from ...mixture.prior import Prior, check_prior
from ..expectation.labels import soft
from ..loop.leaps import gathered
from ..loop.method import Method
from ..loop.traces import Report, Run, State, small_change
from ..search.small_flight import leap
from .freeze import Freeze

__all__ = ["EM", "check_limits", "check_weights"]

_FLAT = Prior()  # under which the most probable value is the most likely one


@dataclass(frozen=True)
class EM(Method):
    """Expectation maximisation.

    Arguments:
        max_iterations: The largest number of updates, at least 1.
        tolerance: The gain still to come, in nats per row, below which a fit has converged; 0 runs all iterations.
        prior: A conjugate prior, which turns maximum likelihood into MAP; none by default.
        acceleration: Whether to extrapolate from updates already made, which never lowers the objective. So it is with
            `Variational`, `SplitMergeEM`, frozen parameters and the last part of `StochasticEM`. Plain are the updates
            of `KMeans`, which end after finitely many, of `AnnealedEM` with a power that changes, of draws, and those
            under a `Ridge`, which may lower the objective.
        frozen: What stays as in the start; ``freeze=`` of `fit` sets it.

    Example:
        >>> fit = mx.fit(mx.datasets.old_faithful(), components=2, method=mx.EM(tolerance=1e-6))
        >>> fit.reason
        <Reason.CONVERGED: "The objective's remaining gain is below the tolerance.">
    """

    max_iterations: int = 1000
    tolerance: float = 1e-7
    prior: Prior | None = None
    acceleration: bool = field(default=True, kw_only=True)
    frozen: Freeze | None = field(default=None, kw_only=True)

    observes = True

    def __post_init__(self) -> None:
        check_limits(self.max_iterations, self.tolerance)
        check_prior(self.prior)
        if self.prior is not None and not self.prior.has_mode:
            expected = "a number of at least 1 (else a MAP estimate does not exist)"
            refuse("concentration", expected, self.prior.concentration, "Variational and Gibbs take any.")

    @property
    def labels(self) -> Labels:
        return soft

    @property
    def monotone(self) -> bool:  # type: ignore[override]
        return self.prior is None or self.prior.monotone

    @property
    def accelerated(self) -> bool:  # type: ignore[override]
        return self.acceleration and self.monotone

    @property
    def steep(self) -> bool:  # type: ignore[override]
        return self.accelerated and type(self) in _PLAIN and self.frozen is None

    @property
    def sought(self) -> Prior:
        return self.prior or _FLAT

    @property
    def alone(self) -> bool:  # type: ignore[override]
        return type(self) in _PLAIN and self.prior is None and self.frozen is None

    def leap(self, rows: Rows, start: Mixture, floor: Tensor, report: Report | None) -> list[Run] | None:
        return leap(self, rows, start, floor, report) if self.alone else None

    def gathered(self, rows: Rows, state: Mixture) -> Rows:
        often = state.components.support.is_discrete or not rows.observation.exact  # as where records are rounded
        return gathered(rows) if type(self) in _PLAIN and often else rows

    def converged(self, one: Run, rounding: float) -> bool:
        """Judges by the gain still to come; by the last change alone where a ridge may let the objective fall."""
        return super().converged(one, rounding) if self.monotone else small_change(one.trace, self.tolerance)

    def freezing(self, freeze: Freeze) -> EM:
        if freeze.means and self.prior is not None and self.prior.components is not None:
            refuse(
                "freeze", "without means under a prior on the components", freeze, "Give a prior on the weights alone."
            )
        return replace(self, frozen=freeze)

    def begin(self, start: State, rows: Rows) -> State:
        check_weights(self.prior, start.components)
        return super().begin(start, rows)

    def held(self, new: Mixture, old: Mixture) -> Mixture:
        return new if self.frozen is None else self.frozen.kept(new, old)

    def parameters(self, mixture: Mixture) -> int:
        return mixture.parameters - (self.frozen.parameters(mixture) if self.frozen else 0)

    def start(self, family: Family, x: Tensor, r: Tensor) -> Mixture:
        """Under a conjugate prior a start, too, is what the prior makes of rows: few of them may have no density."""
        found = super().start(family, x, r)
        if self.prior is None or self.prior.components is None or not found.components.is_gaussian:
            return found
        self.prior.components.log_prob(found.components)  # refuses components of another family
        sums = Statistics(r.new_zeros(r.shape[1]), r.sum(0).double(), found.components.statistics(x, r.to(x)))
        return Mixture._of(found.logits, found.components.update(sums, self.prior.components))

    def update(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        return self._learned(statistics, mixture, mixture.components.update)

    def cautious(self, statistics: Statistics, mixture: Mixture) -> Mixture:
        return self._learned(statistics, mixture, mixture.components.cautious)

    def _learned(self, statistics: Statistics, mixture: Mixture, update: Callable[..., Component]) -> Mixture:
        if self.frozen is None:
            return self._free(statistics, mixture, update)
        held = self.frozen.held(statistics, mixture.components)
        return self.frozen.kept(self._free(held, mixture, update), mixture)

    def _free(self, statistics: Statistics, mixture: Mixture, update: Callable[..., Component]) -> Mixture:
        logits = self.sought.weights.mode(statistics.weight).to(mixture.dtype)
        return Mixture._of(logits, update(statistics, self.sought.components))

    def objective(self, statistics: Statistics, mixture: Mixture) -> Tensor:
        if self.prior is None:
            return statistics.log_likelihood
        return statistics.log_likelihood + self.prior.log_prob(mixture)


_PLAIN = {EM}  # methods whose update is that of EM, and whose labels are soft


def check_weights(prior: Prior | None, components: Component) -> None:
    """Refuses a prior on weights that hang on columns of a row."""
    if prior is not None and components.gated and not prior.weights.flat:
        advice = "mx.priors.JointPrior((None, mx.priors.NormalCoefficients(2.5))) is one on what they hang on."
        refuse("concentration", "1 where weights hang on columns", prior.concentration, advice)


def check_limits(max_iterations: int, tolerance: float) -> None:
    """Refuses a limit below 1 and a tolerance that is negative or NaN."""
    if not max_iterations >= 1:
        refuse("max_iterations", "at least 1", max_iterations)
    if not tolerance >= 0:
        refuse("tolerance", "at least 0 (nats per row)", tolerance)
