"""`GaussianMixture`: scikit-learn's estimator, learned by Mixtura."""

from __future__ import annotations

import warnings
from functools import reduce
from numbers import Integral, Real
from operator import add
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..components import Gaussian, Statistics
from ..components.pairs import as_gaussian
from ..data import TensorRows
from ..data.arrays import to_tensor
from ..learning import Reason
from ..learning.loop import Run, run
from ..learning.statistics import block_size
from ..mixture import Mixture
from .base import MixtureEstimator
from .checks import checked_array, checked_precisions, checked_weights
from .kinds import KINDS, Kind
from .method import ChangeEM
from .starts import STARTS
from .verbose import Verbose

__all__ = ["GaussianMixture"]

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


class GaussianMixture(MixtureEstimator):
    r"""A Gaussian mixture learned by expectation maximisation, with scikit-learn's parameters and attributes.

    Changing the import from ``sklearn.mixture`` is enough. Beside what scikit-learn has, `fit` takes `sample_weight`,
    `icl` is a criterion, and `mixture_` is the `mixtura.Mixture`. From the same `random_state` a fit starts from the
    same place.

    Arguments:
        n_components: The number of components K.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: The change of the mean log-likelihood, in nats per row, below which a fit has converged.
        reg_covar: What each update adds to every variance, in squared units of the data.
        max_iter: The largest number of updates; 0 gives the start.
        n_init: The number of starts; the best is kept.
        init_params: "kmeans", "k-means++", "random" or "random_from_data".
        weights_init: The weights at the start, with shape ``(K,)``.
        means_init: The means at the start, with shape ``(K, D)``.
        precisions_init: The inverse covariances at the start, in the shape of `covariances_`.
        random_state: The source of randomness for the start and for `sample`.
        warm_start: Whether a second `fit` goes on where the first ended.
        verbose: 1 prints progress, 2 also times and changes.
        verbose_interval: How many iterations lie between two lines.

    Attributes:
        weights_: The weights, with shape ``(K,)``.
        means_: The means, with shape ``(K, D)``.
        covariances_: ``(K, D, D)`` for "full", ``(D, D)`` for "tied", ``(K, D)`` for "diag", ``(K,)`` for "spherical".
        precisions_: Their inverses.
        precisions_cholesky_: The upper triangular Cholesky factors of the precisions.
        converged_: Whether the best start converged.
        n_iter_: The number of updates of the best start.
        lower_bound_: The mean log-likelihood before the last update of the best start, in nats per row.
        lower_bounds_: The same before each update.
        n_features_in_: The number of columns seen in `fit`.
        feature_names_in_: Their names, where they are text.

    Raises:
        ValueError: If a parameter or the data cannot be used, or every start collapsed to a point.

    Every attribute has the type of the data, float32 or float64.

    Example:
        >>> from mixtura.sklearn import GaussianMixture
        >>> x = mx.datasets.old_faithful().numpy()
        >>> GaussianMixture(2, random_state=0).fit(x).means_.round(1)
        array([[ 2. , 54.5],
               [ 4.3, 80. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(KINDS))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(STARTS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

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
        x, weight = self._learning(X, sample_weight)
        if len(x) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = {len(x)}"
            )
        given = self._given(x.shape[1])
        rows = TensorRows(to_tensor(x), None if weight is None else to_tensor(weight))
        warm = self.warm_start and hasattr(self, "converged_")
        method = self._method(rows, self.lower_bound_ if warm else -np.inf)
        starts = [self.mixture_.to(rows.dtype)] if warm else self._starts(rows, x, weight, method, given)
        if self.max_iter:
            best = self._best(method, rows, starts)
            self._keep(best.state, best.trace[:-1], best.reason is Reason.CONVERGED)
        else:
            self._keep(starts[0], [], False)
        return self

    # -- inside

    @property
    def _kind(self) -> Kind:
        return KINDS[self.covariance_type]

    def _method(self, rows: TensorRows, before: float) -> ChangeEM:
        return ChangeEM.of(self.max_iter, self.tol, self.reg_covar, rows.dtype, before)

    def _given(self, features: int) -> dict[str, Tensor]:
        """Checks those of the initial parameters that the user gave."""
        shape = (self.n_components, features)
        given: dict[str, Tensor] = {}
        if self.weights_init is not None:
            given["weights"] = checked_weights(self.weights_init, self.n_components)
        if self.means_init is not None:
            given["means"] = checked_array(self.means_init, shape, "means")
        if self.precisions_init is not None:
            given["precisions"] = checked_precisions(self.precisions_init, self._kind, *shape)
        return given

    def _starts(
        self, rows: TensorRows, x: np.ndarray, weight: np.ndarray | None, method: ChangeEM, given: dict[str, Tensor]
    ) -> list[Mixture]:
        """Returns `n_init` mixtures; where all parameters are given, they are the same."""
        random = check_random_state(self.random_state)
        blank = self._blank(rows)
        if len(given) == 3:
            return [self._with(blank, given).batch(0)] * self.n_init
        drawn = (STARTS[self.init_params](x, weight, self.n_components, random) for _ in range(self.n_init))
        return [self._with(_matched(method, blank, rows, to_tensor(r)), given).batch(0) for r in drawn]

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draws rows in double precision and the component of each, ordered by component.

        Raises:
            ValueError: If `n_samples` is below one.
        """
        mixture, random = self._sampling(n_samples)
        counts = random.multinomial(n_samples, mixture.weights.numpy())
        labels = torch.arange(len(counts)).repeat_interleave(torch.from_numpy(counts))
        components = as_gaussian(mixture.components)
        noise = torch.from_numpy(random.standard_normal((n_samples, components.features)))
        return components.color(labels, noise).numpy(), labels.numpy()

    def _blank(self, rows: TensorRows) -> Mixture:
        """Returns components of unit covariance at the middle of the rows: where moments are taken about."""
        x = rows.tensor()
        middle = x.mean(0).expand(1, self.n_components, -1)
        one = 1 if self._kind.template.tied else self.n_components
        unit = torch.eye(rows.features, dtype=rows.dtype).expand(1, one, -1, -1)
        structure = self._kind.template.with_covariance(unit)
        logits = torch.zeros(1, self.n_components, dtype=rows.dtype)
        return Mixture._of(logits.log_softmax(-1), Gaussian._of(location=middle, structure=structure))

    def _with(self, start: Mixture, given: dict[str, Tensor]) -> Mixture:
        """Puts the given parameters in the place of the guessed ones."""
        gaussian, logits = start.components, start.logits
        changes: dict[str, Any] = {}
        if "weights" in given:
            logits = given["weights"].to(start.dtype).log().log_softmax(-1).unsqueeze(0)
        if "means" in given:
            changes["location"] = given["means"].to(start.dtype).unsqueeze(0)
        if "precisions" in given:
            structure = self._kind.structure(self._kind.cholesky(given["precisions"]))
            changes["structure"] = structure.map(lambda factor: factor.to(start.dtype).unsqueeze(0))
        return Mixture._of(logits, gaussian._replace(**changes))

    def _best(self, method: ChangeEM, rows: TensorRows, starts: list[Mixture]) -> Run:
        """Runs the loop from every start, one after another, and returns the run with the highest lower bound.

        One after another, so that the first of many starts ends bit for bit where it would have ended alone.
        """
        floor = torch.full(rows.event_shape, torch.finfo(rows.dtype).tiny, dtype=rows.dtype)
        runs = []
        for number, start in enumerate(starts):
            report = Verbose.of(self.verbose, self.verbose_interval, number, method.max_iterations)
            if not bool(start.components.collapsed(floor).any()):
                runs += run(method, rows, _batched(start), floor, report)
        if any(one.reason is Reason.INTERRUPTED for one in runs):
            raise KeyboardInterrupt
        if not any(map(_sound, runs)):
            raise ValueError(_ILL_DEFINED + (_FLOAT32 if rows.dtype == torch.float32 else ""))
        return max(filter(_sound, runs), key=lambda one: one.trace[-2])

    def _keep(self, mixture: Mixture, lower_bounds: list[float], converged: bool) -> None:
        """Sets the fitted attributes."""
        kind, components = self._kind, as_gaussian(mixture.components)
        cholesky = kind.precisions_cholesky(components.structure)
        self.weights_ = mixture.weights.numpy()
        self.means_ = components.location.numpy()
        self.covariances_ = kind.covariances(components.structure).numpy()
        self.precisions_cholesky_ = cholesky.numpy()
        self.precisions_ = kind.precisions(cholesky).numpy()
        self.lower_bounds_ = lower_bounds
        self.lower_bound_ = lower_bounds[-1] if lower_bounds else -np.inf
        self.n_iter_ = len(lower_bounds)
        self.converged_ = converged
        if not converged and self.max_iter:
            warnings.warn(_NOT_CONVERGED, ConvergenceWarning, stacklevel=3)


def _matched(method: ChangeEM, blank: Mixture, rows: TensorRows, r: Tensor) -> Mixture:
    """Returns the mixture that one update makes of given responsibilities ``(N, K)``.

    A first update finds the means, and a second takes the moments about them, which loses no digits.
    """
    means = method.update(_sums(blank, rows, r), blank).components.mean
    centred = Mixture._of(blank.logits, blank.components._replace(location=means))
    return method.update(_sums(centred, rows, r), centred)


def _sums(mixture: Mixture, rows: TensorRows, r: Tensor) -> Statistics:
    """Returns the statistics of all rows where the labels rule is given responsibilities."""
    size = block_size(rows)
    shares = r.unsqueeze(1).split(size)  # a batch dimension of one
    return reduce(
        add,
        (
            mixture.components.expect(mixture.logits, x, weight, lambda _, share=share: share)
            for (x, weight), share in zip(rows.blocks(size), shares, strict=True)
        ),
    )


def _sound(one: Run) -> bool:
    return one.reason not in (Reason.COLLAPSED, Reason.NOT_FINITE)


def _batched(mixture: Mixture) -> Mixture:
    return mixture.map(lambda tensor: tensor.unsqueeze(0))
