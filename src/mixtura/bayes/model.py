r"""Bayesian mixtures with the labels summed out.

.. math:: \pi \sim p(\pi), \qquad \theta_k \sim p(\theta), \qquad x_n \sim \sum_k \pi_k\, p(x | \theta_k) .

A model is what is believed before any row is seen. `Model.posterior` joins it with rows to a density of real numbers,
from which all else follows: draws, approximations, the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Generator

from ..errors import refuse
from ..priors import ComponentsPrior
from .approximations import ADVI, Laplace, Maximum, Pathfinder, advi, laplace, maximum, pathfinder
from .approximations.ranks import Rank
from .binding import bound
from .draws.sampling import sampled
from .evidence import Evidence, by_nuts, evidence
from .posterior import Posterior

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["Model"]


@dataclass(frozen=True, eq=False)
class Model:
    r"""A mixture whose weights and parameters have priors.

    Arguments:
        components: The number of components K.
        family: A class such as ``mx.Normal`` or ``mx.Poisson``, a template, a class of torch distributions, or a
            density written by hand (`Density`). Gaussians by default: normal laws of numbers.
        weights: The prior of the weights: a torch ``Dirichlet``, `mx.priors.DirichletPrior` or
            `mx.priors.StickBreaking`.
        priors: The prior of each parameter, by the name that the family gives it (``loc``, ``scale``, ``mean``,
            ``rate``, ...): a torch distribution, or `Hierarchical`. It follows torch's broadcasting against
            ``(K, ...)``. What is left out gets a weak one, scaled to the data; ``print(model.posterior(x))`` shows all.
            Or one of Mixtura's conjugate priors on all of them at once, such as `NormalInverseWishart`.
        fixed: Parameters that are held, by name, at a number or at ``(K, ...)`` of them.
        ordered: The parameter that ascends over components: a name, or a name and a coordinate. It costs nothing where
            components are apart. Draws of a model without it may be sorted afterwards, which is as exact where priors
            and potentials treat components alike.
        min_weight: The least weight of a component; the prior is cut off there.
        potentials: Functions of parameters by name, of one draw, to a log-density: ``lambda loc: -loc.abs().sum()``.
        observation: What stands between a draw and what is recorded, one of `mixtura.observation` or a sequence.
        slopes: Parameters, or ``weights``, that covariates move, each with the prior of its slopes, or none for a
            weak one.

    Raises:
        MixtureError: If an argument cannot be used. What depends on the rows is said by `posterior`.

    Example:
        >>> from torch.distributions import Dirichlet, Normal
        >>> model = mx.bayes.Model(
        ...     3, mx.Normal, weights=Dirichlet(torch.full((3,), 10.0)), priors={"loc": Normal(0.0, 10.0)},
        ...     fixed={"scale": 1.0}, ordered="loc",
        ... )
        >>> print(model.posterior(torch.tensor([-2.0, -1.5, 0.5, 2.0, 2.5])))
        weights ~ Dirichlet(concentration=10)
        loc ~ Normal(loc=0, scale=10), ascending
        scale = 1
    """

    components: int
    family: Any = None
    weights: Any = None
    priors: Mapping[str, Any] | ComponentsPrior = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ordered: str | tuple[str, int] | None = None
    min_weight: float = 0.0
    potentials: Sequence[Callable[..., Any]] = ()
    observation: Any = None
    slopes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.components, int) or self.components < 1:
            refuse("components", "a whole number of at least 1", self.components)
        if not 0 <= self.min_weight * self.components < 1:
            refuse("min_weight", f"at least 0 and below 1/{self.components}", self.min_weight)
        both = [] if isinstance(self.priors, ComponentsPrior) else sorted(set(self.priors) & set(self.fixed))
        if both:
            refuse("fixed", "of parameters without a prior", f"{', '.join(both)} in both `priors` and `fixed`")

    def posterior(
        self,
        x: Any,
        *,
        columns: Any = None,
        sample_weight: Any = None,
        labels: Any = None,
        covariates: Any = None,
    ) -> Posterior:
        """Returns the density of the parameters given rows.

        Arguments:
            x: Rows, in any form that `mixtura.fit` takes.
            columns: Which columns of a table.
            sample_weight: How much each row counts.
            labels: The component of each row where it is known, and -1 elsewhere.
            covariates: What moves the parameters in `slopes`: ``(N,)`` or ``(N, Q)`` numbers, or names of columns.

        Raises:
            MixtureError: If the rows cannot be used, a prior does not fit its parameter, or a name is unknown.
        """
        return bound(self, x, columns, sample_weight, labels, covariates)

    # -- draws

    def sample(
        self,
        x: Any,
        *,
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        target_accept: float = 0.8,
        method: str = "nuts",
        generator: Generator | None = None,
        progress: bool = False,
        **rows: Any,
    ) -> InferenceData:
        """Returns draws by NUTS as ArviZ's data; see `inference_data` for what is in it.

        Arguments:
            x: Rows, in any form that `mixtura.fit` takes.
            draws: Draws of each chain that are kept.
            tune: Draws of each chain before them.
            chains: How many chains.
            target_accept: The acceptance that the step size is made for: nearer to one where there are divergences.
            method: How to draw; "nuts" is the one there is.
            generator: The source of randomness.
            progress: Whether to show a bar, with divergences.
            rows: What else is known of the rows; see `posterior`.

        Ctrl-C ends it and keeps the draws so far.

        Raises:
            ImportError: If nutpie or ArviZ is not installed.
            MixtureError: If the rows cannot be used, no start is possible, or there is no such method.

        Example:
            >>> model = mx.bayes.Model(2, mx.Normal, ordered="loc")
            >>> idata = model.sample(mx.datasets.old_faithful()[:, 0], draws=100, tune=200, chains=2)
            >>> idata.posterior["loc"].mean(("chain", "draw")).values.round()
            array([2., 4.])
        """
        if method not in _SAMPLERS:
            refuse("method", f"one of {', '.join(_SAMPLERS)}", method, "See `advi`, `laplace` and `pathfinder`, too.")
        return _SAMPLERS[method](self.posterior(x, **rows), draws, tune, chains, target_accept, generator, progress)

    # -- what follows without draws

    def map(self, x: Any, *, starts: int = 8, generator: Generator | None = None, **rows: Any) -> Maximum:
        """Returns the most probable parameters, in the parameters themselves, as `mixtura.EM` with a prior has them.

        Arguments:
            x: Rows, in any form that `mixtura.fit` takes.
            starts: How many searches there are, each from a start of its own.
            generator: The source of randomness.
            rows: What else is known of the rows; see `posterior`.

        Raises:
            MixtureError: If the rows cannot be used, or no start is possible.

        Example:
            >>> model = mx.bayes.Model(2, mx.Poisson, ordered="rate")
            >>> found = model.map(torch.tensor([1.0, 0.0, 2.0, 1.0, 9.0, 11.0, 10.0, 8.0]))
            >>> found.converged
            True
        """
        posterior = self.posterior(x, **rows).quickened()
        return maximum(posterior, posterior.log_density_in_parameters, starts, generator=generator)

    def laplace(self, x: Any, *, starts: int = 8, generator: Generator | None = None, **rows: Any) -> Laplace:
        """Returns the Gaussian at the mode of the unconstrained numbers, and the evidence by it; see `map`."""
        return laplace(self.posterior(x, **rows).quickened(), starts, generator=generator)

    def advi(
        self,
        x: Any,
        *,
        rank: str | Rank = "mean-field",
        steps: int = 1000,
        generator: Generator | None = None,
        **rows: Any,
    ) -> ADVI:
        """Returns the Gaussian on the unconstrained numbers with the highest lower bound on the evidence.

        Arguments:
            x: Rows, in any form that `mixtura.fit` takes.
            rank: ``"mean-field"`` for independent numbers, whose variances are too small, or ``"full"``.
            steps: The most steps of the search.
            generator: The source of randomness.
            rows: What else is known of the rows; see `posterior`.

        Raises:
            MixtureError: If the rows cannot be used, or no start is possible.

        Example:
            >>> model = mx.bayes.Model(2, mx.Normal, ordered="loc")
            >>> found = model.advi(mx.datasets.old_faithful()[:, 0], rank="full", generator=torch.Generator())
            >>> found.reason.name, found.draws(5)["loc"].shape
            ('CONVERGED', torch.Size([5, 2]))
        """
        return advi(self.posterior(x, **rows).quickened(), rank, steps, generator)

    def pathfinder(self, x: Any, *, paths: int = 8, generator: Generator | None = None, **rows: Any) -> Pathfinder:
        """Returns a mixture of Gaussians from the ways to modes; draws are weighted by importance; see `map`."""
        return pathfinder(self.posterior(x, **rows).quickened(), paths, generator=generator)

    # -- the evidence

    def evidence(
        self,
        x: Any,
        *,
        draws: int = 2000,
        tune: int = 1000,
        chains: int = 4,
        target_accept: float = 0.9,
        generator: Generator | None = None,
        **rows: Any,
    ) -> Evidence:
        """Returns the log-evidence of the rows, in nats, with its error: by bridge sampling from draws of NUTS.

        Differences between models are logarithms of Bayes factors. A component's label counts for nothing: where
        components may trade places, all K! ways are in it.

        Arguments:
            x: Rows, in any form that `mixtura.fit` takes.
            draws: Draws of each chain; half of them make a proposal, half the estimate.
            tune: Draws of each chain before them.
            chains: How many chains.
            target_accept: The acceptance that the step size of NUTS is made for.
            generator: The source of randomness.
            rows: What else is known of the rows; see `posterior`.

        Raises:
            ImportError: If nutpie is not installed.
            MixtureError: If the rows cannot be used, or components that may trade places have nothing to be ordered by.
        """
        return evidence(self, x, by_nuts(draws, tune, chains, target_accept), generator, rows)


_SAMPLERS = {"nuts": sampled}
