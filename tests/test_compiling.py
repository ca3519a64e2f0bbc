"""What is compiled is told once, and not again where it is kept; importing brings little, and leaves the collector."""

import os
import subprocess
import sys

import pytest
import torch

from mixtura.kernels import BACKENDS, Plan, Reference

FIT = """
import torch, mixtura as mx
x = torch.arange(900.0).reshape(300, 3).sin()
mx.fit(x, 2, method=mx.KMeans(2), generator=torch.Generator().manual_seed(0))
"""


def errors_of(program, cache):
    environment = {"NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    return found.stderr


def test_compiling_is_told_once(tmp_path):
    plan = Plan.nearest(torch.zeros(1, 1, 1))
    if not any(type(b) is not Reference and b.serves(plan, torch.zeros(1, 1)) for b in BACKENDS):
        pytest.skip("numba does not compile here")
    assert errors_of(FIT, tmp_path).count("compiling for this machine") == 1
    assert "compiling" not in errors_of(FIT, tmp_path)


def test_importing_leaves_a_collector_switched_off_and_what_was_frozen(tmp_path):
    program = "import gc, torch; gc.disable(); gc.freeze(); import mixtura; "
    errors_of(program + "assert not gc.isenabled() and gc.get_freeze_count() > 0", tmp_path)


LATER = ("diffusion", "divergences", "plots", "report")


def test_importing_brings_nothing_that_a_fit_does_without(tmp_path):
    """Neither the rooms above a fit nor packages beside torch's; a first fit brings none of them either."""
    program = f"""
import gc, sys, torch
before = set(sys.modules)
import mixtura as mx
assert gc.isenabled() and not gc.get_freeze_count()
mx.fit(mx.datasets.old_faithful(), 2)
brought = {{name.split(".")[0] for name in set(sys.modules) - before}}
rooms = [name for name in {LATER} if f"mixtura.{{name}}" in sys.modules]
packages = brought & {{"numba", "matplotlib", "scipy", "sklearn", "pandas", "polars", "pyarrow", "typer", "rich"}}
assert not rooms and not packages, (rooms, packages)
for name in {LATER}:
    assert name in dir(mx) and getattr(mx, name) is sys.modules[f"mixtura.{{name}}"]
assert not hasattr(mx, "nothing")
"""
    errors_of(program, tmp_path)
