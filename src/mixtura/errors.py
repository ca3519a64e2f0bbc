"""The errors that Mixtura raises beside Python's own.

Every message names the argument, what was expected, what came, and what to do.
"""

from __future__ import annotations

from typing import NoReturn

__all__ = ["MixtureError", "NotClosedForm", "FileFormatError", "refuse"]


class MixtureError(ValueError):
    """An argument or a data set that Mixtura cannot use; the message says why and what to do."""


class NotClosedForm(NotImplementedError):
    """An operation that has no exact form for this family of components."""


class FileFormatError(MixtureError):
    """A file that is not a mixture saved by Mixtura, is damaged, or comes from a newer version."""


def refuse(argument: str, expected: str, got: object, advice: str = "") -> NoReturn:
    """Raises a `MixtureError` of the house's form: argument, what was expected, what came, what to do."""
    raise MixtureError(f"`{argument}` must be {expected}; got {got}." + (f" {advice}" if advice else ""))
