"""The bijection onto a support: torch's own, but for weights."""

from __future__ import annotations

from torch.distributions import biject_to
from torch.distributions.constraints import Constraint, simplex
from torch.distributions.transforms import AffineTransform, ComposeTransform, Transform

from ...errors import refuse
from .measured import Measured
from .simplex import Centred

__all__ = ["onto"]


def onto(support: Constraint) -> Transform:
    """Returns the bijection from real numbers onto a support.

    Raises:
        MixtureError: If there is none, as onto whole numbers.

    Example:
        >>> mx.bayes.bijections.onto(torch.distributions.constraints.positive)(torch.zeros(1))
        tensor([1.])
    """
    if support is simplex:
        return Centred()
    try:
        return _measured(biject_to(support))
    except NotImplementedError:
        refuse(
            "priors", "on real numbers, intervals, weights or correlations", str(support), "Counts are marginalised."
        )


def _measured(map: Transform) -> Transform:
    """The same map, which does not ask for computer algebra to know its shapes."""
    if isinstance(map, ComposeTransform):
        return ComposeTransform([_measured(one) for one in map.parts])
    return Measured(map.loc, map.scale, map.event_dim) if isinstance(map, AffineTransform) else map
