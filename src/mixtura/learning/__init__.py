"""Learning: one loop, and the small functions that make it K-means, EM or MAP."""

from ..components import Statistics
from .expectation.expect import expect, log_density, log_joint
from .expectation.labels import Tempered, hard, soft
from .expectation.sampled_labels import Sampled
from .fit import fit
from .groups.group_fits import GroupFit, GroupFits
from .groups.select_groups import GroupChoice, GroupSelection
from .loop.method import Method
from .loop.reason import Reason
from .methods.annealed import AnnealedEM
from .methods.classification import ClassificationEM
from .methods.em import EM
from .methods.freeze import Freeze
from .methods.gibbs import Gibbs, GibbsFit
from .methods.kmeans import KMeans
from .methods.online import OnlineEM, OnlineFit, Running
from .methods.split_merge import SplitMergeEM
from .methods.stochastic import StochasticEM
from .methods.variational import Posterior, Variational, VariationalFit
from .results.evidence import Evidence, evidence
from .results.fit import Fit
from .results.likelihood_ratio import LikelihoodRatio, likelihood_ratio_test
from .results.optimum import Optimum
from .results.relabel import average, relabel
from .results.reorder import reorder
from .results.uncertainty import Bootstrap, Uncertainty, bootstrap, standard_errors
from .results.validation import CrossValidation, HeldOut, cross_validate, held_out
from .select import Candidate, Selection, select
from .starts.centres import Initialiser, KMeansPlusPlus, KMeansStart, MixedStart, RandomRows

__all__ = [
    "EM",
    "AnnealedEM",
    "Bootstrap",
    "Candidate",
    "ClassificationEM",
    "CrossValidation",
    "Evidence",
    "Fit",
    "GroupChoice",
    "GroupFit",
    "GroupFits",
    "GroupSelection",
    "Optimum",
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
    "RandomRows",
    "Reason",
    "Running",
    "Sampled",
    "Selection",
    "SplitMergeEM",
    "Statistics",
    "StochasticEM",
    "Tempered",
    "Uncertainty",
    "Variational",
    "VariationalFit",
    "average",
    "bootstrap",
    "cross_validate",
    "evidence",
    "expect",
    "fit",
    "hard",
    "held_out",
    "likelihood_ratio_test",
    "log_density",
    "log_joint",
    "relabel",
    "reorder",
    "select",
    "soft",
    "standard_errors",
]
