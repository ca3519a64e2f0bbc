"""Passes compiled for a CPU by numba."""
