"""Mixtura behind scikit-learn's estimators: change the import and keep the rest of the code."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("`mixtura.sklearn` needs scikit-learn: pip install 'mixtura[sklearn]'.") from error

from .bayesian import BayesianGaussianMixture
from .classifier import MixtureClassifier
from .convert import from_sklearn, to_sklearn
from .family import BernoulliMixture, FamilyMixture, StudentTMixture
from .gaussian import GaussianMixture

__all__ = [
    "BayesianGaussianMixture",
    "BernoulliMixture",
    "FamilyMixture",
    "GaussianMixture",
    "MixtureClassifier",
    "StudentTMixture",
    "from_sklearn",
    "to_sklearn",
]
