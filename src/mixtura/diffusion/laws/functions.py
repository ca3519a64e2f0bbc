"""The exact laws as functions of a mixture, a schedule and times; `Process` asks several for the price of one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...mixture import Mixture
from ..schedules import Schedule
from .process import Process

__all__ = ["denoise", "diffuse", "reverse", "score"]


def diffuse(mixture: Mixture, schedule: Schedule, t: Any) -> Mixture:
    r"""Returns the law of :math:`x_t = \alpha_t x_0 + \sigma_t\varepsilon` for draws of a Gaussian mixture: a mixture.

    Arguments:
        mixture: The law of :math:`x_0`.
        schedule: How signal and noise change with time.
        t: A time, or times ``(*T)``, which give batch shape ``(*T, *B)``.

    Raises:
        MixtureError: If a time is outside of the schedule.
        NotClosedForm: If the components are not Gaussian.

    Example:
        >>> mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 4.0]), torch.ones(2)))
        >>> mx.diffusion.diffuse(mixture, mx.diffusion.RectifiedFlow(), torch.tensor([0.0, 0.5, 1.0])).mean
        tensor([2., 1., 0.])
    """
    return Process(mixture, schedule).at(t)


def score(mixture: Mixture, schedule: Schedule, t: Any, x: Tensor) -> Tensor:
    r"""Returns :math:`\nabla\log p_t(x)`, in the shape of the rows ``x``.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.diffusion.score(mixture, mx.diffusion.EDM(), 1.0, torch.tensor([3.0]))
        tensor([-1.5000])
    """
    return Process(mixture, schedule).score(t, x)


def denoise(mixture: Mixture, schedule: Schedule, t: Any, x: Tensor) -> Tensor:
    r"""Returns :math:`E[x_0|x_t]` for rows x at time t, in their shape.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.diffusion.denoise(mixture, mx.diffusion.EDM(), 1.0, torch.tensor([3.0]))
        tensor([1.5000])
    """
    return Process(mixture, schedule).denoise(t, x)


def reverse(mixture: Mixture, schedule: Schedule, t: Any, x: Tensor, s: Any) -> Mixture:
    r"""Returns the reverse kernel :math:`p(x_s|x_t)` for an earlier time s: a mixture, one entry for each row.

    Example:
        >>> mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
        >>> mx.diffusion.reverse(mixture, mx.diffusion.EDM(), 2.0, torch.tensor([5.0]), 1.0).mean
        tensor([2.0000])
    """
    return Process(mixture, schedule).reverse(t, x, s)
