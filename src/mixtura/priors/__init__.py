"""Priors: on the weights of a mixture, on its components, and on both."""

from .components import ComponentsPrior
from .conjugate import ConjugatePosterior, ConjugatePrior
from .exponential_conjugate import Conjugate, ExponentialPosterior
from .inverse_wishart import Law, add_law, law
from .joint import JointPosterior, JointPrior
from .normal_inverse_wishart import NormalInverseWishart, NormalInverseWishartPosterior
from .ridge import Ridge
from .weights import DirichletPrior, StickBreaking, WeightsPosterior, WeightsPrior

__all__ = [
    "ComponentsPrior",
    "Conjugate",
    "ConjugatePosterior",
    "ConjugatePrior",
    "DirichletPrior",
    "ExponentialPosterior",
    "JointPosterior",
    "JointPrior",
    "Law",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Ridge",
    "StickBreaking",
    "WeightsPosterior",
    "WeightsPrior",
    "add_law",
    "law",
]
