"""Diffusion of Gaussian mixtures, exactly: samplers and guidance held against the truth.

A Gaussian mixture under noise is a Gaussian mixture at every time, and so is all that can be asked of it backwards:
score, denoiser, reverse kernel, and the posterior of what was recorded. So a sampler, a guidance or a network can be
held against what is true, and its error taken apart.
"""

from . import adapters, bench, metrics, pictures, problems
from .attribution import Attribution, attribute
from .churn import Churn
from .grids import CosineGrid, Grid, LogSNRGrid, PowerGrid, Uniform
from .guidance import (
    DAPS,
    DPS,
    FPS,
    MMPS,
    PGDM,
    TMPD,
    DiagonalTMPD,
    DiffPIR,
    ExactGuidance,
    Guidance,
    RowSumTMPD,
)
from .guidance_error import GuidanceError, guidance_error
from .imperfect import Imperfect
from .laws import Process, denoise, diffuse, reverse, score
from .models import Denoiser, Exact, Model, Noise, Score, Velocity
from .places import Place
from .propagation import GaussianLaw, propagate
from .samplers import (
    DDIM,
    DDPM,
    Ancestral,
    DPMSolver2M,
    DPMSolver2S,
    DPMSolver3M,
    DPMSolverSDE,
    Euler,
    EulerMaruyama,
    Here,
    Heun,
    Sampler,
)
from .sampling import State, sample, trajectory
from .schedules import EDM, Cosine, Discrete, RectifiedFlow, Schedule, VarianceExploding, VariancePreserving

__all__ = [
    "DDIM",
    "DDPM",
    "EDM",
    "Ancestral",
    "Attribution",
    "Churn",
    "Cosine",
    "CosineGrid",
    "DPMSolver2M",
    "DPMSolver2S",
    "DPMSolver3M",
    "DPMSolverSDE",
    "Denoiser",
    "Discrete",
    "Euler",
    "EulerMaruyama",
    "Exact",
    "ExactGuidance",
    "GaussianLaw",
    "Grid",
    "Guidance",
    "Here",
    "Heun",
    "LogSNRGrid",
    "Model",
    "Noise",
    "Place",
    "PowerGrid",
    "Process",
    "RectifiedFlow",
    "Sampler",
    "Schedule",
    "Score",
    "State",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
    "Velocity",
    "adapters",
    "attribute",
    "bench",
    "denoise",
    "diffuse",
    "metrics",
    "pictures",
    "problems",
    "propagate",
    "reverse",
    "sample",
    "score",
    "trajectory",
    "DAPS",
    "DPS",
    "FPS",
    "MMPS",
    "PGDM",
    "TMPD",
    "DiagonalTMPD",
    "DiffPIR",
    "RowSumTMPD",
    "GuidanceError",
    "Imperfect",
    "guidance_error",
]
