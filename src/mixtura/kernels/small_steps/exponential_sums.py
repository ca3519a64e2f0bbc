r"""The E-step of one start of an exponential family over a small table: log-likelihood and sums.

Rows are sufficient statistics T, stored in panels, number by number, so that lanes are rows; a row that fills a panel
has weight zero. With a constant for each component, its log weight less its log-normaliser, a log joint is

.. math:: c_k + \langle\eta_k, T(x)\rangle ,

to which the base measure adds the same for all components. Parameters of a start lie one after another: log weights
(K), constants (K), natural parameters (K, F).
"""

from ..native.panels import fma, load_panel, softmax, splat, store, total
from ..native.program import plain

__all__ = ["expect"]


@plain
def expect(columns, weight, begin, end, state, components, features, width, joint, lanes):
    """Log-likelihood of the panels [begin, end), base measure aside; leaves the sums of r and of r T by lane."""
    likelihood = nothing = splat(0.0, load_panel(weight, 0))
    for i in range(components * (1 + features)):
        store(lanes, i * width, nothing)
    for p in range(begin, end):
        share, row = load_panel(weight, p * width), p * features * width
        for k in range(components):
            value = splat(state[components + k], share)
            for f in range(features):
                natural = state[2 * components + k * features + f]
                value = fma(natural, load_panel(columns, row + f * width), value)
            store(joint, k * width, value)
        likelihood = fma(share, softmax(joint, 0, components, width), likelihood)
        for k in range(components):
            r = load_panel(joint, k * width) * share
            store(lanes, k * width, load_panel(lanes, k * width) + r)
            for f in range(features):
                at = (components + k * features + f) * width
                store(lanes, at, fma(r, load_panel(columns, row + f * width), load_panel(lanes, at)))
    return total(likelihood)
