r"""`MixtureOutlierDetector`: rows that are less likely than ordinary ones, with a false-alarm rate that is known.

A share of the rows is held out of learning. A new row is flagged where no more than :math:`\lfloor \alpha(n+1) \rfloor`
of the n held-out rows, itself among them, are as unlikely: of ordinary rows at most a share :math:`\alpha` is flagged,
and more than :math:`\alpha - 1/(n+1)`, whatever the density estimate; see `mixtura.scoring.alarm`.
"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from ..scoring import alarm
from .checks import checked_rows
from .gaussian import GaussianMixture

__all__ = ["MixtureOutlierDetector"]


class MixtureOutlierDetector(OutlierMixin, BaseEstimator):
    r"""An outlier detector whose threshold is chosen by a false-alarm rate, not by hand.

    Arguments:
        estimator: The density: an estimator with `score_samples`, such as any of `mixtura.sklearn`; cloned.
            `GaussianMixture()` if none is given.
        false_alarm_rate: The share of ordinary rows that may be flagged, at most.
        calibration: The share of the rows held out of learning, which sets the threshold.
        random_state: The source of randomness for what is held out.

    Attributes:
        estimator_: The fitted density.
        alarm_: The `mixtura.scoring.Alarm`: threshold and p-values.
        offset_: The threshold, in nats.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Raises:
        ValueError: If the data or a parameter cannot be used.

    With fewer than ``1 / false_alarm_rate - 1`` rows held out nothing can be flagged, which a warning says.

    Example:
        >>> from mixtura.sklearn import GaussianMixture, MixtureOutlierDetector
        >>> x = mx.datasets.old_faithful().numpy()
        >>> detector = MixtureOutlierDetector(GaussianMixture(2), false_alarm_rate=0.05, random_state=0).fit(x)
        >>> detector.predict([[3.6, 79.0], [1.8, 95.0]])
        array([ 1, -1])

    Source: Bates, Candès, Lei, Romano and Sesia (2023), Testing for outliers with conformal p-values.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [None, BaseEstimator],
        "false_alarm_rate": [Interval(Real, 0.0, 1.0, closed="neither")],
        "calibration": [Interval(Real, 0.0, 1.0, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        false_alarm_rate: float = 0.05,
        calibration: float = 0.3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.false_alarm_rate = false_alarm_rate
        self.calibration = calibration
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns the density from most of the rows ``(N, D)``, and the threshold from the others."""
        self._validate_params()
        x = checked_rows(self, X, ensure_min_samples=3)
        order = check_random_state(self.random_state).permutation(len(x))
        held = min(max(round(self.calibration * len(x)), 1), len(x) - 2)
        estimator: Any = GaussianMixture() if self.estimator is None else clone(self.estimator)
        self.estimator_ = estimator.fit(x[order[held:]])
        scores = self.estimator_.score_samples(x[order[:held]])
        self.alarm_ = alarm(torch.as_tensor(scores), self.false_alarm_rate)
        self.offset_ = self.alarm_.threshold
        if self.offset_ == -np.inf:
            warnings.warn(
                f"No row can be flagged: {held} rows held out are too few for a false-alarm rate of "
                f"{self.false_alarm_rate:g}. Take a higher rate, or give more rows.",
                UserWarning,
                stacklevel=2,
            )
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the log-density of each row, in nats."""
        check_is_fitted(self)
        return self.estimator_.score_samples(checked_rows(self, X, reset=False))

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns the log-density above the threshold, in nats; negative for outliers."""
        above = self.score_samples(X) - self.offset_
        return np.where(np.isnan(above), np.inf, above)  # minus infinity is not below itself

    def predict(self, X: Any) -> np.ndarray:
        """Returns -1 for outliers and 1 for ordinary rows."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: Any) -> np.ndarray:
        """Returns the share of ordinary rows that are as unlikely: for an ordinary row uniform, or above it."""
        return self.alarm_.p_value(torch.as_tensor(self.score_samples(X))).numpy()
