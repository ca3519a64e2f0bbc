"""Numbers for readers: as many decimals as the scale of a column makes sense of."""

from __future__ import annotations

import math

__all__ = ["amount", "count", "number", "rounded"]


def rounded(value: float, scale: float, digits: int = 3) -> str:
    """The value with that many digits of its scale, however far from zero it is.

    Example:
        >>> from mixtura.report.digits import rounded
        >>> rounded(1000000.1234, 1.0), rounded(4201.75, 800.0), rounded(0.00123456, 1e-4)
        ('1000000.12', '4202', '0.001235')
    """
    if not (math.isfinite(value) and math.isfinite(scale) and scale > 0):
        return number(value)
    decimals = digits - 1 - math.floor(math.log10(scale))
    if decimals > 9 or abs(value) >= 1e12:
        return number(value, 6)
    return f"{value:.{max(0, decimals)}f}"


def number(value: float, digits: int = 4) -> str:
    """A number with that many significant digits.

    Example:
        >>> from mixtura.report.digits import number
        >>> number(2314.29573, 6)
        '2314.3'
    """
    return f"{value:.{digits}g}"


def amount(value: float) -> str:
    """A number of rows, or their total weight.

    Example:
        >>> from mixtura.report.digits import amount
        >>> amount(12000), amount(17.25)
        ('12,000', '17.2')
    """
    return f"{value:,.{0 if value == int(value) else 1}f}"


def count(value: float, word: str, several: str | None = None) -> str:
    """A count and its noun.

    Example:
        >>> from mixtura.report.digits import count
        >>> count(1, "row"), count(12000, "row")
        ('1 row', '12,000 rows')
    """
    return f"{value:,} {word if value == 1 else several or word + 's'}"
