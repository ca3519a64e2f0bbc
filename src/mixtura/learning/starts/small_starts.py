"""Where Gaussians start on a small table: the kinds of `MixedStart`, by the kernels, all of them in a call."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator

from ...kernels.small import Table
from ...kernels.small_gaussians import Seeds, seeded

__all__ = ["small_starts"]

_CLUSTERS, _APART, _ANYWHERE = (0, 11), (0, 1), (1, 1)  # whether centres may be any rows, updates of K-means


def small_starts(table: Table, components: int, restarts: int, generator: Generator | None) -> Seeds:
    """Returns where starts are: half from K-means, a quarter from k-means++, a quarter from random rows.

    Arguments:
        table: The rows.
        components: The number of components.
        restarts: The number of starts.
        generator: The source of randomness.
    """
    random = restarts // 4
    kinds = np.repeat((_CLUSTERS, _APART, _ANYWHERE), (restarts - 2 * random, random, random), 0)
    draws = 1, restarts, components, 2 + int(math.log(components))
    uniforms = torch.rand(draws, generator=generator, dtype=torch.float64).numpy()
    return seeded(table, uniforms, kinds)
