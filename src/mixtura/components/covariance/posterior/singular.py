"""A record whose law is singular: no density, no posterior."""

from __future__ import annotations

from torch import Tensor

from ....errors import MixtureError

__all__ = ["SINGULAR", "refuse_singular"]

SINGULAR = (
    "`covariance` of the errors plus the mixture's own, as seen through `matrix`, must be positive definite; got a "
    "singular one. Give errors above zero, or a `matrix` whose rows are independent."
)


def refuse_singular(singular: Tensor) -> None:
    """Refuses a law of what is recorded that is singular in any direction."""
    if bool(singular.any()):
        raise MixtureError(SINGULAR)
