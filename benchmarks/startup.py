"""What a newcomer waits for: importing, and a first default fit of 300 x 2."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile

_PROGRAM = """
import json, time
t0 = time.perf_counter()
import torch
t1 = time.perf_counter()
import mixtura as mx
t2 = time.perf_counter()
x = torch.cat([torch.randn(100, 2, dtype=torch.double) + centre for centre in (0.0, 4.0, 8.0)])
t3 = time.perf_counter()
times = []
for seed in range(6):
    start = time.perf_counter()
    mx.fit(x, components=3, generator=torch.Generator().manual_seed(seed))
    times.append(time.perf_counter() - start)
print(json.dumps([t1 - t0, t2 - t1, times[0], sorted(times[1:])[2]]))
"""
NAMES = (
    "import torch",
    "import mixtura after torch",
    "first default fit of 300 x 2",
    "further default fits of 300 x 2",
)


def measure(runs: int) -> dict[str, float]:
    """Median seconds over fresh processes, with bytecode beside the sources, as an installer leaves it."""
    command = [sys.executable, "-c", _PROGRAM]
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        kept["PYTHONPYCACHEPREFIX"] = folder
        lines = [subprocess.check_output(command, text=True, env=kept) for _ in range(runs + 1)]
    found = [json.loads(line) for line in lines[1:]]
    return {name: statistics.median(column) for name, column in zip(NAMES, zip(*found, strict=True), strict=True)}
