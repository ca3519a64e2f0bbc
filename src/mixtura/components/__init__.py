"""Families of distributions, batched over the K components of a mixture."""

from .base import Component, Labels
from .conjugate import ConjugatePosterior, ConjugatePrior
from .covariance import Diagonal, Full, Spherical, Structure, structure
from .gaussian import Gaussian
from .normal import Normal
from .priors import NormalInverseWishart, NormalInverseWishartPosterior
from .statistics import Statistics
from .torch_component import TorchComponent

__all__ = [
    "Component",
    "ConjugatePosterior",
    "ConjugatePrior",
    "Diagonal",
    "Full",
    "Gaussian",
    "Labels",
    "Normal",
    "NormalInverseWishart",
    "NormalInverseWishartPosterior",
    "Spherical",
    "Statistics",
    "Structure",
    "TorchComponent",
    "structure",
]
