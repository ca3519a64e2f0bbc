"""Fitted scikit-learn mixtures to and from the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ..components import Full, Gaussian
from ..errors import refuse
from ..mixture import Mixture
from .kinds import KINDS, Kind, kind_of

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

__all__ = ["from_sklearn", "to_sklearn"]


def from_sklearn(estimator: Any) -> Mixture:
    """Returns a fitted ``sklearn.mixture`` estimator as a mixture, in the type of its arrays.

    Arguments:
        estimator: A fitted ``GaussianMixture`` or ``BayesianGaussianMixture``. Of the latter this is the mixture of
            its point estimates `weights_`, `means_` and `covariances_`.

    Raises:
        NotFittedError: If the estimator is not fitted.
        MixtureError: If it has no `covariance_type`.

    Example:
        >>> from mixtura.sklearn import from_sklearn
        >>> from sklearn.mixture import GaussianMixture
        >>> x = mx.datasets.old_faithful().numpy()
        >>> from_sklearn(GaussianMixture(2, random_state=0).fit(x)).components.structure
        Full(tensor(2, 2, 2))
    """
    kind = KINDS.get(getattr(estimator, "covariance_type", ""))
    if kind is None:
        refuse("estimator", "a GaussianMixture or BayesianGaussianMixture", repr(estimator))
    check_is_fitted(estimator, ["weights_", "means_", "precisions_cholesky_"])
    structure = kind.structure(torch.tensor(estimator.precisions_cholesky_))
    return Mixture(torch.tensor(estimator.weights_), Gaussian(torch.tensor(estimator.means_), structure))


def to_sklearn(mixture: Mixture) -> GaussianMixture:
    """Returns a mixture of Gaussians or normals as a fitted ``sklearn.mixture.GaussianMixture``.

    The covariance type is the one of the structure: "full", "tied", "diag" or "spherical", and the nearest type that
    holds it where scikit-learn has no such structure.

    Raises:
        MixtureError: If the components are neither `Gaussian` nor `Normal`, or the mixture is a batch.

    Example:
        >>> from mixtura.sklearn import to_sklearn
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> to_sklearn(mixture).covariances_
        array([1.], dtype=float32)
    """
    from sklearn.mixture import GaussianMixture

    if mixture.batch_shape or not mixture.components.is_gaussian:
        refuse("mixture", "one mixture of Gaussian or Normal components", repr(mixture))
    kind, gaussian = _typed(mixture.components.gaussian_law.detach())
    estimator = GaussianMixture(gaussian.batch_shape[0], covariance_type=kind.name)
    cholesky = kind.precisions_cholesky(gaussian.structure)
    estimator.weights_ = _array(mixture.weights)
    estimator.means_ = _array(gaussian.location)
    estimator.covariances_ = _array(kind.covariances(gaussian.structure))
    estimator.precisions_cholesky_ = _array(cholesky)
    estimator.precisions_ = _array(kind.precisions(cholesky))
    estimator.converged_, estimator.n_iter_ = True, 0
    estimator.lower_bound_, estimator.lower_bounds_ = -np.inf, []
    estimator.n_features_in_ = gaussian.features  # type: ignore[attr-defined]
    return estimator


def _typed(gaussian: Gaussian) -> tuple[Kind, Gaussian]:
    """Finds the covariance type of a structure, unties what has none, and makes the rest matrices."""
    kind = kind_of(gaussian.structure)
    if kind is None and gaussian.structure.tied:
        structure = gaussian.structure.untied(gaussian.batch_shape[0])
        return _typed(gaussian._replace(structure=structure))
    if kind is None:
        structure = Full().with_covariance(gaussian.structure.dense(gaussian.features))
        return KINDS["full"], gaussian._replace(structure=structure)
    return kind, gaussian


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().numpy()
