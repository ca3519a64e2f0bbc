"""The laws that every component family and every covariance structure obeys, for families of your own too.

Subclass a contract, say how to make a component, and let pytest collect it; or call `check_component` on one. The laws
compare with quadrature, sums, draws, finite differences and dense matrices, never with stored numbers. They fail with
``AssertionError``.

Example:
    >>> class TestMine(mx.testing.ComponentContract):
    ...     def make(self):
    ...         return mx.Normal(torch.tensor([0.0, 3.0]).double(), torch.tensor([1.0, 2.0]).double())
    >>> TestMine().test_density_integrates_to_one()
"""

from .component import ComponentContract, check_component
from .integration import integrate
from .learnable import LearnableContract, check_learnable
from .structure import StructureContract, check_structure

__all__ = [
    "ComponentContract",
    "LearnableContract",
    "StructureContract",
    "check_component",
    "check_learnable",
    "check_structure",
    "integrate",
]
