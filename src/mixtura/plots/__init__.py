"""Figures of mixtures, fits and selections, by matplotlib (``pip install 'mixtura[plots]'``).

Every function takes what there is to show (a `Mixture`, a `Fit` or a `Selection`), the rows where they are wanted and
not known from a fit, and an optional ``ax``; it returns the axes or the figure, for the caller to change, save or
show. Nothing is shown, and no global setting of matplotlib is touched.

A component has one colour and one number, from 0, in every figure. Colours repeat after seven components; numbers do
not.
"""

from .corner import corner, telling
from .curves import selection, trace
from .density import density
from .ellipses import ellipses
from .foretold import bands, coverage, pit
from .responsibilities import responsibilities
from .style import PALETTE, style

__all__ = [
    "PALETTE",
    "bands",
    "corner",
    "coverage",
    "density",
    "ellipses",
    "pit",
    "responsibilities",
    "selection",
    "style",
    "telling",
    "trace",
]
