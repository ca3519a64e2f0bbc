r"""Pictures of digits, 8 by 8: a mixture fitted by this library, seen through a mask, a blur or a coarse grid.

The prior is no picture of the truth about digits but a known law close to them: ten components with covariances of
six factors, fitted once to the 1,797 pictures of scikit-learn. To their 17 levels uniform noise of one level was added,
and they are scaled to [-1, 1].
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Generator, Tensor

from ...components import LowRank
from ...learning import EM
from ...learning.fit import fit
from ...mixture import Mixture
from ...observation import LinearMeasurement
from ..schedules import VariancePreserving
from .problem import Problem

__all__ = ["digits_blur", "digits_inpainting", "digits_super_resolution"]

_SIDE = 8


def digits_inpainting(scale: float = 0.05, seed: int = 0) -> Problem:
    """Returns a picture of which the 4 by 4 pixels in the middle are hidden: 48 of 64 are recorded.

    Arguments:
        scale: The standard deviation of the errors of a pixel; pixels go from -1 to 1.
        seed: Which clean draw and errors; the prior is the same for all.

    Raises:
        ImportError: If scikit-learn, which has the pictures, is not installed.
    """
    hidden = torch.zeros(_SIDE, _SIDE, dtype=torch.bool)
    hidden[2:6, 2:6] = True
    return _posed("digits_inpainting", torch.eye(_SIDE**2, dtype=torch.float64)[~hidden.flatten()], scale, seed)


def digits_blur(scale: float = 0.05, seed: int = 0) -> Problem:
    """Returns a picture of which each pixel is recorded as a mean of its neighbours, with weights 1, 2, 1 both ways.

    Arguments and errors are those of `digits_inpainting`. Beyond the edge there is nothing.
    """
    offset = torch.arange(_SIDE).unsqueeze(-1) - torch.arange(_SIDE)
    line = (2 - offset.abs()).clamp_min(0).double() / 4
    return _posed("digits_blur", torch.kron(line, line), scale, seed)


def digits_super_resolution(scale: float = 0.05, seed: int = 0) -> Problem:
    """Returns a picture of which the means of squares of 2 by 2 pixels are recorded: 16 numbers for 64.

    Arguments and errors are those of `digits_inpainting`.
    """
    pairs = torch.eye(_SIDE // 2, dtype=torch.float64).repeat_interleave(2, 1) / 2
    return _posed("digits_super_resolution", torch.kron(pairs, pairs), scale, seed)


def _posed(name: str, matrix: Tensor, scale: float, seed: int) -> Problem:
    draw = Generator().manual_seed(seed)
    mixture, observation = _prior(), LinearMeasurement(matrix, scale=torch.tensor(scale, dtype=torch.float64))
    clean = mixture.sample((), draw)
    y = matrix @ clean + scale * torch.randn(len(matrix), generator=draw, dtype=torch.float64)
    return Problem(f"{name} seed={seed}", mixture, observation, y, clean, VariancePreserving(0.1, 20.0))


@cache
def _prior() -> Mixture:
    """Ten components of six factors each, fitted once a process."""
    draw, x = Generator().manual_seed(0), _pictures()
    smooth = 2 * (x + torch.rand(x.shape, generator=draw, dtype=torch.float64)) / 17 - 1
    method = EM(max_iterations=30)
    return fit(smooth, 10, covariance=LowRank(6), method=method, restarts=1, generator=draw).mixture.named(None)


def _pictures() -> Tensor:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = "The pictures of digits come with scikit-learn: pip install 'mixtura[sklearn]'."
        raise ImportError(message) from error
    return torch.as_tensor(load_digits(return_X_y=True)[0])
