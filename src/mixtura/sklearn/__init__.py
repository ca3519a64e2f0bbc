"""Mixtura behind scikit-learn's estimators: change the import and keep the rest of the code."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("`mixtura.sklearn` needs scikit-learn: pip install 'mixtura[sklearn]'.") from error

from .bayesian import BayesianGaussianMixture
from .classifier import MixtureClassifier
from .convert import from_sklearn, to_sklearn
from .density import MixtureDensityRegressor
from .family import BernoulliMixture, FamilyMixture, StudentTMixture
from .gaussian import GaussianMixture
from .joint import MixtureRegressor
from .outliers import MixtureOutlierDetector

__all__ = [
    "BayesianGaussianMixture",
    "BernoulliMixture",
    "FamilyMixture",
    "GaussianMixture",
    "MixtureClassifier",
    "MixtureDensityRegressor",
    "MixtureOutlierDetector",
    "MixtureRegressor",
    "StudentTMixture",
    "from_sklearn",
    "to_sklearn",
]
