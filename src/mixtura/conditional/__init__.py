"""Conditional mixtures: networks that return a mixture for every context, and their training."""

from .density_network import MixtureDensityNetwork
from .gmm import GMM
from .trained import Trained

__all__ = ["GMM", "MixtureDensityNetwork", "Trained"]
