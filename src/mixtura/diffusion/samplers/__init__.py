"""From noise to draws: published samplers, one file each."""

from .ancestral import Ancestral
from .ddim import DDIM
from .ddpm import DDPM
from .dpm_solver import DPMSolver2M, DPMSolver2S, DPMSolver3M, DPMSolverSDE
from .euler import Euler
from .euler_maruyama import EulerMaruyama
from .heun import Heun
from .sampler import Here, Sampler

__all__ = [
    "DDIM",
    "DDPM",
    "Ancestral",
    "DPMSolver2M",
    "DPMSolver2S",
    "DPMSolver3M",
    "DPMSolverSDE",
    "Euler",
    "EulerMaruyama",
    "Here",
    "Heun",
    "Sampler",
]
