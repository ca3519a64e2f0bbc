r"""Regressors that answer with a distribution: a mixture of the targets for each row.

.. math:: p(y | x) = \sum_k w_k(x)\, N(y; \mu_k(x), \Sigma_k(x)) .

What is read off it, the mean, quantiles, intervals, draws and densities, is written once, here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..components import Normal
from ..data.arrays import to_tensor
from ..mixture import Mixture
from ..scoring import central_interval, quantiles
from ..scoring.targets import observed_targets
from .base import generator
from .checks import checked_rows, checked_rows_and_numbers, checked_sample_weight

__all__ = ["DistributionRegressor"]

_BLOCK = 2**15  # rows whose mixtures are held at a time where only a number of each is asked for


class DistributionRegressor(RegressorMixin, BaseEstimator):
    """A regressor that foretells a mixture for each row.

    A subclass learns, and says what mixture of the targets a row has.
    """

    _parameter_constraints: dict[str, list[Any]]
    _finite: ClassVar[bool | str] = True  # "allow-nan" where gaps are understood
    random_state: Any

    @abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learns from rows ``(N, D)`` and their targets ``(N,)`` or ``(N, T)``, each counted as its weight says."""

    @abstractmethod
    def _given(self, x: Tensor) -> Mixture:
        """Returns the mixtures of the targets of rows ``(N, D)``: a batch ``(N,)`` of Gaussians on vectors."""

    # -- what is foretold

    def predict_distribution(self, X: Any) -> Mixture:
        """Returns the mixture of the targets of each row: a batch ``(N,)`` of numbers, or of vectors ``(T,)``."""
        return self._foretold(self._reading(X))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the mean of each row's distribution, in the shape of the targets."""
        blocks = self._reading(X).split(_BLOCK)
        return torch.cat([self._mean(rows) for rows in blocks]).numpy()

    def predict_quantile(self, X: Any, quantile: Any = 0.5) -> np.ndarray:
        """Returns quantiles of each row's distribution, of every target by itself.

        Arguments:
            X: The rows, with shape ``(N, D)``.
            quantile: A probability, or Q of them.

        Returns:
            The quantiles, in the shape of the targets; of Q probabilities with a last dimension of Q more.
        """
        asked = np.atleast_1d(np.asarray(quantile, dtype=float)).tolist()
        blocks = self._reading(X).split(_BLOCK)
        found = torch.cat([quantiles(self._foretold(rows), asked).movedim(0, -1) for rows in blocks]).numpy()
        return found if np.ndim(quantile) else found[..., 0]

    def predict_interval(self, X: Any, level: float = 0.9) -> np.ndarray:
        """Returns the ends of intervals with as much probability below as above: the targets' shape, and a last of 2.

        For intervals with a guarantee, give `mixtura.scoring.calibrate` what `predict_distribution` says of rows that
        were held out.
        """
        blocks = self._reading(X).split(_BLOCK)
        return torch.cat([torch.stack(central_interval(self._foretold(rows), level), -1) for rows in blocks]).numpy()

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draws targets for each row: ``(N, n_samples)``, or ``(N, T, n_samples)`` for several targets."""
        source = generator(check_random_state(random_state))
        return self.predict_distribution(X).sample((n_samples,), source).movedim(0, -1).numpy()

    def log_density(self, X: Any, y: Any) -> np.ndarray:
        """Returns the log-density of each row's targets, in nats."""
        rows, found = self._reading(X), []
        targets = torch.as_tensor(np.asarray(y, dtype=float).reshape(len(rows), *self._event))
        for x, one in zip(rows.split(_BLOCK), targets.split(_BLOCK), strict=True):
            mixture = self._foretold(x)
            found.append(mixture.log_prob(observed_targets(mixture, one)))
        return torch.cat(found).numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Returns the mean log-density of the targets, in nats per row: not R², which the mean alone would do for."""
        return float(np.average(self.log_density(X, y), weights=sample_weight))

    # -- inside

    def _learning(self, X: Any, y: Any, sample_weight: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Checks parameters, rows, targets ``(N, T)`` and weights; leaves out rows that count for nothing."""
        self._validate_params()
        x, y = checked_rows_and_numbers(self, X, y, ensure_all_finite=self._finite)
        weight = checked_sample_weight(sample_weight, x)
        self._event = torch.Size(y.shape[1:])
        parts = [x, y.reshape(len(y), -1), *([] if weight is None else [weight])]
        kept = slice(None) if weight is None else weight > 0
        rows, targets, *weights = (to_tensor(part[kept]) for part in parts)
        return rows, targets, weights[0] if weights else None

    def _reading(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return to_tensor(checked_rows(self, X, reset=False, ensure_all_finite=self._finite))

    def _mean(self, x: Tensor) -> Tensor:
        """Returns the mean of the targets of rows ``(N, D)``."""
        return self._foretold(x).mean

    def _foretold(self, x: Tensor) -> Mixture:
        with torch.no_grad():
            found = self._given(x)
        if self._event:
            return found
        return Mixture._of(found.logits, Normal.of(found.components.gaussian_law), found.columns)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._finite == "allow-nan"
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # a log-density is on no scale from 0 to 1
        return tags
