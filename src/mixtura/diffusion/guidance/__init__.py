"""How a model learns of what was recorded, :math:`y = A x_0 + \\varepsilon`: exactly, or as published methods do.

Each rule takes something else for :math:`p(x_0|x_t)`, and so for :math:`p(y|x_t)`, of which a mixture knows all:

==================  ====================================================  ================
rule                :math:`p(x_0|x_t)` is taken to be                     asks the model
==================  ====================================================  ================
`ExactGuidance`     what it is                                            for its posterior
`TMPD`              Gaussian, with its mean and covariance                for M products
`DiagonalTMPD`      the same, with records independent                    for M products
`RowSumTMPD`        the same, with less of the covariance                 for one product
`MMPS`              as for `TMPD`, solved roughly                         for k products
`PGDM`              round about its mean, :math:`N(E, r^2 I)`             for one product
`DPS`               a point, E                                            for one product
`DiffPIR`           round, where it is differentiated, too                for E alone
`DAPS`              round about the end of the probability flow           for E, some times
`FPS`               as if the clean draw had a flat law                   for E alone
==================  ====================================================  ================
"""

from .daps import DAPS
from .diffpir import DiffPIR
from .dps import DPS
from .exact import ExactGuidance
from .fps import FPS
from .guidance import Guidance, Guided
from .mmps import MMPS
from .pgdm import PGDM
from .tmpd import TMPD, DiagonalTMPD, RowSumTMPD

__all__ = [
    "DAPS",
    "DPS",
    "FPS",
    "MMPS",
    "PGDM",
    "TMPD",
    "DiagonalTMPD",
    "DiffPIR",
    "ExactGuidance",
    "Guidance",
    "Guided",
    "RowSumTMPD",
]
