r"""Bayesian mixtures with the labels summed out: priors, draws by NUTS, approximations, evidence.

A `Model` is what is believed before rows are seen, a `Posterior` what is believed after: a density of one vector of
real numbers, smooth because labels are summed out.
"""

from . import approximations, bijections
from .approximations import Ending, Quality
from .by_hand import Density
from .laws import Hierarchical
from .model import Model
from .posterior import Posterior
from .potentials import Potential, min_weight, ordered
from .prior_draws import prior_draws

__all__ = [
    "Density",
    "Ending",
    "Hierarchical",
    "Model",
    "Posterior",
    "Potential",
    "Quality",
    "approximations",
    "bijections",
    "min_weight",
    "ordered",
    "prior_draws",
]
