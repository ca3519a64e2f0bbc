"""The pass for Student-t components on a CPU through compiled kernels: soft labels, float32 and float64 rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..reference import Full, Kernel, Spherical
from . import student_loops as student_kernels
from .gaussian import _SUMS_BYTES, Array, _Diagonal, _Full, _FullPooled, _in_threads, _shares, _weights, _workers

__all__ = ["sums"]


class _Tails:
    """What makes a Gaussian model one of Student-t: degrees of freedom, and three more sums of each component."""

    def __init__(self, x: Array, mean: Array, factor: Array, logits: Array, dof: Array) -> None:
        super().__init__(x, mean, factor, np.zeros_like(logits))  # type: ignore[call-arg]
        features = mean.shape[-1]
        tails = 1 / dof, 0.5 * (dof + features), (dof + features) / dof, logits
        self.tails = tuple(np.ravel(one).astype(x.dtype) for one in tails)

    def arguments(self) -> tuple[Array, ...]:
        return *super().arguments(), *self.tails  # type: ignore[misc]

    def room(self) -> tuple[Array, ...]:
        likelihood, mass, *moments = super().room()  # type: ignore[misc]
        return likelihood, mass, *(np.zeros_like(mass) for _ in range(3)), *moments

    def finish(self, likelihood: Array, mass: Array, *rest: Array) -> tuple[Array, ...]:
        logs, squares, pull, shift, second = rest
        _, _, shift, scatter = super().finish(likelihood, mass, shift, second)  # type: ignore[misc]
        return likelihood, mass, logs, squares, pull, shift, scatter


class _StudentFull(_Tails, _Full):
    sums = student_kernels.full_sums


class _StudentPooled(_Tails, _FullPooled):
    sums = student_kernels.full_sums


class _StudentDiagonal(_Tails, _Diagonal):
    sums = student_kernels.diagonal_sums


def sums(
    kind: Kernel, x: Tensor, weight: Tensor | None, mean: Tensor, factor: Tensor, logits: Tensor, dof: Tensor
) -> list[Tensor]:
    """The fields of `StudentSums`, from one pass over the rows."""
    rows, weights = x.contiguous().numpy(), _weights(x, weight)
    factor = factor.unsqueeze(-1).expand(*factor.shape, mean.shape[-1]) if kind is Spherical else factor
    tied = factor.shape[1] != mean.shape[1]
    model = (_StudentPooled if tied else _StudentFull) if kind is Full else _StudentDiagonal
    limit = max(1, _SUMS_BYTES // (8 * factor[0, 0].numel() * mean.shape[1]))
    workers = min(_workers(x, mean), limit)
    parameters = [t.to(torch.float64).numpy() for t in (mean, factor, logits, dof)]
    parts = [
        _sums(model(rows, *(p[s] for p in parameters)), rows, weights, workers)
        for s in _shares(mean.shape[0], max(1, limit // workers))
    ]
    *most, scatter = (torch.from_numpy(np.concatenate(field)) for field in zip(*parts, strict=True))
    return [*most, scatter.sum(-1) if kind is Spherical else scatter]


def _sums(model: _Tails, rows: Array, weights: Array, workers: int) -> tuple[Array, ...]:
    flat, size = rows.reshape(-1), model.size()  # type: ignore[attr-defined]
    centre, arguments = model.centre, model.arguments()  # type: ignore[attr-defined]

    def run(begin: int, end: int) -> tuple[Array, ...]:
        room = model.room()
        type(model).sums(flat, begin, end, weights, centre, *arguments, size, *room)  # type: ignore[attr-defined]
        return room

    parts = _in_threads(run, len(rows), workers)
    return model.finish(*(np.add.reduce(field) for field in zip(*parts, strict=True)))
