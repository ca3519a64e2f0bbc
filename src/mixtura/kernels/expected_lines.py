r"""What lines say of a row whose component is not known: :math:`\sum_k r_k(x)\,\big(a_k + G_k (x - \mu_k)\big)`.

Of a mixture of Gaussians conditioned on x this is the mean, with a and G those of the regression of the other
coordinates on x. One pass over rows answers, which keeps nothing of size N x K.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .compiled import regression_module
from .form import FULL
from .plan import Plan
from .threads import in_threads, workers

__all__ = ["expected_lines", "serves_lines"]

_GRAIN = 100_000  # rows times components worth another thread: about some tenths of a millisecond


def serves_lines(plan: Plan, x: Tensor) -> bool:
    """Whether rows (N, D) of one mixture are read by the compiled pass: on a CPU, under triangles."""
    known = plan.form is FULL and plan.restarts == 1 and x.device.type == "cpu"
    return known and regression_module("expected") is not None


def expected_lines(plan: Plan, level: Tensor, slope: Tensor, x: Tensor) -> Tensor:
    """Returns what lines (K, F) and (K, F, D) say of rows (N, D), (N, F)."""
    steps: Any = regression_module("expected")
    factor = plan.factors[0].double() * math.sqrt(0.5)
    given = tuple(_array(one) for one in (plan.mean[0], factor, plan.logits[0], level, slope))
    rows, components, lines = _array(x), *level.shape
    sizes, out = np.array([components, x.shape[1], lines]), np.empty((len(x), lines))

    def run(begin: int, stop: int) -> None:
        steps.expect_lines(rows, given, sizes, out, begin, stop)

    in_threads(run, len(rows), workers(len(rows) * components, _GRAIN))
    return torch.from_numpy(out).to(x.dtype)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().double().contiguous().numpy()
