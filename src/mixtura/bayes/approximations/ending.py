"""Why an approximation stopped, and how good it is: enumerations whose members carry the advice."""

from __future__ import annotations

from enum import Enum

__all__ = ["Ending", "Quality"]


class Ending(Enum):
    """Why a search or an approximation stopped; the value of a member says what it means and what to do.

    Example:
        >>> print(Ending.CONVERGED.value)
        The objective's remaining gain is below the tolerance.
    """

    CONVERGED = "The objective's remaining gain is below the tolerance."
    MAX_STEPS = "The steps ran out before the objective settled. Raise `steps`."
    MAX_DRAWS = (
        "With as many draws as are allowed, the bound on fresh draws still differs from the one that was maximised. "
        "The posterior has tails or bends that no Gaussian follows; sample it instead."
    )
    UNBOUNDED = (
        "The density grows without bound, so it has no maximum. A scale goes to zero at a row, a weight to zero, or "
        "the posterior is improper: give the scales a prior that keeps them from zero, or fix them."
    )
    FLAT = (
        "The density does not bend down in every direction where the climb ended: it is flat there, a ridge or a "
        "saddle, or its maximum is at the edge (a weight of zero). The mode is not unique; a proper prior makes it so."
    )
    WALL = (
        "The search could not go on uphill, or the approximation reaches where the density is zero: it falls to zero "
        "at once there, or is rough. State a potential that is a hard wall as a constraint (such as `ordered=`)."
    )


class Quality(Enum):
    r"""How well an approximation serves in the place of the posterior, by the Pareto shape of the importance ratios.

    The ratios :math:`p/q` of draws from q have as many moments as :math:`1/\hat k`; above .7 even smoothed averages of
    them do not settle (Yao, Vehtari, Simpson and Gelman, 2018). A mode that no draw of q comes near is not seen.
    """

    GOOD = "k-hat is below .5: the approximation is close to the posterior, and weighted draws are as good as exact."
    USABLE = "k-hat is between .5 and .7: the approximation is rough; weighted draws correct it."
    POOR = (
        "k-hat is above .7: the approximation has thinner tails than the posterior or misses part of it, and weights "
        "cannot mend that. Where the bound is near the evidence only the tails are meant; else use rank='full' or NUTS."
    )
    UNKNOWN = "Too few draws have weight to tell. Treat the approximation as poor."

    @classmethod
    def of(cls, pareto_k: float) -> Quality:
        """Returns what a Pareto shape says."""
        for bound, quality in ((0.5, cls.GOOD), (0.7, cls.USABLE), (float("inf"), cls.POOR)):
            if pareto_k < bound:
                return quality
        return cls.UNKNOWN
