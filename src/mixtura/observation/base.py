"""What observations share: tensors led by rows and components, and sums over rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..components import Component, Gaussian
from ..components.observation import Frame
from ..errors import refuse

__all__ = ["add_up", "aligned", "by_row", "lead", "of_label", "weighted"]


def add_up(parts: Sequence[tuple[Tensor, ...]]) -> list[Tensor]:
    """Adds tuples of sums, entry by entry."""
    return [torch.stack(field).sum(0) for field in zip(*parts, strict=True)]


def weighted(gaussian: Gaussian, r: Tensor, shift: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The sums that `Gaussian.update` takes, from each row's expected moments about the means."""
    first = torch.einsum("n...k,n...kd->...kd", r.double(), shift.double())
    moment = torch.einsum("n...k,n...kij->...kij", r.double(), second.double())
    return first, gaussian.structure.pooled(moment)


def lead(name: str, tensor: Tensor, trailing: int, frame: Frame, per_row: bool | None) -> Tensor:
    """Gives a tensor its leading dimensions ``(R, C)``.

    One leading dimension counts rows if ``per_row`` says so. Where it says nothing, it counts rows in a fit if there
    are so many rows, and outside a fit if there are not so many components.
    """
    extra = tensor.ndim - trailing
    if extra == 0:
        return tensor[None, None]
    if extra == 1:
        rows = _counts_rows(tensor.shape[0], frame) if per_row is None else per_row
        tensor = tensor.unsqueeze(1) if rows else tensor.unsqueeze(0)
    elif extra != 2:
        refuse(name, f"a tensor with {trailing} to {trailing + 2} dimensions", f"shape {tuple(tensor.shape)}")
    _check_lead(name, tensor, frame)
    return tensor


def _counts_rows(size: int, frame: Frame) -> bool:
    if frame.rows is None:
        return size != 1 and frame.components is not None and size != frame.components
    if frame.rows == frame.components:
        refuse("per_row", "given where rows and components are equally many", frame.rows)
    return size == frame.rows


def _check_lead(name: str, tensor: Tensor, frame: Frame) -> None:
    for size, known, what in ((tensor.shape[0], frame.rows, "rows"), (tensor.shape[1], frame.components, "components")):
        if known is not None and size not in (1, known):
            refuse(name, f"one for all or one for each of the {known} {what}", f"{size}", "See `per_row`.")


def aligned(tensor: Tensor, components: Component) -> Tensor:
    """A tensor led by ``(R, C)`` as ``(R, 1, ..., C, ...)``, or ``(1, ..., C, ...)`` where shared by rows."""
    inner = (1,) * (len(components.batch_shape) - 1)
    rows = tensor.shape[:1] if tensor.shape[0] > 1 else ()
    return tensor.reshape(*rows, *inner, *tensor.shape[1:])


def by_row(tensor: Tensor, components: Component) -> Tensor:
    """A tensor led by ``(R, C)`` beside components ``(N, K)`` of which each row has its own: as it is."""
    return tensor


def of_label(tensor: Tensor, labels: Tensor) -> Tensor:
    """Each row's own entry, ``(*S, ...)``, of a tensor led by ``(R, C)`` for labels ``(*S)`` whose last counts rows."""
    row = torch.arange(labels.shape[-1], device=labels.device) if tensor.shape[0] > 1 else 0
    return tensor[row, labels if tensor.shape[1] > 1 else torch.zeros_like(labels)]
