"""The command line: ``mixtura fit | select | score | assign | sample | report | demo | diffusion``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command that was typed; exits with 1 after an error and 130 after Ctrl-C."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"the command line needs {error.name}, which is not installed; pip install 'mixtura[cli]'")
    app()
