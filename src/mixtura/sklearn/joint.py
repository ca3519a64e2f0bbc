r"""`MixtureRegressor`: one mixture of rows and targets together, and its conditional given a row.

.. math:: p(y | x) = \sum_k w_k(x)\, N\big(y; \mu_{y,k} + G_k (x - \mu_{x,k}), \Sigma_{yy,k} - G_k \Sigma_{xy,k}\big),
    \qquad w_k(x) \propto w_k N(x; \mu_{x,k}, \Sigma_{xx,k}),

linear in each component, with weights that say where each of them holds. What is missing of a row is integrated out,
exactly: the conditional given the rest.
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..components import Structure
from ..data import TensorRows
from ..learning import EM, Method, fit
from ..mixture import Mixture, Prior
from ..mixture.rows_with_gaps import given_rows
from ..observation import Missing
from .base import generator
from .regressor import DistributionRegressor

__all__ = ["MixtureRegressor"]


class MixtureRegressor(DistributionRegressor):
    r"""Gaussian mixture regression: a mixture of features and targets, learned by EM, and then conditioned.

    Arguments:
        n_components: The number of components K; with one it is linear regression.
        covariance: The covariance structure of features and targets together, or its name.
        method: How to learn; by default EM under `mixtura.Prior.weak`, which keeps components from collapsing.
            ``mixtura.EM()`` is maximum likelihood: with one component, ordinary least squares.
        restarts: The number of short runs, of which the best go on; 16 if none are given.
        random_state: The source of randomness for the starts.

    Attributes:
        converged_: Whether the best run converged.
        n_iter_: The number of updates of the best run.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Features may be missing (NaN), in `fit` and in all predictions. Several targets have a common distribution. The
    `score` is the mean log-density.

    Raises:
        ValueError: If a parameter or the data cannot be used.

    A run that did not converge gives a ``ConvergenceWarning`` with the reason and what to do.

    Example:
        >>> from mixtura.sklearn import MixtureRegressor
        >>> x = mx.datasets.old_faithful().numpy()
        >>> regressor = MixtureRegressor(2, random_state=0).fit(x[:, :1], x[:, 1])
        >>> regressor.predict([[2.0], [4.5]]).round()
        array([54., 81.])
        >>> regressor.predict_interval([[4.5]], level=0.5).round()
        array([[77., 85.]])

    Source: Ghahramani and Jordan (1994), Supervised learning from incomplete data via an EM approach.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance": [str, Structure],
        "method": [None, Method],
        "restarts": [None, Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    _finite = "allow-nan"

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance: Structure | str = "full",
        method: Method | None = None,
        restarts: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance = covariance
        self.method = method
        self.restarts = restarts
        self.random_state = random_state

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture of the features, in their order, and then the targets."""
        check_is_fitted(self)
        return self._mixture

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learns the mixture from rows and targets.

        Arguments:
            X: The rows, with shape ``(N, D)``; NaN where a feature is missing.
            y: The targets, with shape ``(N,)`` or ``(N, T)``.
            sample_weight: How much each row counts, with shape ``(N,)``; integer weights count as repeated rows.

        Raises:
            ValueError: If the data or a parameter cannot be used.
        """
        x, targets, weight = self._learning(X, y, sample_weight)
        rows = TensorRows(torch.cat([x, targets.to(x)], 1), weight)
        found = fit(
            rows,
            self.n_components,
            self.covariance,
            EM(prior=Prior.weak(rows, self.n_components)) if self.method is None else self.method,
            Missing() if bool(x.isnan().any()) else None,
            restarts=self.restarts,
            generator=generator(check_random_state(self.random_state)),
        )
        self._mixture, self.converged_, self.n_iter_ = found.mixture, found.converged, found.iterations
        if not found.converged:
            warnings.warn(found.advice, ConvergenceWarning, stacklevel=2)
        return self

    def _mean(self, x: Tensor) -> Tensor:
        if bool(x.isnan().any()):
            return super()._mean(x)
        joint, rows = self._alike(x)
        return joint.conditional_mean(range(x.shape[1]), rows).reshape(len(x), *self._event)

    def _given(self, x: Tensor) -> Mixture:
        return given_rows(*self._alike(x))

    def _alike(self, x: Tensor) -> tuple[Mixture, Tensor]:
        """The mixture and rows in the larger of their types."""
        dtype = torch.promote_types(x.dtype, self._mixture.dtype)
        return self._mixture.to(dtype), x.to(dtype)
