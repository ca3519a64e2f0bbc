"""Families of distributions, batched over the K components of a mixture."""

from .base import Component, Labels
from .beside import Beside
from .binomial import Bernoulli, Binomial
from .categorical import Categorical, Multinomial
from .conjugate import ConjugatePosterior, ConjugatePrior
from .covariance import Diagonal, Full, Spherical, Structure
from .dirichlet import Beta, Dirichlet
from .exponential import ExponentialFamily
from .exponential_law import Exponential
from .gamma import Gamma, InverseGamma
from .gaussian import Gaussian
from .geometric import Geometric
from .laplace import Laplace
from .log_normal import LogNormal
from .low_rank import LowRank
from .negative_binomial import NegativeBinomial
from .normal import Normal
from .poisson import Poisson
from .priors import NormalInverseWishart, NormalInverseWishartPosterior
from .product import JointPrior, Product
from .pseudo_counts import Conjugate, ExponentialPosterior
from .statistics import Statistics
from .structures import structure
from .student import StudentT
from .template import Template
from .torch_component import TorchComponent
from .uniform import Uniform
from .volume_shape import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from .von_mises import VonMises, VonMisesFisher
from .weibull import Weibull

__all__ = [
    "Bernoulli",
    "Beside",
    "Beta",
    "Binomial",
    "Categorical",
    "Component",
    "Conjugate",
    "ConjugatePosterior",
    "ConjugatePrior",
    "Diagonal",
    "Dirichlet",
    "EEV",
    "EVE",
    "EVI",
    "EVV",
    "Exponential",
    "ExponentialFamily",
    "ExponentialPosterior",
    "Full",
    "Gamma",
    "Gaussian",
    "Geometric",
    "InverseGamma",
    "JointPrior",
    "Labels",
    "Laplace",
    "LogNormal",
    "LowRank",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Poisson",
    "Product",
    "Spherical",
    "Statistics",
    "Structure",
    "StudentT",
    "Template",
    "TorchComponent",
    "Uniform",
    "VEE",
    "VEI",
    "VEV",
    "VVE",
    "VonMises",
    "VonMisesFisher",
    "Weibull",
    "structure",
]
