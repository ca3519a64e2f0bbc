"""How signal and noise change with time."""

from .discrete import Discrete
from .rectified_flow import RectifiedFlow
from .schedule import Schedule
from .variance_exploding import EDM, VarianceExploding
from .variance_preserving import Cosine, VariancePreserving

__all__ = ["EDM", "Cosine", "Discrete", "RectifiedFlow", "Schedule", "VarianceExploding", "VariancePreserving"]
