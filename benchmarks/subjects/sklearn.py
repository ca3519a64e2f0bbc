"""scikit-learn's GaussianMixture."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

from ..cases import Case, Parameters

_NAMES = {"full": "full", "tied": "tied", "diagonal": "diag", "spherical": "spherical"}
_PRECISIONS: dict[str, Callable[[Any], Any]] = {
    "full": np.linalg.inv,
    "tied": np.linalg.inv,
    "diagonal": np.reciprocal,
    "spherical": np.reciprocal,
}


def em(case: Case) -> Callable[[int], Parameters]:
    start = case.start

    def run(iterations: int) -> Parameters:
        model = GaussianMixture(
            case.components,
            covariance_type=_NAMES[case.structure],
            tol=0,
            reg_covar=0,
            max_iter=iterations,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=_PRECISIONS[case.structure](start.covariances),
        ).fit(case.x)
        return Parameters(model.weights_, model.means_, model.covariances_, case.structure)

    return run


def _model(case: Case) -> GaussianMixture:
    truth, name = case.truth, _NAMES[case.structure]
    model = GaussianMixture(case.components, covariance_type=name)
    model.weights_, model.means_, model.covariances_ = truth.weights, truth.means, truth.covariances
    model.precisions_cholesky_ = _compute_precision_cholesky(truth.covariances, name)
    return model


def log_prob(case: Case) -> Callable[[], Any]:
    model = _model(case)
    return lambda: model.score_samples(case.x)


def sample(case: Case) -> Callable[[], Any]:
    model = _model(case)
    model.weights_ = model.weights_.astype(np.float64) / model.weights_.sum(dtype=np.float64)
    return lambda: model.sample(case.rows)[0]
