"""Compiled passes over Gaussian vectors that are known to lie in boxes."""
