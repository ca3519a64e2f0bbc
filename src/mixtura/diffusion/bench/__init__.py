"""Posterior samplers side by side, against the exact posterior."""

from .comparison import METRICS, Cell, compare
from .rules import RULES, Rule, chosen
from .setting import Setting

__all__ = ["METRICS", "RULES", "Cell", "Rule", "Setting", "chosen", "compare"]
