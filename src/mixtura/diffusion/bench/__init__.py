"""Posterior samplers side by side, against the exact posterior."""

from .comparison import METRICS, Cell, compare
from .page import draw_cells, page
from .rules import RULES, Rule, chosen
from .setting import Setting
from .summary import Line, median, shown, summarised

__all__ = [
    "METRICS",
    "RULES",
    "Cell",
    "Line",
    "Rule",
    "Setting",
    "chosen",
    "compare",
    "draw_cells",
    "median",
    "page",
    "shown",
    "summarised",
]
