"""What is known exactly of a Gaussian mixture on its way to noise and back."""

from .functions import denoise, diffuse, reverse, score
from .process import Process

__all__ = ["Process", "denoise", "diffuse", "reverse", "score"]
