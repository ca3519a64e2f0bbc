r"""The E-step of one start of an exponential family over a small table: log-likelihood and sums.

Rows are sufficient statistics T, stored in panels, number by number, so that lanes are rows; a row that fills a panel
has weight zero. With a constant for each component, its log weight less its log-normaliser, a log joint is

.. math:: c_k + \langle\eta_k, T(x)\rangle ,

to which the base measure adds the same for all components. Parameters of a start lie one after another: log weights
(K), constants (K), natural parameters (K, F).
"""

from ..native.panels import PART, added, fma, load_panel, load_part, multiplied, softmax, splat, store, total
from ..native.program import plain

__all__ = ["expect"]


@plain
def expect(columns, weight, begin, end, state, components, features, width, joint, lanes):
    """Log-likelihood of the panels [begin, end), base measure aside; leaves the sums of r and of r T by lane."""
    likelihood = splat(0.0, load_panel(weight, 0))
    for i in range(components * (1 + features)):
        store(lanes, i * PART, splat(0.0, load_part(weight, 0)))
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
            store(lanes, k * PART, added(r, load_part(lanes, k * PART)))
            for f in range(features):
                at = (components + k * features + f) * PART
                store(lanes, at, multiplied(r, load_panel(columns, row + f * width), load_part(lanes, at)))
    return total(likelihood)
