"""From real numbers to where parameters lie, and back, each with the logarithm of its Jacobian.

torch has most of them (`torch.distributions.biject_to`): positive numbers, intervals, factors of correlations. Here are
those that mixtures need beside: weights, components in an order, weights with a floor.
"""

from .measured import Measured
from .onto import onto
from .ordered import Ordered
from .simplex import Centred, Floored, Pinned

__all__ = ["Centred", "Floored", "Measured", "Ordered", "Pinned", "onto"]
