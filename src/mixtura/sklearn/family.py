"""Mixtures of any family as estimators: `mixtura.fit` behind scikit-learn's interface."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..components import Bernoulli, Component, Family, Structure, StudentT
from ..data.arrays import to_tensor
from ..learning import Fit, Method, fit
from ..mixture import Mixture
from .base import MixtureEstimator, generator

__all__ = ["BernoulliMixture", "FamilyMixture", "StudentTMixture"]


class FamilyMixture(MixtureEstimator):
    """A mixture of any family of components, learned by any method.

    Arguments:
        n_components: The number of components K.
        family: A class such as `mixtura.Poisson`, a template with settings such as
            ``mixtura.Binomial.template(total_count=10)``, or the name of a class.
        covariance: The covariance structure, or its name, for families that have one.
        method: How to learn, such as ``mixtura.EM(prior=...)``; expectation maximisation if none is given.
        restarts: The number of short runs, of which the best go on; 16 if none are given.
        random_state: The source of randomness for the starts and for `sample`.

    Attributes:
        weights_: The weights, with shape ``(K,)``.
        means_: The components' means, with shape ``(K, D)``.
        converged_: Whether the best run converged.
        n_iter_: The number of updates of the best run.
        lower_bound_: The final objective, in nats per row.
        n_features_in_, feature_names_in_: The columns seen in `fit`.

    Raises:
        ValueError: If a parameter or the data cannot be used.

    A run that did not converge gives a ``ConvergenceWarning`` with the reason and what to do.

    Example:
        >>> from mixtura.sklearn import FamilyMixture
        >>> x = [[0.0], [1.0], [2.0], [1.0], [30.0], [28.0], [33.0], [31.0]]
        >>> labels = FamilyMixture(2, family="Poisson", random_state=0).fit_predict(x)
        >>> (labels == labels[0]).tolist()
        [True, True, True, True, False, False, False, False]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "family": [str, Family, type],
        "covariance": [str, Structure],
        "method": [None, Method],
        "restarts": [None, Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    _fewest_rows = 2
    n_components: int
    method: Method | None
    restarts: int | None
    family: Any = "Gaussian"
    covariance: Any = "full"

    def __init__(
        self,
        n_components: int = 1,
        *,
        family: type[Component] | Family | str = "Gaussian",
        covariance: Structure | str = "full",
        method: Method | None = None,
        restarts: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.family = family
        self.covariance = covariance
        self.method = method
        self.restarts = restarts
        self.random_state = random_state

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture."""
        check_is_fitted(self)
        return self._mixture

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learns the mixture from rows.

        Arguments:
            X: The rows, with shape ``(N, D)``.
            y: Ignored.
            sample_weight: How much each row counts, with shape ``(N,)``; integer weights count as repeated rows.

        Raises:
            ValueError: If the data or a parameter cannot be used.
        """
        x, weight = self._learning(X, sample_weight)
        found = fit(
            self._seen(to_tensor(x)),
            components=self.n_components,
            covariance=self.covariance,
            method=self.method,
            sample_weight=None if weight is None else to_tensor(weight),
            restarts=self.restarts,
            generator=generator(check_random_state(self.random_state)),
            family=self.family,
        )
        self._keep(found)
        if not found.converged:
            warnings.warn(found.advice, ConvergenceWarning, stacklevel=2)
        return self

    def _keep(self, found: Fit) -> None:
        """Sets the fitted attributes."""
        self._mixture = found.mixture
        self.weights_, self.means_ = found.mixture.weights.numpy(), found.mixture.components.mean.numpy()
        self.converged_, self.n_iter_ = found.converged, found.iterations
        self.lower_bound_ = found.trace[-1].item()

    def _reading(self, X: Any) -> tuple[Mixture, Tensor]:
        mixture, x = super()._reading(X)
        return mixture, self._seen(x)

    def _seen(self, x: Tensor) -> Tensor:
        """Returns rows as the family takes them."""
        return x


class StudentTMixture(FamilyMixture):
    """A mixture of multivariate Student-t components, which outliers hardly move.

    Arguments:
        n_components: The number of components K.
        covariance: The structure of the scale matrices, or its name.
        method: How to learn; expectation maximisation if none is given.
        restarts: The number of short runs, of which the best go on; 16 if none are given.
        random_state: The source of randomness for the starts and for `sample`.

    Attributes:
        degrees_of_freedom_: The degrees of freedom of each component, with shape ``(K,)``.
        mixture_, weights_, means_, converged_, n_iter_, lower_bound_: As in `FamilyMixture`.

    Example:
        >>> from mixtura.sklearn import StudentTMixture
        >>> x = mx.datasets.old_faithful().numpy()
        >>> StudentTMixture(2, random_state=0).fit(x).means_.shape
        (2, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        name: allowed for name, allowed in FamilyMixture._parameter_constraints.items() if name != "family"
    }
    family = StudentT

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

    def _keep(self, found: Fit) -> None:
        super()._keep(found)
        self.degrees_of_freedom_ = cast(StudentT, found.mixture.components).dof.numpy()


class BernoulliMixture(FamilyMixture):
    """A mixture of products of Bernoulli laws on zeros and ones: latent class analysis.

    Arguments:
        n_components: The number of components K.
        binarize: The threshold above which a value counts as 1; with none, rows must hold 0 and 1 only.
        method: How to learn; expectation maximisation if none is given.
        restarts: The number of short runs, of which the best go on; 16 if none are given.
        random_state: The source of randomness for the starts and for `sample`.

    Attributes:
        mixture_, weights_, means_, converged_, n_iter_, lower_bound_: As in `FamilyMixture`; the means are the
            probabilities of 1.

    Example:
        >>> from mixtura.sklearn import BernoulliMixture
        >>> x = [[1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]
        >>> labels = BernoulliMixture(2, random_state=0).fit_predict(x)
        >>> (labels == labels[0]).tolist()
        [True, True, True, False, False, False]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "binarize": [None, Interval(Real, None, None, closed="neither")],
        **{name: FamilyMixture._parameter_constraints[name] for name in ("n_components", "method")},
        **{name: FamilyMixture._parameter_constraints[name] for name in ("restarts", "random_state")},
    }
    family = Bernoulli.template(vectors=True)

    def __init__(
        self,
        n_components: int = 1,
        *,
        binarize: float | None = 0.0,
        method: Method | None = None,
        restarts: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.binarize = binarize
        self.method = method
        self.restarts = restarts
        self.random_state = random_state

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.binarize is None else (x > self.binarize).to(x.dtype)
