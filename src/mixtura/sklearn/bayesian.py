"""`BayesianGaussianMixture`: scikit-learn's estimator, learned by Mixtura's variational Bayes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import TensorRows
from ..learning import Posterior
from ..mixture import Mixture, Prior
from ..priors import NormalInverseWishart, NormalInverseWishartPosterior
from ..priors.weights import DirichletPrior, WeightsPrior
from .checks import checked_array
from .iterated import IteratedGaussian
from .method import ChangeVariational
from .sticks import EveryStickBreaking

__all__ = ["BayesianGaussianMixture"]

_PRIORS: dict[str, Callable[[float], WeightsPrior]] = {
    "dirichlet_process": EveryStickBreaking,
    "dirichlet_distribution": DirichletPrior,
}

_CONCENTRATIONS: dict[str, Callable[[Any], Any]] = {
    "dirichlet_process": lambda weights: tuple(counts.numpy() for counts in weights.breaks),
    "dirichlet_distribution": lambda weights: weights.concentration.numpy(),
}


class BayesianGaussianMixture(IteratedGaussian):
    r"""A Gaussian mixture learned by variational Bayes, with scikit-learn's parameters and attributes.

    Changing the import from ``sklearn.mixture`` is enough. With "full" covariances the posterior is scikit-learn's.
    Two things differ on purpose: `lower_bounds_` are the bound on the log-evidence with all its constants, taken after
    each update; and "tied", "diag" and "spherical" covariances have the exact posterior of matrices of their shape
    (scikit-learn puts a full Wishart's constants in the place of theirs, and divides a tied matrix's rows by K).

    Arguments:
        n_components: The number of components K, of which some may stay empty.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: The change of the bound, in nats for all rows together, below which a fit has converged.
        reg_covar: What each update adds to every empirical variance, in squared units of the data.
        max_iter: The largest number of updates; 0 gives the start.
        n_init: The number of starts; the best is kept.
        init_params: "kmeans", "k-means++", "random" or "random_from_data".
        weight_concentration_prior_type: "dirichlet_process" or "dirichlet_distribution".
        weight_concentration_prior: The concentration; 1 / K if none is given.
        mean_precision_prior: The pseudo-rows behind the prior mean; 1 if none is given.
        mean_prior: The prior mean, with shape ``(D,)``; that of the rows if none is given.
        degrees_of_freedom_prior: The degrees of freedom, more than D - 1; D if none are given.
        covariance_prior: The scale of the inverse-Wishart prior: ``(D, D)`` for "full" and "tied", ``(D,)`` for
            "diag", a number for "spherical"; the rows' covariance if none is given.
        random_state: The source of randomness for the start and for `sample`.
        warm_start: Whether a second `fit` goes on where the first ended.
        verbose: 1 prints progress, 2 also times and changes.
        verbose_interval: How many iterations lie between two lines.

    Attributes:
        weights_: The expected weights, with shape ``(K,)``.
        means_: The expected means, with shape ``(K, D)``.
        covariances_: The inverses of the expected precisions, shaped as in `GaussianMixture`.
        precisions_: The expected precisions.
        precisions_cholesky_: Their upper triangular Cholesky factors.
        weight_concentration_: The pseudo-counts of the Dirichlet ``(K,)``, or of the sticks, a pair of ``(K,)``.
        mean_precision_: The pseudo-rows behind each mean, with shape ``(K,)``.
        degrees_of_freedom_: The degrees of freedom, with shape ``(K,)``, or a number for "tied".
        weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_:
            The prior that was used.
        posterior_: The `mixtura.learning.Posterior`.
        converged_, n_iter_, lower_bound_, lower_bounds_: How it went; bounds are in nats for all rows together.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Rows are read as in scikit-learn, under the expected log-weights and log-densities: `score_samples` is below the
    log-density of `mixture_`.

    Raises:
        ValueError: If a parameter or the data cannot be used.

    Example:
        >>> from mixtura.sklearn import BayesianGaussianMixture
        >>> x = mx.datasets.old_faithful().numpy()
        >>> fitted = BayesianGaussianMixture(n_components=4, max_iter=1000, random_state=0).fit(x)
        >>> int((fitted.weights_ > 0.05).sum())
        2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **IteratedGaussian._parameter_constraints,
        "weight_concentration_prior_type": [StrOptions(set(_PRIORS))],
        "weight_concentration_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(Real, 0.0, None, closed="neither")],
    }

    _fewest_rows = 2  # one has no covariance for the prior

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: Any = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # -- what variational Bayes is to the common part

    def _check(self, x: np.ndarray, weight: np.ndarray | None) -> None:
        """Sets the prior that is used."""
        features = x.shape[1]
        self.weight_concentration_prior_ = _or(self.weight_concentration_prior, 1 / self.n_components)
        self.mean_precision_prior_ = _or(self.mean_precision_prior, 1.0)
        self.degrees_of_freedom_prior_ = _or(self.degrees_of_freedom_prior, features)
        if not self.degrees_of_freedom_prior_ > features - 1:
            raise ValueError(
                f"The parameter 'degrees_of_freedom_prior' should be greater than {features - 1}, "
                f"but got {self.degrees_of_freedom_prior_:.3f}."
            )
        if self.mean_prior is None:
            self.mean_prior_ = np.average(x, axis=0, weights=weight)
        else:
            self.mean_prior_ = checked_array(self.mean_prior, (features,), "means").numpy()
        self.covariance_prior_ = self._checked_covariance_prior(x, weight)

    def _checked_covariance_prior(self, x: np.ndarray, weight: np.ndarray | None) -> Any:
        kind, features = self._kind, x.shape[1]
        if self.covariance_prior is None:
            return kind.reduced(torch.from_numpy(_covariance(x, weight))).numpy()[()]
        given = checked_array(self.covariance_prior, kind.shape_of_one(features), f"{kind.name} covariance_prior")
        kind.check(given)
        return given.numpy()[()]

    def _prior(self, rows: TensorRows) -> Prior:
        scale = self._kind.dense(torch.as_tensor(self.covariance_prior_), rows.features).double()
        components = NormalInverseWishart(
            torch.as_tensor(self.mean_prior_).double(),
            self.mean_precision_prior_,
            scale,
            self.degrees_of_freedom_prior_,
        )
        weights = _PRIORS[self.weight_concentration_prior_type](self.weight_concentration_prior_)
        return Prior(weights, components)

    def _method(self, rows: TensorRows, warm: bool) -> ChangeVariational:
        tol = self.tol / rows.total_weight  # theirs is for all rows together
        return ChangeVariational.of(self._prior(rows), self.max_iter, tol, self.reg_covar, rows.dtype, warm)

    def _last(self, rows: TensorRows) -> Posterior:
        return self.posterior_.map(lambda tensor: tensor.unsqueeze(0))

    def _lower_bounds(self, trace: list[float], total: float) -> list[float]:
        return [total * bound for bound in trace[1:]]

    def _set(self, state: Posterior) -> None:
        components = cast(NormalInverseWishartPosterior, state.components)  # the prior's family has this posterior
        self.posterior_ = state
        self._set_arrays(state.weights.mean, components.expected()[0].gaussian_law)
        self.weight_concentration_ = _CONCENTRATIONS[self.weight_concentration_prior_type](state.weights)
        self.mean_precision_ = components.strength.numpy()
        degrees = components.degrees.numpy()
        self.degrees_of_freedom_ = degrees.item() if self._kind.template.tied else degrees

    def _read_under(self) -> Mixture:
        return self.posterior_.expected()


def _covariance(x: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """The covariance of the rows with divisor N - 1, where N is their number or the sum of their weights."""
    row_weight = np.ones(len(x)) if weight is None else weight.astype(np.float64)
    gap = x - np.average(x, axis=0, weights=row_weight)
    total = row_weight.sum()
    return (gap * row_weight[:, None]).T @ gap / (total - 1 if total > 1 else total)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
