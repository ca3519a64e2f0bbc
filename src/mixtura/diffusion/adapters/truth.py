"""A mixture's denoiser for rows in the shapes, types and times of other libraries."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import refuse
from ...mixture import Mixture
from ..laws import Process
from ..schedules import Schedule

__all__ = ["Truth"]


class Truth:
    r"""The exact :math:`E[x_0|x_t]` of rows of any outer and inner shape: images of D pixels are rows, too.

    Arguments:
        mixture: The law of the draws, without batch shape.
        schedule: How signal and noise change with time.

    Raises:
        MixtureError: If the mixture has a batch shape.
        NotClosedForm: If its components are not Gaussian.
    """

    def __init__(self, mixture: Mixture, schedule: Schedule) -> None:
        self.process = Process(mixture, schedule)
        if mixture.batch_shape:
            came = f"batch shape {tuple(mixture.batch_shape)}"
            refuse("mixture", "one mixture", came, "Choose one: mixture.batch(0).")

    def denoise(self, x: Tensor, t: Any) -> Tensor:
        """Returns the clean rows to be expected, in the shape and type of ``x``.

        Arguments:
            x: The noisy rows, ``(N, *)`` with D numbers in each, or one row.
            t: One time, or one for each of the rows, ``(N,)``.

        Raises:
            MixtureError: If the numbers of ``x`` do not make whole rows, or there are other times than rows.
        """
        rows, times = self._rows(x), torch.as_tensor(t)
        if times.ndim and times.shape != (len(rows),) and times.numel() != 1:
            refuse("t", f"one time, or one for each of {len(rows)} rows", tuple(times.shape))
        found = self.process.denoise(times.expand(len(rows)) if times.ndim else times, rows)
        return found.reshape(x.shape).to(x.dtype)

    def _rows(self, x: Tensor) -> Tensor:
        event = self.process.mixture.event_shape
        if x.numel() % event.numel():
            refuse("x", f"rows of {event.numel()} numbers", tuple(x.shape))
        return x.reshape(-1, *event)
