"""Priors: on the weights of a mixture, on its components, and on both."""

from .conjugate import ConjugatePosterior, ConjugatePrior
from .exponential_conjugate import Conjugate, ExponentialPosterior
from .joint import JointPosterior, JointPrior
from .normal_inverse_wishart import NormalInverseWishart, NormalInverseWishartPosterior
from .ridge import Ridge
from .weights import StickBreaking, Symmetric, WeightsPrior

__all__ = [
    "Conjugate",
    "ConjugatePosterior",
    "ConjugatePrior",
    "ExponentialPosterior",
    "JointPosterior",
    "JointPrior",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Ridge",
    "StickBreaking",
    "Symmetric",
    "WeightsPrior",
]
