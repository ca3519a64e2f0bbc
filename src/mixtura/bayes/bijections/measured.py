"""Real numbers in units of the data."""

from __future__ import annotations

from typing import Any

from torch.distributions.transforms import AffineTransform

__all__ = ["Measured"]


class Measured(AffineTransform):
    """Real numbers times a scale, about a location, both of a shape that broadcasts to theirs.

    torch's own asks `torch.broadcast_shapes` for shapes, whose first call imports a system of computer algebra: four
    tenths of a second of a process.
    """

    def forward_shape(self, shape: Any) -> Any:
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        return shape
