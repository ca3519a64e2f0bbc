r"""k-diffusion: a model is called with rows and the scale of their noise, in units where :math:`\alpha = 1`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...mixture import Mixture
from ..schedules import EDM
from .truth import Truth

__all__ = ["KDiffusionModel"]


class KDiffusionModel:
    """A mixture as k-diffusion's samplers call their models: the clean rows to be expected.

    Arguments:
        mixture: The law of the draws, without batch shape; its type and device are where the answers are computed.

    Raises:
        MixtureError: If the mixture has a batch shape.
        NotClosedForm: If its components are not Gaussian.

    Source: k-diffusion 0.1, ``k_diffusion.sampling``.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), mx.Spherical(torch.ones(1))))
        >>> model = mx.diffusion.adapters.KDiffusionModel(mixture)
        >>> model(torch.ones(2, 2), torch.tensor([1.0, 3.0]))
        tensor([[0.5000, 0.5000],
                [0.1000, 0.1000]])
    """

    def __init__(self, mixture: Mixture) -> None:
        self._truth = Truth(mixture, EDM(most=torch.finfo(torch.float32).max))

    def __call__(self, x: Tensor, sigma: Tensor, **kwargs: Any) -> Tensor:
        """Returns the clean rows to be expected, in the shape and type of ``x``.

        Arguments:
            x: The noisy rows, ``(N, *)`` with D numbers in each.
            sigma: The scale of each row's noise, ``(N,)``, or one for all.
            kwargs: Taken as k-diffusion passes them on, and not looked at.
        """
        return self._truth.denoise(x, sigma)
