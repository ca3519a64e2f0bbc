"""Passes over rows of regressions, compiled: laws of a linear predictor, and sums of a tile of rows."""
