"""How signal and noise change with time."""

from .rectified_flow import RectifiedFlow
from .schedule import Schedule
from .variance_exploding import EDM, VarianceExploding
from .variance_preserving import Cosine, VariancePreserving

__all__ = ["EDM", "Cosine", "RectifiedFlow", "Schedule", "VarianceExploding", "VariancePreserving"]
