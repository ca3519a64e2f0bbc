"""What every mixture estimator can do once it has a mixture."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor

from ..data.arrays import to_tensor
from ..mixture import Mixture
from ..observation import Missing
from .checks import checked_rows, checked_sample_weight

__all__ = ["MixtureEstimator", "generator"]


class MixtureEstimator(DensityMixin, BaseEstimator):
    """A scikit-learn estimator of densities that stands on a mixture.

    A subclass fits and says what `mixture_` is; everything else reads that.
    """

    _parameter_constraints: dict[str, list[Any]]
    _fewest_rows: ClassVar[int] = 1
    _finite: ClassVar[bool | str] = True  # "allow-nan" where gaps are
    random_state: Any

    @property
    @abstractmethod
    def mixture_(self) -> Mixture:
        """The fitted `mixtura.Mixture`."""

    @abstractmethod
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learns from rows ``(N, D)``, each counted as often as its weight says."""

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Learns from rows and returns the component of each."""
        return self.fit(X, y, sample_weight).predict(X)

    # -- reading rows

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the log-density of each row, in nats."""
        mixture, x = self._reading(X)
        return mixture.log_prob(x).numpy()

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Returns the mean log-density of the rows, in nats per row."""
        return float(np.average(self.score_samples(X), weights=sample_weight))

    def predict(self, X: Any) -> np.ndarray:
        """Returns the index of the most probable component of each row."""
        mixture, x = self._reading(X)
        return mixture.assign(x).numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each component given each row, with shape ``(N, K)``."""
        mixture, x = self._reading(X)
        return mixture.responsibilities(x).numpy()

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draws rows in double precision and the component of each, ordered by component.

        Raises:
            ValueError: If `n_samples` is below one.
        """
        mixture, random = self._sampling(n_samples)
        source = generator(random)
        labels = mixture.sample_labels((n_samples,), source).sort().values
        return mixture.components.draw(labels, source).numpy(), labels.numpy()

    # -- criteria

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Returns Akaike's criterion on the rows; lower is better."""
        total = _total(X, sample_weight)
        return 2 * self._n_parameters() - 2 * total * self.score(X, sample_weight=sample_weight)

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Returns the Bayesian information criterion on the rows; lower is better."""
        total = _total(X, sample_weight)
        return self._n_parameters() * math.log(total) - 2 * total * self.score(X, sample_weight=sample_weight)

    def icl(self, X: Any, sample_weight: Any = None) -> float:
        """Returns the integrated completed likelihood on the rows; lower is better (Biernacki et al., 2000)."""
        certainty = np.log(self.predict_proba(X).max(axis=1))
        return self.bic(X, sample_weight) - 2 * _total(X, sample_weight) * float(
            np.average(certainty, weights=sample_weight)
        )

    def _n_parameters(self) -> int:
        return self.mixture_.parameters

    # -- inside

    def _learning(self, X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Checks parameters, rows and weights; leaves out rows that count for nothing."""
        self._validate_params()
        x = checked_rows(self, X, ensure_min_samples=self._fewest_rows, ensure_all_finite=self._finite)
        weight = checked_sample_weight(sample_weight, x)
        if weight is None or (weight > 0).all():
            return x, weight
        return x[weight > 0], weight[weight > 0]

    def _sampling(self, n_samples: int) -> tuple[Mixture, np.random.RandomState]:
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples}. Sampling needs at least one sample.")
        return self.mixture_.to(torch.float64), check_random_state(self.random_state)

    def _reading(self, X: Any) -> tuple[Mixture, Tensor]:
        """Returns the mixture under which rows are read, and the rows, in one floating point type."""
        check_is_fitted(self)
        x = to_tensor(checked_rows(self, X, reset=False, ensure_all_finite=self._finite))
        mixture = self._read_under()
        if bool(x.isnan().any()):
            mixture = mixture.observed(Missing())
        dtype = torch.promote_types(x.dtype, mixture.dtype)
        return mixture.to(dtype), x.to(dtype)

    def _read_under(self) -> Mixture:
        return self.mixture_


def generator(random: np.random.RandomState) -> Generator:
    """Returns a torch generator seeded by the next draw of a NumPy one."""
    return Generator().manual_seed(int(random.randint(2**31 - 1)))


def _total(X: Any, sample_weight: Any) -> float:
    return float(len(X) if sample_weight is None else np.sum(sample_weight))
