"""Learning: one loop, and the small functions that make it K-means, EM or MAP."""

from ..components import Statistics
from .annealed import AnnealedEM
from .api import fit
from .classification import ClassificationEM
from .em import EM, Prior
from .fitting import Fit
from .freeze import Freeze
from .gibbs import Gibbs, GibbsFit
from .initialise import Initialiser, KMeansPlusPlus, KMeansStart, MixedStart, RandomRows
from .kmeans import KMeans
from .labels import Tempered, hard, soft
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
from .variational import Posterior, Variational, VariationalFit
from .weights import StickBreaking, Symmetric, WeightsPrior

__all__ = [
    "EM",
    "AnnealedEM",
    "Candidate",
    "ClassificationEM",
    "Fit",
    "Freeze",
    "Gibbs",
    "GibbsFit",
    "Initialiser",
    "KMeans",
    "KMeansPlusPlus",
    "KMeansStart",
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
    "Variational",
    "VariationalFit",
    "WeightsPrior",
    "average",
    "expect",
    "fit",
    "hard",
    "relabel",
    "reorder",
    "select",
    "soft",
]
