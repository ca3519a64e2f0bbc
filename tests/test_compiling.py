"""What is compiled is told once, and not again where it is kept; importing leaves the collector as it was."""

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


@pytest.mark.parametrize("before", ["enable", "disable"])
def test_importing_leaves_the_collector_as_it_was(tmp_path, before):
    program = f"import gc, torch; gc.{before}(); was = gc.isenabled(); import mixtura; assert gc.isenabled() == was"
    errors_of(program, tmp_path)
