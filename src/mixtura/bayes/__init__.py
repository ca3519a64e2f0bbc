r"""Bayesian mixtures with the labels summed out: priors, draws by NUTS, approximations, evidence.

A `Model` is what is believed before rows are seen, a `Posterior` what is believed after: a density of one vector of
real numbers, smooth because labels are summed out.
"""

from . import approximations, bijections, pictures
from .approximations import Ending, Quality
from .by_hand import Density
from .draws import (
    Diagnosis,
    Interval,
    density_bands,
    diagnose,
    inference_data,
    intervals,
    occupied,
    recover_labels,
    sampled,
    summary,
    to_arviz,
    to_mixtures,
)
from .fitting import NUTS, NUTSFit
from .laws import Hierarchical
from .model import Model
from .page import page
from .posterior import Posterior
from .potentials import Potential, min_weight, ordered
from .prior_draws import prior_draws
from .to_pymc import to_pymc

__all__ = [
    "Density",
    "Diagnosis",
    "Ending",
    "Hierarchical",
    "Interval",
    "Model",
    "NUTS",
    "NUTSFit",
    "Posterior",
    "Potential",
    "Quality",
    "approximations",
    "bijections",
    "density_bands",
    "diagnose",
    "inference_data",
    "intervals",
    "min_weight",
    "occupied",
    "ordered",
    "page",
    "pictures",
    "prior_draws",
    "recover_labels",
    "sampled",
    "summary",
    "to_arviz",
    "to_mixtures",
    "to_pymc",
]
