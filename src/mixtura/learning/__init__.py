"""Learning: one loop, and the small functions that make it K-means, EM or MAP."""

from ..components import Statistics
from .annealed import AnnealedEM
from .api import fit
from .classification import ClassificationEM
from .em import EM, Prior
from .evidence import Evidence, evidence
from .fitting import Fit
from .freeze import Freeze
from .gibbs import Gibbs, GibbsFit
from .initialise import Initialiser, KMeansPlusPlus, KMeansStart, MixedStart, RandomRows
from .kmeans import KMeans
from .labels import Tempered, hard, soft
from .likelihood_ratio import LikelihoodRatio, likelihood_ratio_test
from .loop import Method
from .online import OnlineEM, OnlineFit, Running
from .reason import Reason
from .relabel import average, relabel
from .reorder import reorder
from .ridge import Ridge
from .sampling import Sampled
from .select import Candidate, Selection, select
from .split_merge import SplitMergeEM
from .statistics import expect
from .stochastic import StochasticEM
from .uncertainty import Bootstrap, Uncertainty, bootstrap, standard_errors
from .validation import CrossValidation, HeldOut, cross_validate, held_out
from .variational import Posterior, Variational, VariationalFit
from .weights import StickBreaking, Symmetric, WeightsPrior

__all__ = [
    "EM",
    "AnnealedEM",
    "Bootstrap",
    "Candidate",
    "ClassificationEM",
    "CrossValidation",
    "Evidence",
    "Fit",
    "Freeze",
    "Gibbs",
    "GibbsFit",
    "HeldOut",
    "Initialiser",
    "KMeans",
    "KMeansPlusPlus",
    "KMeansStart",
    "LikelihoodRatio",
    "Method",
    "MixedStart",
    "OnlineEM",
    "OnlineFit",
    "Posterior",
    "Prior",
    "RandomRows",
    "Reason",
    "Ridge",
    "Running",
    "Sampled",
    "Selection",
    "SplitMergeEM",
    "Statistics",
    "StickBreaking",
    "StochasticEM",
    "Symmetric",
    "Tempered",
    "Uncertainty",
    "Variational",
    "VariationalFit",
    "WeightsPrior",
    "average",
    "bootstrap",
    "cross_validate",
    "evidence",
    "expect",
    "fit",
    "hard",
    "held_out",
    "likelihood_ratio_test",
    "relabel",
    "reorder",
    "select",
    "soft",
    "standard_errors",
]
