"""Observations: what stands between a draw and what is recorded, and how to undo it."""

from ..mixture.imputing import Draw, Imputed, Mean, Mode
from .base import Observation
from .general import Noise
from .limits import Binned, Censored, Rounded, Truncated
from .measurement import LinearMeasurement, Missing
from .noise import AdditiveNoise
from .scale import ScaleNoise
from .sequence import InSequence
from .shift import ShiftNoise

__all__ = [
    "AdditiveNoise",
    "Binned",
    "Censored",
    "Draw",
    "Imputed",
    "InSequence",
    "LinearMeasurement",
    "Mean",
    "Missing",
    "Mode",
    "Noise",
    "Observation",
    "Rounded",
    "ScaleNoise",
    "ShiftNoise",
    "Truncated",
]
