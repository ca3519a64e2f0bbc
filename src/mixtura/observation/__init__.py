"""Observations: what stands between a draw and what is recorded, and how to undo it."""

from ..components.observation import Exact, Observation
from ..components.observation_sequence import InSequence
from ..mixture.imputing import Draw, Imputed, Mean, Mode
from .bins import Binned, Rounded
from .general import Noise
from .limits import Censored, Truncated
from .measurement import LinearMeasurement, Missing
from .nodes import NodeObservation, Nodes
from .noise import AdditiveNoise
from .scale import ScaleNoise
from .shift import ShiftNoise

__all__ = [
    "AdditiveNoise",
    "Binned",
    "Censored",
    "Draw",
    "Exact",
    "Imputed",
    "InSequence",
    "LinearMeasurement",
    "Mean",
    "Missing",
    "Mode",
    "NodeObservation",
    "Nodes",
    "Noise",
    "Observation",
    "Rounded",
    "ScaleNoise",
    "ShiftNoise",
    "Truncated",
]
