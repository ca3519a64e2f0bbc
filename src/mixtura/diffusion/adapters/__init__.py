"""A mixture's exact denoiser as other libraries' samplers call theirs, so that these run against the truth.

Nothing here imports another library. What comes back is exact up to rounding, so what is left of an error is the
sampler's.
"""

from .azula import AzulaDenoiser, AzulaSchedule
from .diffusers import DiffusersModel, DiffusersSchedule, run_scheduler
from .k_diffusion import KDiffusionModel

__all__ = [
    "AzulaDenoiser",
    "AzulaSchedule",
    "DiffusersModel",
    "DiffusersSchedule",
    "KDiffusionModel",
    "run_scheduler",
]
