"""`GaussianMixture`: scikit-learn's estimator, learned by Mixtura."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from ..data import TensorRows
from ..mixture import Mixture
from .checks import checked_array, checked_precisions, checked_weights
from .iterated import IteratedGaussian
from .method import ChangeEM

__all__ = ["GaussianMixture"]


class GaussianMixture(IteratedGaussian):
    r"""A Gaussian mixture learned by expectation maximisation, with scikit-learn's parameters and attributes.

    Changing the import from ``sklearn.mixture`` is enough. Beside what scikit-learn has, `fit` takes `sample_weight`
    and `noise_variance`, NaN stands for what was not recorded, `icl` is a criterion, and `mixture_` is the
    `mixtura.Mixture`. From the same `random_state` a fit starts from the same place.

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
        **IteratedGaussian._parameter_constraints,
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
    }

    _finite: ClassVar[bool | str] = "allow-nan"

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

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, noise_variance: Any = None) -> Self:
        """Learns the mixture from rows.

        Arguments:
            X: The rows, with shape ``(N, D)``; NaN where nothing was recorded.
            y: Ignored.
            sample_weight: How much each row counts, with shape ``(N,)``; integer weights count as repeated rows.
            noise_variance: The variances of the errors of X, a number, ``(D,)`` or ``(N, D)``, or whole covariances
                ``(N, D, D)``; the mixture is then that of the rows without errors (extreme deconvolution: Bovy, Hogg
                and Roweis, 2011).

        Raises:
            ValueError: If the data or a parameter cannot be used, or every start collapsed to a point.
        """
        return self._fit(X, sample_weight, noise_variance)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- what EM is to the common part

    def _check(self, x: np.ndarray, weight: np.ndarray | None) -> None:
        self._given(x.shape[1])

    def _method(self, rows: TensorRows, warm: bool) -> ChangeEM:
        before = self.lower_bound_ if warm else -np.inf
        return ChangeEM.of(self.max_iter, self.tol, self.reg_covar, rows.dtype, before)

    def _last(self, rows: TensorRows) -> Mixture:
        return self.mixture_.to(rows.dtype).map(lambda tensor: tensor.unsqueeze(0))

    def _completed(self, start: Mixture) -> Mixture:
        return self._with(start, self._given(start.event_shape[0]))

    @property
    def _complete(self) -> bool:
        return not any(given is None for given in (self.weights_init, self.means_init, self.precisions_init))

    def _lower_bounds(self, trace: list[float], total: float) -> list[float]:
        return trace[:-1]

    def _set(self, state: Mixture) -> None:
        self._set_arrays(state.weights, state.components.gaussian_law)

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
