"""What scikit-learn's two Gaussian estimators share: several starts, a loop from each, the best one kept."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..components import Gaussian, Statistics
from ..data import Block, Rows, TensorRows
from ..data.arrays import to_tensor
from ..learning import Reason
from ..learning.expectation.expect import block_size
from ..learning.loop.run import run
from ..learning.loop.traces import Run, State
from ..mixture import Mixture
from .base import MixtureEstimator
from .kinds import KINDS, Kind
from .method import ChangeEM, ChangeVariational
from .seen import clean_rows, counted, seen_rows
from .starts import STARTS
from .verbose import Verbose

__all__ = ["IteratedGaussian"]

_ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical covariance (for instance "
    "caused by singleton or collapsed samples). Try to decrease the number of components, increase reg_covar, or "
    "scale the input data."
)
_FLOAT32 = " The numerical accuracy can also be improved by passing float64 data instead of float32."
_NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or "
    "check for degenerate data."
)

_Method = ChangeEM | ChangeVariational


class IteratedGaussian(MixtureEstimator):
    """A mixture of Gaussians learned by a method of the one loop, with scikit-learn's conventions."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(KINDS))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(STARTS))],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    warm_start: bool
    verbose: int
    verbose_interval: int

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture, made of `weights_`, `means_` and `precisions_cholesky_`."""
        check_is_fitted(self)
        structure = self._kind.structure(torch.as_tensor(self.precisions_cholesky_))
        components = Gaussian(torch.as_tensor(self.means_), structure)
        return Mixture(torch.as_tensor(self.weights_), components)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learns the mixture from rows.

        Arguments:
            X: The rows, with shape ``(N, D)``.
            y: Ignored.
            sample_weight: How much each row counts, with shape ``(N,)``; integer weights count as repeated rows.

        Raises:
            ValueError: If the data or a parameter cannot be used, or every start collapsed to a point.
        """
        return self._fit(X, sample_weight)

    def _fit(self, X: Any, sample_weight: Any, noise: Any = None) -> Self:
        """Learns from rows, perhaps with errors of known variance, perhaps with gaps."""
        x, weight = self._learning(X, sample_weight)
        if len(x) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {len(x)}"
            )
        self._check(x, weight)
        rows = seen_rows(x, weight, counted(noise, sample_weight), self.n_components)
        clean = clean_rows(rows)
        warm = self.warm_start and hasattr(self, "converged_")
        method = self._method(clean, warm)
        starts = [self._last(clean)] if warm else self._starts(method, clean, clean.tensor().numpy(), weight)
        if self.max_iter:
            self._keep(self._best(method, rows, starts), rows)
        else:
            self._keep(Run(method, starts[0], 0), rows)
        return self

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draws rows in double precision and the component of each, ordered by component.

        Raises:
            ValueError: If `n_samples` is below one.
        """
        mixture, random = self._sampling(n_samples)
        counts = random.multinomial(n_samples, mixture.weights.numpy())
        labels = torch.arange(len(counts)).repeat_interleave(torch.from_numpy(counts))
        components = mixture.components.gaussian_law
        noise = torch.from_numpy(random.standard_normal((n_samples, components.features)))
        return components.color(labels, noise).numpy(), labels.numpy()

    # -- what a subclass says

    @abstractmethod
    def _check(self, x: np.ndarray, weight: np.ndarray | None) -> None:
        """Checks what the user gave beside the rows."""

    @abstractmethod
    def _method(self, rows: TensorRows, warm: bool) -> _Method:
        """Returns the method of learning."""

    @abstractmethod
    def _last(self, rows: TensorRows) -> State:
        """Returns the state, as a batch of one, where the last fit ended."""

    @abstractmethod
    def _lower_bounds(self, trace: list[float], total: float) -> list[float]:
        """Returns one lower bound per update from the objectives per row before each update and at the end."""

    @abstractmethod
    def _set(self, state: State) -> None:
        """Sets the attributes that describe the mixture."""

    def _completed(self, start: State) -> State:
        """Puts what the user gave in the place of the guess."""
        return start

    @property
    def _complete(self) -> bool:
        """Whether the user gave everything, so that there is nothing to guess."""
        return False

    # -- inside

    @property
    def _kind(self) -> Kind:
        return KINDS[self.covariance_type]

    def _starts(self, method: _Method, rows: TensorRows, x: np.ndarray, weight: np.ndarray | None) -> list[State]:
        """Returns `n_init` states, each a batch of one; where everything is given, they are the same."""
        blank = self._blank(rows)
        if self._complete:
            return [self._completed(Mixture._of(_equal(blank), blank))] * self.n_init
        random = check_random_state(self.random_state)
        drawn = (STARTS[self.init_params](x, weight, self.n_components, random) for _ in range(self.n_init))
        return [self._completed(_matched(method, blank, rows, to_tensor(r))) for r in drawn]

    def _blank(self, rows: TensorRows) -> Gaussian:
        """Returns components of unit covariance at the middle of the rows: where moments are first taken about."""
        middle = rows.tensor().mean(0).expand(1, self.n_components, -1)
        one = 1 if self._kind.template.tied else self.n_components
        unit = torch.eye(rows.features, dtype=rows.dtype).expand(1, one, -1, -1)
        return Gaussian._of(location=middle, structure=self._kind.template.with_covariance(unit))

    def _best(self, method: _Method, rows: Rows, starts: list[State]) -> Run:
        """Runs the loop from every start, one after another, and returns the run with the highest lower bound.

        One after another, so that the first of many starts ends bit for bit where it would have ended alone.
        """
        floor = torch.full(rows.event_shape, torch.finfo(rows.dtype).tiny, dtype=rows.dtype)
        runs = []
        for number, start in enumerate(starts):
            report = Verbose.of(self.verbose, self.verbose_interval, number, method.max_iterations)
            if not bool(method.collapsed(start, floor).any()):
                runs += run(method, rows, start, floor, report)
        if any(one.reason is Reason.INTERRUPTED for one in runs):
            raise KeyboardInterrupt
        sound = [one for one in runs if one.reason not in (Reason.COLLAPSED, Reason.NOT_FINITE)]
        if not sound:
            raise ValueError(_ILL_DEFINED + (_FLOAT32 if rows.dtype == torch.float32 else ""))
        return max(sound, key=lambda one: self._lower_bounds(one.trace, 1.0)[-1])

    def _keep(self, best: Run, rows: Rows) -> None:
        """Sets the fitted attributes."""
        self._set(best.state)
        self.lower_bounds_ = self._lower_bounds(best.trace, rows.total_weight)
        self.lower_bound_ = self.lower_bounds_[-1] if self.lower_bounds_ else -np.inf
        self.n_iter_ = len(self.lower_bounds_)
        self.converged_ = best.reason is Reason.CONVERGED
        if not self.converged_ and self.max_iter:
            warnings.warn(_NOT_CONVERGED, ConvergenceWarning, stacklevel=3)

    def _set_arrays(self, weights: Tensor, components: Gaussian) -> None:
        kind, dtype = self._kind, components.dtype
        cholesky = kind.precisions_cholesky(components.structure)
        self.weights_ = weights.to(dtype).numpy()
        self.means_ = components.location.numpy()
        self.covariances_ = kind.covariances(components.structure).numpy()
        self.precisions_cholesky_ = cholesky.numpy()
        self.precisions_ = kind.precisions(cholesky).numpy()


def _matched(method: _Method, blank: Gaussian, rows: TensorRows, r: Tensor) -> State:
    """Returns the state that one update makes of given responsibilities ``(N, K)``.

    A first pass finds the means, and a second takes the moments about them, which loses no digits.
    """
    first = _sums(blank, rows, r)
    step = torch.where(first.weight.unsqueeze(-1) > 0, first.moments[0] / first.weight.unsqueeze(-1), 0)
    centre = blank._replace(location=(blank.location + step).to(rows.dtype))
    return method.first(_sums(centre, rows, r), centre)


def _sums(components: Gaussian, rows: TensorRows, r: Tensor) -> Statistics:
    """Returns the statistics of all rows where the labels rule is given responsibilities."""
    logits = _equal(components)

    def of_block(block: Block) -> Statistics:
        share = r[block.start : block.start + len(block)].unsqueeze(1)  # a batch dimension of one
        return components.expect(logits, block.x, block.weight, lambda _: share)

    return rows.reduce(of_block, block_size(rows))


def _equal(components: Gaussian) -> Tensor:
    return torch.zeros(components.batch_shape, dtype=components.dtype).log_softmax(-1)
