"""Which compiled pass answers which plan: one line for each that there is."""

from ..extra import Beyond
from ..labels import Kind
from . import errors, gaussian, nearest, nearest_filtered, single

__all__ = ["LOG_DENSITY", "LOG_JOINT", "RESPONSIBILITIES", "SUMS"]

SUMS = {
    (Kind.SOFT, Beyond.NOTHING): gaussian.sums,
    (Kind.SINGLE, Beyond.NOTHING): single.sums,
    (Kind.NEAREST, Beyond.NOTHING): nearest.sums,
    (Kind.REMEMBERED, Beyond.NOTHING): nearest_filtered.sums,
    (Kind.SOFT, Beyond.TAILS): gaussian.heavy_sums,
    (Kind.SOFT, Beyond.ERRORS): errors.sums,
}
LOG_JOINT = {Beyond.NOTHING: gaussian.log_joint, Beyond.TAILS: gaussian.heavy_log_joint}
LOG_DENSITY = {Beyond.NOTHING: gaussian.log_density, Beyond.TAILS: gaussian.heavy_log_density}
RESPONSIBILITIES = {Beyond.NOTHING: gaussian.responsibilities}
