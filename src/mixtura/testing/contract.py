"""What all contracts share: laws are methods whose names begin with ``test_``, found by pytest and by `check`."""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn
from unittest import SkipTest

import torch
from torch import Generator, Tensor

__all__ = ["Contract", "assert_close", "assert_z", "skip"]

Z_LIMIT = 5.0
"""How many standard errors a mean of draws may lie from its expectation: one chance in two million per number."""


class Contract:
    """A set of laws; every method whose name begins with ``test_`` is one."""

    seed = 0

    @property
    def generator(self) -> Generator:
        """A new source of randomness, the same at every call."""
        return torch.Generator().manual_seed(self.seed)

    @classmethod
    def laws(cls) -> tuple[str, ...]:
        """Returns the names of the laws, in alphabetical order."""
        return tuple(sorted(name for name in dir(cls) if name.startswith("test_")))

    def check(self) -> None:
        """Runs every law that applies; the first that fails raises its ``AssertionError``."""
        for law in self.laws():
            with suppress(SkipTest):
                getattr(self, law)()


def skip(reason: str) -> NoReturn:
    """Says that a law does not apply, and why; pytest reports it, and `Contract.check` goes on."""
    raise SkipTest(reason)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-9, what: str = "") -> None:
    """Raises ``AssertionError`` unless shapes are equal and values agree relative to the largest of them."""
    assert actual.shape == expected.shape, f"{what}: shape {tuple(actual.shape)}, not {tuple(expected.shape)}"
    expected = expected.to(actual)
    scale = max(1.0, expected.abs().amax().item()) if expected.numel() else 1.0
    gap = (actual - expected).abs()
    assert bool((gap <= tolerance * scale).all()), f"{what}: differs by {gap.max().item():.3g} at scale {scale:.3g}"


def assert_z(values: Tensor, expected: Tensor, what: str) -> None:
    """Raises ``AssertionError`` if means over the first dimension are too many standard errors from the closed form."""
    error = values.std(0) / len(values) ** 0.5
    gap = (values.mean(0) - expected).abs()
    scale = expected.abs() + values.abs().mean(0)
    wrong = ~(gap <= Z_LIMIT * error + 1e-9 * scale)
    assert not bool(wrong.any()), (
        f"{what}: {(gap / error)[wrong].max().item():.1f} standard errors from the closed form"
    )
