"""How far samples are from a Gaussian mixture: against the law itself, with floor and p-value of exact samples."""

from .calibration import Coverage, coverage
from .discrepancy import MMD, KernelStein
from .energy_distance import EnergyDistance
from .log_density import LogDensity
from .measuring import Measured, Yardstick, measure
from .metric import Metric
from .modes import ModeCovariances, ModeMeans, ModeSpreads, ModeWeights
from .sliced_wasserstein import SlicedWasserstein

__all__ = [
    "MMD",
    "Coverage",
    "EnergyDistance",
    "KernelStein",
    "LogDensity",
    "Measured",
    "Metric",
    "ModeCovariances",
    "ModeMeans",
    "ModeSpreads",
    "ModeWeights",
    "SlicedWasserstein",
    "Yardstick",
    "coverage",
    "measure",
]
