"""The garbage collector rests while the package is imported: nothing of it is garbage, and torch is much to search.

A full collection after torch's import takes sixty milliseconds, most of what importing mixtura would.
"""

import gc

import torch as _torch  # noqa: F401 before the collector rests: where it is missing, nothing has changed

__all__ = ["resume"]

_WAS_ENABLED = gc.isenabled()
gc.disable()


def resume() -> None:
    """Lets the collector go on if it did before; what was imported is old then, and not looked at first of all."""
    if not _WAS_ENABLED:
        return
    if gc.get_freeze_count() == 0:
        gc.freeze()
        gc.unfreeze()  # all of it to the oldest generation
    gc.enable()
