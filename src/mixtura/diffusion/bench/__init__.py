"""Posterior samplers side by side, against the exact posterior."""

from .setting import Setting

__all__ = ["Setting"]
