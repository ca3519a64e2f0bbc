"""Mixtura: a mixture is one value, learning is one loop, and everything else reads or produces a mixture."""

from ._collecting import resume

# isort: split
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import components, data, datasets, errors, kernels, learning, mixture, observation, priors
from ._version import __version__
from .components import (
    Bernoulli,
    Beside,
    Beta,
    Binomial,
    Categorical,
    Diagonal,
    Dirichlet,
    Eigen,
    Exponential,
    Full,
    Gamma,
    Gated,
    Gaussian,
    Geometric,
    InverseGamma,
    Laplace,
    LinearRegression,
    LogisticRegression,
    LogNormal,
    LowRank,
    Multinomial,
    NegativeBinomial,
    Normal,
    Poisson,
    PoissonRegression,
    Product,
    Spherical,
    StudentT,
    Uniform,
    VonMises,
    VonMisesFisher,
    Weibull,
)
from .learning import (
    EM,
    AnnealedEM,
    ClassificationEM,
    Fit,
    Freeze,
    Gibbs,
    KMeans,
    OnlineEM,
    Reason,
    Selection,
    SplitMergeEM,
    StochasticEM,
    Variational,
    bootstrap,
    cross_validate,
    fit,
    held_out,
    likelihood_ratio_test,
    select,
    standard_errors,
)
from .learning.results.evidence import evidence
from .mixture import Mixture, Prior, load
from .priors import Conjugate, NormalInverseWishart, StickBreaking

if TYPE_CHECKING:
    from . import bayes, conditional, diffusion, divergences, plots, report, scoring

resume()
del resume

_AT_FIRST_USE = ("bayes", "conditional", "diffusion", "divergences", "plots", "report", "scoring")


def __getattr__(name: str) -> ModuleType:
    """Rooms that a fit does without are imported when they are asked for."""
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_AT_FIRST_USE})


__all__ = [
    "EM",
    "AnnealedEM",
    "Bernoulli",
    "Beside",
    "Beta",
    "Binomial",
    "Categorical",
    "ClassificationEM",
    "Conjugate",
    "Diagonal",
    "Dirichlet",
    "Eigen",
    "Exponential",
    "Fit",
    "Freeze",
    "Full",
    "Gamma",
    "Gated",
    "Gaussian",
    "Geometric",
    "Gibbs",
    "InverseGamma",
    "KMeans",
    "Laplace",
    "LinearRegression",
    "LogNormal",
    "LogisticRegression",
    "LowRank",
    "Mixture",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "NormalInverseWishart",
    "OnlineEM",
    "Poisson",
    "PoissonRegression",
    "Prior",
    "Product",
    "Reason",
    "Selection",
    "Spherical",
    "SplitMergeEM",
    "StickBreaking",
    "StochasticEM",
    "StudentT",
    "Uniform",
    "Variational",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "__version__",
    "bayes",
    "bootstrap",
    "components",
    "conditional",
    "cross_validate",
    "data",
    "datasets",
    "diffusion",
    "divergences",
    "errors",
    "evidence",
    "fit",
    "held_out",
    "kernels",
    "learning",
    "likelihood_ratio_test",
    "load",
    "mixture",
    "observation",
    "plots",
    "priors",
    "report",
    "scoring",
    "select",
    "standard_errors",
]
