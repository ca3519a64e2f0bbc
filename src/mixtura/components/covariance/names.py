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

_TEMPLATES: tuple[Structure, ...] = (  # a new structure is one line more, and goes by its own `name`
    *(kind(tied=tied) for tied in (False, True) for kind in (Full, Diagonal, Spherical, Eigen)),
    *(kind() for kind in (VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV)),
)
_CODES: dict[str, Structure] = {  # those of the fourteen that have a plain name
    "EII": Spherical(tied=True),
    "VII": Spherical(),
    "EEI": Diagonal(tied=True),
    "VVI": Diagonal(),
    "EEE": Full(tied=True),
    "VVV": Full(),
}
_NAMES = {template.name: template for template in _TEMPLATES} | _CODES
_LOW_RANK = re.compile(r"(tied-)?low-rank-(\d+)")


def structure(covariance: Structure | str) -> Structure:
    """Returns the structure of that name, or the structure itself.

    Arguments:
        covariance: A structure, or one of "full", "diagonal", "spherical", "eigen", "low-rank-1", "low-rank-2" and so
            on, the same with "tied-" before it, or one of the fourteen volume-shape-orientation codes "EII" to "VVV".

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
