"""Families of distributions, batched over the K components of a mixture."""

from .argument import Argument
from .base import Component, Labels
from .binomial import Bernoulli, Binomial
from .categorical import Categorical, Multinomial
from .composed.gated import Gated
from .composed.gated_family import GatedFamily
from .composed.product import Product
from .composed.union import Beside
from .covariance.diagonal import Diagonal
from .covariance.eigen import Eigen
from .covariance.full import Full
from .covariance.low_rank import LowRank
from .covariance.names import structure
from .covariance.shared import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from .covariance.spherical import Spherical
from .covariance.structure import Structure
from .dirichlet import Beta, Dirichlet
from .exponential import Exponential
from .exponential_family import ExponentialFamily
from .family import Family
from .gamma import Gamma, InverseGamma
from .gaussian import Gaussian
from .geometric import Geometric
from .laplace import Laplace
from .log_normal import LogNormal
from .negative_binomial import NegativeBinomial
from .normal import Normal
from .poisson import Poisson
from .regression.families import RegressionFamily
from .regression.linear import LinearRegression
from .regression.logistic import LogisticRegression
from .regression.poisson import PoissonRegression
from .statistics import Statistics
from .student import StudentT
from .torch_component import TorchComponent
from .uniform import Uniform
from .von_mises import VonMises, VonMisesFisher
from .weibull import Weibull

__all__ = [
    "Argument",
    "Bernoulli",
    "Beside",
    "Beta",
    "Binomial",
    "Categorical",
    "Component",
    "Diagonal",
    "Dirichlet",
    "EEV",
    "EVE",
    "EVI",
    "EVV",
    "Eigen",
    "Exponential",
    "ExponentialFamily",
    "Family",
    "Full",
    "Gamma",
    "Gated",
    "GatedFamily",
    "Gaussian",
    "Geometric",
    "InverseGamma",
    "Labels",
    "Laplace",
    "LinearRegression",
    "LogNormal",
    "LogisticRegression",
    "LowRank",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "PoissonRegression",
    "Product",
    "RegressionFamily",
    "Spherical",
    "Statistics",
    "Structure",
    "StudentT",
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
