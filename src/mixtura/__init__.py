"""Mixtura: a mixture is one value, learning is one loop, and everything else reads or produces a mixture."""

from . import components, data, datasets, errors, learning, mixture, plots, report
from ._version import __version__
from .components import Diagonal, Full, Gaussian, Normal, NormalInverseWishart, Spherical
from .learning import EM, Fit, KMeans, Prior, Reason, Selection, StickBreaking, Variational, fit, select
from .mixture import Mixture, load

__all__ = [
    "EM",
    "Diagonal",
    "Fit",
    "Full",
    "Gaussian",
    "KMeans",
    "Mixture",
    "Normal",
    "NormalInverseWishart",
    "Prior",
    "Reason",
    "Selection",
    "Spherical",
    "StickBreaking",
    "Variational",
    "__version__",
    "components",
    "data",
    "datasets",
    "errors",
    "fit",
    "learning",
    "load",
    "mixture",
    "plots",
    "report",
    "select",
]
