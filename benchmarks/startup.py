"""What a newcomer waits for: importing, and a first default fit of 300 x 2."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

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
    """Median seconds over fresh processes."""
    command = [sys.executable, "-c", _PROGRAM]
    found = [json.loads(subprocess.check_output(command, text=True)) for _ in range(runs)]
    return {name: statistics.median(column) for name, column in zip(NAMES, zip(*found, strict=True), strict=True)}
