"""Learning: one loop, and the small functions that make it K-means, EM or MAP."""

from ..components import Statistics
from .api import fit
from .em import EM, Prior
from .fitting import Fit
from .gibbs import Gibbs, GibbsFit
from .initialise import Initialiser, KMeansPlusPlus, KMeansStart, MixedStart, RandomRows
from .kmeans import KMeans
from .labels import hard, soft
from .loop import Method
from .reason import Reason
from .relabel import average, relabel
from .reorder import reorder
from .ridge import Ridge
from .sampling import Sampled
from .select import Candidate, Selection, select
from .statistics import expect
from .variational import Posterior, Variational, VariationalFit
from .weights import StickBreaking, Symmetric, WeightsPrior

__all__ = [
    "EM",
    "Candidate",
    "Fit",
    "Gibbs",
    "GibbsFit",
    "Initialiser",
    "KMeans",
    "KMeansPlusPlus",
    "KMeansStart",
    "Method",
    "MixedStart",
    "Posterior",
    "Prior",
    "RandomRows",
    "Reason",
    "Ridge",
    "Sampled",
    "Selection",
    "Statistics",
    "StickBreaking",
    "Symmetric",
    "Variational",
    "VariationalFit",
    "WeightsPrior",
    "expect",
    "fit",
    "hard",
    "average",
    "relabel",
    "reorder",
    "select",
    "soft",
]
