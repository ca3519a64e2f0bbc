"""`MixtureDensityRegressor`: a network that answers with a mixture for each row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from torch import Generator, Tensor
from torch.utils.data import BatchSampler, DataLoader, TensorDataset, WeightedRandomSampler

from ..components import Structure
from ..conditional import GMM
from ..learning import Reason
from ..mixture import Mixture
from .base import generator
from .regressor import DistributionRegressor

__all__ = ["MixtureDensityRegressor"]

_FAILED = (Reason.DIVERGED, Reason.NOT_FINITE)


class MixtureDensityRegressor(DistributionRegressor):
    r"""A mixture density network: :math:`p(y|x) = \sum_k w_k(x)\, N(y; \mu_k(x), \Sigma_k(x))`, all of it by a network.

    Arguments:
        n_components: The number of components K.
        covariance: "full", "diagonal", "spherical", "lowrank", or a structure; of one target all are the same.
        hidden_features: The layers of the network.
        epochs: The most passes over the rows.
        batch_size: Rows in a step.
        validation: The share of the rows held out, which tells when to stop; 0 for none.
        early_stopping: The epochs without a rise of the held-out log-density after which training ends.
        random_state: The source of randomness: the network's start, what is held out, the order of the rows.

    Attributes:
        module_: The `mixtura.conditional.GMM`.
        trained_: How training went: traces, the reason, and what it reached; a `mixtura.conditional.Trained`.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Rows that count more by ``sample_weight`` are drawn as much more often. Several targets have a common distribution.
    The `score` is the mean log-density.

    Raises:
        ValueError: If a parameter or the data cannot be used.

    Example:
        >>> from mixtura.sklearn import MixtureDensityRegressor
        >>> x = mx.datasets.old_faithful().numpy()
        >>> regressor = MixtureDensityRegressor(2, epochs=3, random_state=0).fit(x[:, :1], x[:, 1])
        >>> regressor.predict_distribution([[2.0], [4.5]]).batch_shape
        torch.Size([2])

    Source: Bishop (1994), Mixture density networks.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance": [str, Structure],
        "hidden_features": ["array-like"],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "validation": [Interval(Real, 0.0, 1.0, closed="left")],
        "early_stopping": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 5,
        *,
        covariance: Structure | str = "full",
        hidden_features: Sequence[int] = (64, 64),
        epochs: int = 200,
        batch_size: int = 256,
        validation: float = 0.1,
        early_stopping: int = 20,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance = covariance
        self.hidden_features = hidden_features
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation = validation
        self.early_stopping = early_stopping
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains the network on rows and targets.

        Arguments:
            X: The rows, with shape ``(N, D)``.
            y: The targets, with shape ``(N,)`` or ``(N, T)``.
            sample_weight: How much each row counts, with shape ``(N,)``.

        Raises:
            ValueError: If the data or a parameter cannot be used.

        Training that diverged gives a ``ConvergenceWarning`` with the reason and what to do.
        """
        x, targets, weight = self._learning(X, y, sample_weight)
        targets, source = targets.to(x), generator(check_random_state(self.random_state))
        self.module_ = self._network(x, targets.shape[1], source)
        data = _split(x, targets, weight, self.validation, self.batch_size, source)
        self.trained_ = self.module_.fit(
            **data,
            epochs=self.epochs,
            batch_size=self.batch_size,
            early_stopping=self.early_stopping,
            generator=source,
        )
        self.module_.eval()
        if self.trained_.reason in _FAILED:
            warnings.warn(self.trained_.advice, ConvergenceWarning, stacklevel=2)
        return self

    def _network(self, x: Tensor, targets: int, source: Generator) -> GMM:
        """The network, whose first numbers torch draws from its own global state: lent, and given back."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31 - 1, (1,), generator=source)))
            hidden = tuple(self.hidden_features)
            module = GMM(targets, x.shape[1], self.n_components, self.covariance, hidden_features=hidden)
        return module.to(x.dtype)

    def _given(self, x: Tensor) -> Mixture:
        return self.module_(x.to(next(self.module_.parameters()).dtype))


def _split(x: Tensor, y: Tensor, weight: Tensor | None, share: float, size: int, source: Generator) -> dict[str, Any]:
    """What to learn from and what to hold out, as `GMM.fit` takes it; rows are drawn by their weights, if they have."""
    held = round(share * len(x))
    held = min(max(held, 1), len(x) - 1) if share and len(x) > 1 else 0
    order = torch.randperm(len(x), generator=source)
    learned, kept = order[held:], order[:held]
    if weight is None:
        return {"x": y[learned], "context": x[learned], "validation": (x[kept], y[kept]) if held else 0}
    drawn = BatchSampler(WeightedRandomSampler(weight[learned].tolist(), len(learned), generator=source), size, False)
    loader = DataLoader(TensorDataset(x[learned], y[learned]), sampler=drawn, batch_size=None)
    again = kept[torch.multinomial(weight[kept], 10 * held, replacement=True, generator=source)] if held else kept
    return {"x": loader, "validation": DataLoader(TensorDataset(x[again], y[again]), size) if held else 0}
