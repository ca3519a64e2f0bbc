"""From a context to numbers: a body that reads the context, and heads that put out what the mixture is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import refuse

__all__ = ["Body", "Constant", "Varying", "body", "perceptron"]


def perceptron(inputs: int, hidden_features: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Returns layers of so many features, each followed by the activation.

    Example:
        >>> from mixtura.conditional.networks import perceptron
        >>> perceptron(3, (8,), torch.nn.ReLU)(torch.zeros(5, 3)).shape
        torch.Size([5, 8])
    """
    if not isinstance(hidden_features, Sequence) or not all(isinstance(n, int) and n > 0 for n in hidden_features):
        refuse("hidden_features", "the numbers of features of the layers, such as (64, 64)", repr(hidden_features))
    if isinstance(activation, nn.Module):
        refuse("activation", "what makes activations, such as torch.nn.SiLU", repr(activation), "Give the class.")
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *hidden_features), hidden_features):  # noqa: B905 (one shorter by design)
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers)


def body(
    context: int | Sequence[int],
    network: nn.Module | None,
    hidden_features: Sequence[int],
    activation: Callable[[], nn.Module],
) -> Body | None:
    """Returns what reads contexts; none where there is no context.

    Arguments:
        context: The number of features of a context, 0 for none, or its shape.
        network: What reads contexts ``(n, *shape)`` into ``(n, H)``; a perceptron if none is given.
        hidden_features: The layers of the perceptron.
        activation: What makes its activations.
    """
    shape: tuple[int, ...] = (context,) if isinstance(context, int) else tuple(context)
    if prod(shape) < 0 or not all(isinstance(size, int) for size in shape):
        refuse("context", "a number of features, 0 for none, or the shape of one context", repr(context))
    if prod(shape) == 0:
        return None
    if network is None and len(shape) > 1:
        refuse("network", f"given for contexts of shape {shape}", None, "A perceptron reads vectors only.")
    return Body(shape, perceptron(prod(shape), hidden_features, activation) if network is None else network)


class Body(nn.Module):
    """Reads contexts ``(*B, *shape)`` into features ``(*B, H)``: in units of the contexts seen, then by a network.

    Arguments:
        shape: The shape of one context.
        network: From ``(n, *shape)`` to ``(n, H)``.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], network: nn.Module) -> None:
        super().__init__()
        self.shape = torch.Size(shape)
        self.register_buffer("location", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.network = network

    @torch.no_grad()
    def outputs(self) -> int:
        """Returns the number of features H, by a trial on two contexts of zeros."""
        training, like = self.network.training, next(self.network.parameters(), self.location)
        found = self.network.eval()(torch.zeros(2, *self.shape).to(like))
        self.network.train(training)
        if not isinstance(found, Tensor) or found.ndim != 2:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            refuse("network", f"a module from (n, {', '.join(map(str, self.shape))}) to (n, H)", got)
        return found.shape[-1]

    @torch.no_grad()
    def standardise(self, context: Tensor) -> None:
        """Takes the units of contexts ``(N, *shape)``: their means and standard deviations from now on are 0 and 1."""
        scale = context.std(0, correction=0)
        self.location.copy_(context.mean(0))
        self.scale.copy_(torch.where(scale > 0, scale, 1))

    def batch(self, context: Any) -> torch.Size:
        """Returns the batch shape of contexts; refused where the rest is not the shape of one context."""
        if not isinstance(context, Tensor):
            refuse("context", "a tensor", type(context).__name__, "Take torch.as_tensor(context).")
        lead = context.ndim - len(self.shape)
        if lead < 0 or context.shape[lead:] != self.shape:
            refuse("context", f"of shape (..., {', '.join(map(str, self.shape))})", tuple(context.shape))
        return context.shape[:lead]

    def forward(self, context: Tensor) -> Tensor:
        batch = self.batch(context)
        rows = context.reshape(batch.numel(), *self.shape).to(self.location.dtype)
        found = self.network((rows - self.location) / self.scale)
        return found.reshape(*batch, found.shape[-1])


class _Head(nn.Module):
    """Numbers of several shapes that begin at a start and move from it in units of their own.

    Arguments:
        start: The numbers where all features are zero, one shape behind another, ``(size,)``.
        shapes: The shapes.
    """

    start: Tensor
    unit: Tensor

    def __init__(self, start: Tensor, shapes: Sequence[torch.Size]) -> None:
        super().__init__()
        self.shapes = list(shapes)
        self.sizes = [shape.numel() for shape in shapes]
        self.register_buffer("start", start.clone())
        self.register_buffer("unit", torch.ones_like(start))

    @torch.no_grad()
    def begin(self, start: Tensor, unit: Tensor) -> None:
        """Puts out a start, whatever the context, and moves from there in these units."""
        self.start.copy_(start)
        self.unit.copy_(unit)
        for parameter in self.parameters():
            parameter.zero_()


class Constant(_Head):
    """Numbers that are the same in every context."""

    def __init__(self, start: Tensor, shapes: Sequence[torch.Size], inputs: int) -> None:
        super().__init__(start, shapes)
        self.moved = nn.Parameter(torch.zeros_like(start))

    def forward(self, batch: torch.Size, inside: Tensor | None) -> list[Tensor]:
        """Returns the numbers, each of a shape ``(*B, *shape)``."""
        pieces = torch.addcmul(self.start, self.moved, self.unit).split(self.sizes)
        return [piece.reshape(shape).expand(*batch, *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]


class Varying(_Head):
    """Numbers that are linear in the features H of the body."""

    def __init__(self, start: Tensor, shapes: Sequence[torch.Size], inputs: int) -> None:
        super().__init__(start, shapes)
        self.linear = nn.Linear(inputs, len(start))

    def forward(self, batch: torch.Size, inside: Tensor) -> list[Tensor]:
        """Returns the numbers, each ``(*B, *shape)``; start and units go into the weights, which are fewer."""
        weight = (self.linear.weight * self.unit.unsqueeze(-1)).split(self.sizes)
        bias = torch.addcmul(self.start, self.linear.bias, self.unit).split(self.sizes)
        each = zip(weight, bias, self.shapes, strict=True)
        numbers = (nn.functional.linear(inside, matrix, offset).unflatten(-1, shape) for matrix, offset, shape in each)
        return [number.to(self.start.dtype) for number in numbers]  # a network may run in half precision, a mixture not
