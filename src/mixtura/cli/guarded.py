"""One place where errors become messages: in the words of the command line, without a traceback."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ..errors import NotClosedForm
from .interruption import Interruption

__all__ = ["Guarded", "said"]

_EXPECTED = (ValueError, OSError, ImportError, NotClosedForm)
_OPTIONS = (
    "columns",
    "weight",
    "errors",
    "components",
    "covariance",
    "criterion",
    "restarts",
    "max_iterations",
    "tolerance",
    "method",
    "problem",
    "guidance",
    "samples",
    "steps",
    "d",
)
_WORDS = {
    "`x`": "DATA",
    "`path`": "--out",
    "`groups`": "--by",
    "`d_y`": "--dy",
    **{f"`{name}`": "--" + name.replace("_", "-") for name in _OPTIONS},
    "(`mx.EM(prior=mx.Prior.weak(x, components))`)": "(--prior weak)",
}


class Guarded(TyperGroup):
    """Commands whose expected errors end with a message and exit status 1, and Ctrl-C with 130."""

    def invoke(self, ctx: Any) -> Any:
        with Interruption() as interruption:
            try:
                return super().invoke(ctx)
            except (BrokenPipeError, typer.Exit, typer.Abort):
                raise  # typer ends these itself; `mixtura ... | head` has read enough and ends quietly
            except KeyboardInterrupt:
                _interrupted()
            except Exception as error:
                if interruption.came:
                    _interrupted(f" It ended with: {error}")
                if not isinstance(error, _EXPECTED):
                    raise
                typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
                typer.echo(said(str(error)), err=True)
                raise typer.Exit(1) from error


def _interrupted(how: str = "") -> NoReturn:
    typer.secho(f"Interrupted; nothing was written.{how}", err=True)
    raise typer.Exit(130) from None


def said(message: str) -> str:
    """A message in which arguments of Python functions are called as they are on the command line.

    Example:
        >>> from mixtura.cli.guarded import said
        >>> said("`columns` must be columns of numbers. Leave it out: columns=['a', 'b'].")
        '--columns must be columns of numbers. Leave it out: --columns a,b.'
    """
    for python, typed in _WORDS.items():
        message = message.replace(python, typed)
    message = re.sub(r"`(--[a-z-]+|[A-Z]+)`", r"\1", message)  # ours already, quoted as all arguments are
    listed = re.sub(r"columns=\[([^\]]*)\]", lambda found: "--columns " + re.sub(r"'|(?<=,) ", "", found[1]), message)
    return listed.replace("columns=", "--columns")
