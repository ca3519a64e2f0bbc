r"""Random numbers that are a function of a key and a place, so that they do not depend on the order of drawing.

The number at place i under key c is the i-th output of the SplitMix64 generator (Steele, Lea and Flood, 2014) started
at c: with :math:`z = c + (i + 1)\gamma` in whole numbers modulo :math:`2^{64}`, rounds of shifting and multiplying
make 64 bits of it, of which the upper ones are the fraction. Blocks of rows that draw by their rows' numbers get the
same draws whoever reads them, in whatever order and of whatever size. Of two such numbers,
:math:`\sqrt{-2 \log(1 - u)}\,\cos 2\pi v` is a standard normal one (Box and Muller, 1958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

__all__ = ["new_key", "normal_of_rows", "uniform", "uniform_of_rows"]

_GAMMA = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_BITS = {torch.float64: 53, torch.float32: 24}


def new_key(generator: Generator | None = None) -> int:
    """Draws a key.

    Example:
        >>> from mixtura.components.special.keyed_draws import new_key
        >>> new_key(torch.Generator().manual_seed(0)) == new_key(torch.Generator().manual_seed(0))
        True
    """
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**62, (), generator=generator, device=device))


def uniform(key: int, start: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Returns numbers in [0, 1), independent between keys and places, of consecutive rows.

    Arguments:
        key: The key, as `new_key` draws it.
        start: The place of the first row; each row takes as many places as it has numbers.
        shape: The shape, rows first.
        dtype: Single or double precision.
        device: Where the numbers are made.

    Example:
        >>> from mixtura.components.special.keyed_draws import uniform
        >>> whole = uniform(7, 0, (6, 2), torch.float64, torch.device("cpu"))
        >>> torch.equal(whole[4:], uniform(7, 4, (2, 2), torch.float64, torch.device("cpu")))
        True
    """
    return uniform_of_rows(key, torch.arange(start, start + shape[0], device=device), shape[1:], dtype)


def uniform_of_rows(key: int, numbers: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Returns numbers in [0, 1), ``(n, *shape)``, of the rows with these numbers ``(n,)``.

    Example:
        >>> from mixtura.components.special.keyed_draws import uniform, uniform_of_rows
        >>> whole = uniform(7, 0, (6, 2), torch.float64, torch.device("cpu"))
        >>> torch.equal(whole[[5, 1]], uniform_of_rows(7, torch.tensor([5, 1]), (2,), torch.float64))
        True
    """
    width = math.prod(shape)
    within = torch.arange(1, width + 1, device=numbers.device)
    z = (numbers.unsqueeze(-1) * width + within).mul_(_signed(_GAMMA)).add_(_signed(key))
    for shift, factor in _ROUNDS:
        z.bitwise_xor_(_shifted(z, shift)).mul_(_signed(factor))
    z.bitwise_xor_(_shifted(z, 31))
    bits = _BITS[dtype]
    return _shifted(z, 64 - bits).to(dtype).mul_(2.0**-bits).reshape(len(numbers), *shape)


def normal_of_rows(key: int, numbers: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Returns standard normal numbers, ``(n, *shape)``, of the rows with these numbers ``(n,)``.

    Example:
        >>> from mixtura.components.special.keyed_draws import normal_of_rows
        >>> normal_of_rows(7, torch.tensor([5, 1]), (3,), torch.float64).shape
        torch.Size([2, 3])
    """
    u, v = uniform_of_rows(key, numbers, (2, *shape), dtype).unbind(1)
    return u.neg().log1p_().mul_(-2).sqrt_().mul_((v * (2 * math.pi)).cos_())


def _shifted(z: Tensor, by: int) -> Tensor:
    """The bits moved down, with zeros above them."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)


def _signed(number: int) -> int:
    """The signed number of the same 64 bits."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number
