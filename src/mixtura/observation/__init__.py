"""Observations: what stands between a draw and what is recorded, and how to undo it."""

from .base import Observation
from .measurement import LinearMeasurement, Missing
from .noise import AdditiveNoise
from .sequence import InSequence

__all__ = ["AdditiveNoise", "InSequence", "LinearMeasurement", "Missing", "Observation"]
