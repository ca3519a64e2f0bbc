"""Figures of diffusion, by matplotlib (``pip install 'mixtura[plots]'``): flows, paths, draws against what is exact.

As in `mixtura.plots`, every function returns the axes or the figure, shows nothing, and touches no setting of
matplotlib's. Densities are shades, dark where likely, each time on a scale of its own; what was drawn is in colour.
"""

from .against import against
from .animation import animate
from .churned import churned
from .flow import flow, stages
from .parts import attribution, errors
from .paths import paths

__all__ = ["against", "animate", "attribution", "churned", "errors", "flow", "paths", "stages"]
