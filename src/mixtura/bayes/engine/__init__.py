"""Draws from a posterior by NUTS: nutpie asks, machine code made for the model answers; torch where there is none."""

from .draw import Draws, draw

__all__ = ["Draws", "draw"]
