"""Settings in plain words and numbers: what a method, a prior or a structure was made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

__all__ = ["described", "flat"]


def described(value: Any) -> Any:
    """A value as numbers, text, lists and dictionaries: what JSON can hold.

    Example:
        >>> mx.report.described(mx.EM(tolerance=1e-6))["tolerance"]
        1e-06
    """
    if isinstance(value, Tensor):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        inside = {field.name: described(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **inside}
    if isinstance(value, tuple | list):
        return [described(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The leaves of `described`, each with its dotted name; types stand for themselves."""
    if not isinstance(value, dict):
        yield name, value
        return
    yield name, value["type"]
    for key, item in value.items():
        if key != "type":
            yield from flat(item, f"{name}.{key}")
