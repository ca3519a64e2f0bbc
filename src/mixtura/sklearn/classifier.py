r"""`MixtureClassifier`: one density per class, and Bayes' rule.

.. math:: P(c | x) = \frac{\pi_c\, p_c(x)}{\sum_{c'} \pi_{c'}\, p_{c'}(x)} .
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from ..errors import refuse
from .checks import checked_rows, checked_rows_and_targets, checked_sample_weight
from .gaussian import GaussianMixture

__all__ = ["MixtureClassifier"]


class MixtureClassifier(ClassifierMixin, BaseEstimator):
    r"""A classifier with one mixture per class (mixture discriminant analysis).

    Arguments:
        estimator: The density of a class: an estimator with `score_samples`, such as any of `mixtura.sklearn`; cloned
            for each class. `GaussianMixture()` if none is given, which is quadratic discriminant analysis.
        priors: The probability of each class, in the order of `classes_`; the shares in the data if none are given.

    Attributes:
        classes_: The classes, sorted.
        priors_: The probability of each class.
        estimators_: The fitted estimator of each class.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Raises:
        ValueError: If the data or a parameter cannot be used.

    Example:
        >>> from mixtura.sklearn import GaussianMixture, MixtureClassifier
        >>> x = [[0.0], [0.2], [5.0], [5.2], [2.0], [2.4]]
        >>> classifier = MixtureClassifier(GaussianMixture(2, reg_covar=0.1, random_state=0))
        >>> classifier.fit(x, ["a", "a", "a", "a", "b", "b"]).predict([[0.1], [2.1], [4.9]])
        array(['a', 'b', 'a'], dtype='<U1')

    Source: Hastie and Tibshirani (1996), Discriminant analysis by Gaussian mixtures.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [None, BaseEstimator],
        "priors": [None, "array-like"],
    }

    def __init__(self, estimator: Any = None, *, priors: Any = None) -> None:
        self.estimator = estimator
        self.priors = priors

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learns one density per class.

        Arguments:
            X: The rows, with shape ``(N, D)``.
            y: The class of each row, with shape ``(N,)``.
            sample_weight: How much each row counts, with shape ``(N,)``; also in the classes' shares.
        """
        self._validate_params()
        x, y = checked_rows_and_targets(self, X, y)
        weight = checked_sample_weight(sample_weight, x)
        counted = np.ones(len(x), dtype=bool) if weight is None else weight > 0
        self.classes_ = unique_labels(y[counted])
        members = [(y == label) & counted for label in self.classes_]
        self.priors_ = self._checked_priors(members, weight)
        self.estimators_ = [self._fitted(x[rows], None if weight is None else weight[rows]) for rows in members]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each row."""
        best = self._log_joint(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class given each row, with shape ``(N, C)``."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Returns the logarithms of `predict_proba`."""
        joint = self._log_joint(X)
        return joint - np.asarray(logsumexp(joint, axis=1, keepdims=True))

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the log-density of each row whatever its class, in nats."""
        return np.asarray(logsumexp(self._log_joint(X), axis=1))

    def _log_joint(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = checked_rows(self, X, reset=False)
        with np.errstate(divide="ignore"):  # a class of prior zero is impossible
            log_priors = np.log(self.priors_)
        return np.stack([one.score_samples(x) for one in self.estimators_], axis=1) + log_priors

    def _fitted(self, x: np.ndarray, weight: np.ndarray | None) -> Any:
        estimator: Any = GaussianMixture() if self.estimator is None else clone(self.estimator)
        return estimator.fit(x) if weight is None else estimator.fit(x, sample_weight=weight)

    def _checked_priors(self, members: list[np.ndarray], weight: np.ndarray | None) -> np.ndarray:
        if self.priors is None:
            share = np.array([rows.sum() if weight is None else weight[rows].sum() for rows in members], dtype=float)
            return share / share.sum()
        priors = np.asarray(self.priors, dtype=float)
        if priors.shape != (len(members),) or not (priors >= 0).all() or not np.isclose(priors.sum(), 1):
            refuse("priors", f"{len(members)} probabilities that sum to one, one per class", priors.tolist())
        return priors
