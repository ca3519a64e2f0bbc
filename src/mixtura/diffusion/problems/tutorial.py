r"""The two problems of a tutorial on diffusing Gaussian mixtures: one to draw on a line, one on a plane."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from ...components import Gaussian, Spherical
from ...mixture import Mixture
from ...observation import LinearMeasurement
from ..schedules import VariancePreserving
from .problem import Problem

__all__ = ["tutorial_1d", "tutorial_2d"]


def tutorial_1d(scale: float = 0.2, seed: int = 0) -> Problem:
    """Returns three narrow components on a line, of which 0.5 was recorded.

    Theirs: the laws of means (uniform on [-3, 3]), variances (0.1 times uniform on [0.5, 1.5]) and weights (uniform,
    normalised), y = 0.5 and the noise. Not theirs: the draws, which are of another library's generator, and the scale
    of the errors, which the tutorial does not print. There is no clean draw behind y; `clean` is y.

    Arguments:
        scale: The standard deviation of the errors of y.
        seed: Which draw of the mixture.

    Source: the tutorial "Diffuse on Gaussian Mixtures" of the library diffuse.
    """
    draw = Generator().manual_seed(seed)
    means, variances, weights = torch.rand(3, 3, generator=draw, dtype=torch.float64)
    structure = Spherical(0.1 * (0.5 + variances))
    mixture = Mixture(weights, Gaussian((6 * means - 3).unsqueeze(-1), structure))
    y, one = torch.tensor([0.5], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    return Problem(
        f"tutorial_1d seed={seed}",
        mixture,
        LinearMeasurement(one, scale=scale * one[0]),
        y,
        y,
        VariancePreserving(0.02, 7.0),
    )


def tutorial_2d() -> Problem:
    """Returns two round components on a plane, of which the first coordinate was recorded as 1.5.

    All of it is theirs: weights 0.6 and 0.4, means (0, 0) and (2, 2), variances 0.5 and 0.8, errors of scale 0.2. There
    is no clean draw behind y; `clean` is the posterior's mean.

    Source: the tutorial "Diffuse on Gaussian Mixtures" of the library diffuse.

    Example:
        >>> mx.diffusion.problems.tutorial_2d().posterior.variance.sqrt()
        tensor([0.2023, 1.1858], dtype=torch.float64)
    """
    components = Gaussian(_numbers([[0.0, 0.0], [2.0, 2.0]]), Spherical(_numbers([0.5, 0.8])))
    mixture, y = Mixture(_numbers([0.6, 0.4]), components), _numbers([1.5])
    observation = LinearMeasurement(_numbers([[1.0, 0.0]]), scale=_numbers(0.2))
    clean = mixture.posterior(observation, y).mean
    return Problem("tutorial_2d", mixture, observation, y, clean, VariancePreserving(0.02, 7.0))


def _numbers(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
