"""Why a learner stopped: an enumeration whose members carry the advice."""

from __future__ import annotations

from enum import Enum

__all__ = ["Reason"]


class Reason(Enum):
    """Why a fit stopped; the value of a member says what it means and what to do.

    Example:
        >>> print(mx.learning.Reason.CONVERGED.value)
        The objective's remaining gain is below the tolerance.
    """

    CONVERGED = "The objective's remaining gain is below the tolerance."
    MAX_ITERATIONS = (
        "The iterations ran out before the tolerance was met. Raise `max_iterations`, or accept a looser `tolerance`."
    )
    FINISHED = "All iterations asked for were made; the method draws or follows a schedule, and has no other end."
    COLLAPSED = (
        "A component shrank to a point or lost all its rows, so its likelihood has no maximum. Add a prior "
        "(`mx.EM(prior=mx.Prior.weak(x, components))`), use fewer components or a tied covariance, or remove "
        "repeated rows. The mixture is the last one before the collapse."
    )
    FELL = (
        "The objective fell by more than rounding explains. Use float64, or rescale columns of very different "
        "size. The mixture is the best one seen."
    )
    NOT_FINITE = (
        "The objective became NaN or infinite: the start is too far from the data, or the values are too large. "
        "Rescale the data or give another `init`."
    )
    REFUSED = "The rows of this group cannot be fitted; the other groups are not concerned."
    INTERRUPTED = "The fit was interrupted. The mixture is the best one so far; give it as `init` to go on."
    STOPPED_EARLY = (
        "The log-density of the rows held out has stopped rising. The state is the best one. More rows, or a network "
        "of another size, may foretell them better."
    )
    EPOCHS = "The epochs ran out before the log-density of the rows held out stopped rising. Raise `epochs`."
    DIVERGED = (
        "The log-density became NaN or infinite: steps were too long. Take a smaller rate (`optimizer=partial("
        "torch.optim.Adam, lr=1e-4)`), start by `initialize`, or look for extreme rows. The state is the best one "
        "so far."
    )
