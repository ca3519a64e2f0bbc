"""One self-contained HTML page about a mixture: what was asked, the answer, and how it was reached.

The page needs no network and no other file; its figures are inside. It can be read on paper, too.
"""

from .describe import described
from .foretold import Foretold, Tried
from .groups import group_page
from .page import page, render, write
from .regression import regression_page
from .story import Story, story
from .survey import Survey, Unlikely, survey

__all__ = [
    "Foretold",
    "Story",
    "Survey",
    "Tried",
    "Unlikely",
    "described",
    "group_page",
    "page",
    "regression_page",
    "render",
    "story",
    "survey",
    "write",
]
