"""The covariance structures by name."""

from __future__ import annotations

import re

from ...errors import refuse
from .diagonal import Diagonal
from .eigen import Eigen
from .full import Full
from .low_rank import LowRank
from .shared import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from .spherical import Spherical
from .structure import Structure

__all__ = ["structure"]

_NAMES: dict[str, Structure] = {
    "full": Full(),
    "diagonal": Diagonal(),
    "spherical": Spherical(),
    "tied-full": Full(tied=True),
    "tied-diagonal": Diagonal(tied=True),
    "tied-spherical": Spherical(tied=True),
    "eigen": Eigen(),
    "tied-eigen": Eigen(tied=True),
    "EII": Spherical(tied=True),
    "VII": Spherical(),
    "EEI": Diagonal(tied=True),
    "VEI": VEI(),
    "EVI": EVI(),
    "VVI": Diagonal(),
    "EEE": Full(tied=True),
    "VEE": VEE(),
    "EVE": EVE(),
    "VVE": VVE(),
    "EEV": EEV(),
    "VEV": VEV(),
    "EVV": EVV(),
    "VVV": Full(),
}
_LOW_RANK = re.compile(r"(tied-)?low-rank-(\d+)")


def structure(covariance: Structure | str) -> Structure:
    """Returns the structure of that name, or the structure itself.

    Arguments:
        covariance: A structure, or one of "full", "diagonal", "spherical", "low-rank-1", "low-rank-2" and so on, the
            same with "tied-" before it, or one of the fourteen volume-shape-orientation codes "EII" to "VVV".

    Raises:
        MixtureError: If no structure has that name.

    Example:
        >>> mx.components.structure("EEE")
        Full(tied=True)
        >>> mx.components.structure("tied-low-rank-2")
        LowRank(2, tied=True)
    """
    if isinstance(covariance, Structure):
        return covariance
    if covariance in _NAMES:
        return _NAMES[covariance]
    ranked = _LOW_RANK.fullmatch(covariance) if isinstance(covariance, str) else None
    if ranked is None:
        refuse("covariance", f"a structure or one of {', '.join(_NAMES)}, low-rank-1, ...", repr(covariance))
    return LowRank(int(ranked[2]), tied=bool(ranked[1]))
