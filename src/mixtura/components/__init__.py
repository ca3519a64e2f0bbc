"""Families of distributions, batched over the K components of a mixture."""

from .base import Component, Labels
from .binomial import Bernoulli, Binomial
from .categorical import Categorical, Multinomial
from .conjugate import ConjugatePosterior, ConjugatePrior
from .covariance import Diagonal, Full, Spherical, Structure, structure
from .exponential import ExponentialFamily
from .exponential_law import Exponential
from .gaussian import Gaussian
from .geometric import Geometric
from .normal import Normal
from .poisson import Poisson
from .priors import NormalInverseWishart, NormalInverseWishartPosterior
from .pseudo_counts import Conjugate, ExponentialPosterior
from .statistics import Statistics
from .student import StudentT
from .template import Template
from .torch_component import TorchComponent

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Component",
    "Conjugate",
    "ConjugatePosterior",
    "ConjugatePrior",
    "Diagonal",
    "Exponential",
    "ExponentialFamily",
    "ExponentialPosterior",
    "Full",
    "Gaussian",
    "Geometric",
    "Labels",
    "Multinomial",
    "Normal",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Poisson",
    "Spherical",
    "Statistics",
    "Structure",
    "StudentT",
    "Template",
    "TorchComponent",
    "structure",
]
