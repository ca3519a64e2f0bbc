"""Machine code does what Python does with the same function; it is kept on disk, and made anew where damaged."""

import compileall
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from llvmlite import ir

import mixtura as mx
from mixtura.kernels.native.machine import called
from mixtura.kernels.native.panels import (
    WIDTH,
    beyond,
    exp,
    fma,
    largest,
    load_panel,
    log,
    softmax,
    splat,
    store,
    total,
)
from mixtura.kernels.native.program import Program, plain
from mixtura.kernels.native.values import INT, NUMBERS, REAL, VOID, WHOLE

FACTOR = 3


@pytest.fixture(autouse=True)
def kept_apart(tmp_path, monkeypatch):
    """What these tests compile is not kept with the package's own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))


BOTH = ir.FunctionType(VOID, [NUMBERS, WHOLE])


class Pair(NamedTuple):
    one: Any
    other: Any


@plain
def arithmetic(x, n):
    """Whole numbers and numbers, and both together."""
    x[0] = x[1] * x[2] - x[3] / x[1] + x[2] ** 2
    n[0] = n[1] * n[2] - n[3] + n[1] ** 2
    x[4] = n[1] / n[2] + n[3] * x[1] - 1 / FACTOR
    x[5] = -x[1] + abs(x[2]) - abs(-n[3]) + float(n[1])


@plain
def division(x, n):
    """Rounds down, whatever the signs."""
    for i in range(6):
        n[6 + i] = n[i] // n[0] * 100 + n[i] % n[0]
        n[i] = n[i] // -n[0] * 100 + n[i] % -n[0]


@plain
def loops(x, n):
    """Ranges, breaks, and what goes on."""
    for i in range(2, n[3], 2):
        if i == 4:
            continue
        n[0] += i
    for i in range(5):
        for j in range(i, 5):
            n[1] += i * j
            if n[1] > 20:
                break
    k = 0
    while True:
        k += 1
        if k * k > n[2] and not k < 3:
            break
    n[2] = k


@plain
def kinds(x, n):
    """A variable that is whole at first and a number later, and truths that are numbers."""
    value, found = 1, False
    for i in range(3):
        found = x[i] > x[i + 1] or found
        value = value + x[i] if i % 2 == 0 else value
    x[0] = value if found else n[1]
    n[1] = found
    x[1] = 1 if x[2] < 0 else 2.5


@plain
def early(x, n, at):
    """Two values, from one of three places."""
    for i in range(n[0]):
        if x[i] > 1.0:
            return i, x[i]
    if at < 0:
        return at, 0
    return -1, x[0]


@plain
def calls(x, n):
    """Calls of calls, tuples, records, and places behind places."""
    n[2], x[0] = early(x, n, n[1])
    pair = Pair(x, Pair(n, x[1]))
    pair.one[2] = pair.other.other + early(pair.one, pair.other.one, *shifted(n[1]))[1]
    n[1], n[2] = n[2], n[1]
    x[3] = n[3] = 7
    first, second = (x[1], x[2]) if n[0] > 2 else (x[2], x[1])
    x[1], x[2] = second, first


@plain
def shifted(i):
    """A tuple of one."""
    return (i - 1,)


@plain
def functions(x, n):
    """Those of the module `math`."""
    x[0] = math.sqrt(abs(x[0])) + math.exp(x[1]) + math.log(abs(x[2]) + 1) + math.sin(x[3]) * math.cos(x[4])
    x[1] = math.lgamma(abs(x[1]) + 1) + math.log1p(abs(x[2])) + math.atan2(x[3], x[4]) + math.pi
    n[0] = math.isfinite(x[0]) and not math.isfinite(math.inf) and not math.isfinite(math.nan * x[0])
    n[1] = (math.nan == math.nan) + 2 * (math.nan != math.nan)


EXAMPLES = [arithmetic, division, loops, kinds, calls, functions]


@pytest.mark.parametrize("function", EXAMPLES, ids=lambda function: function.function.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_machine_code_does_what_python_does(function, seed):
    generator = np.random.default_rng(seed)
    x, n = generator.normal(size=12), generator.integers(1, 9, 12) * np.where(np.arange(12) < 4, 1, -1)
    mine, theirs = (x.copy(), n.copy()), (x.copy(), n.copy())
    called(function, BOTH)(*(array.ctypes.data for array in mine))
    function(*theirs)
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-14)
    np.testing.assert_array_equal(mine[1], theirs[1])


@pytest.mark.parametrize("body", ["n[0] = [1, 2]", "n[0] = x[0] ** 3", "n[0] = (lambda: 1)()", "x[0] = 'a'", "del x"])
def test_what_has_no_machine_code_is_refused(body, tmp_path):
    path = tmp_path / "unknown.py"
    path.write_text(f"def unknown(x, n):\n    {body}\n")
    names = {}
    exec(compile(path.read_text(), path, "exec"), names)
    with pytest.raises((TypeError, ValueError)):
        Program.of(plain(names["unknown"]), BOTH)


# -- panels


@plain
def of_panels(x, out):
    """A panel in, a panel out, and the sum of its lanes."""
    first, second = load_panel(x, 0), load_panel(x, WIDTH)
    value = fma(2, first, largest(first, second)) - second / splat(4, first)
    store(out, 0, value * first)
    store(out, WIDTH, log(exp(splat(-1.0, first) - first * first)))
    out[2 * WIDTH] = total(value)
    out[2 * WIDTH + 1] = beyond(x, WIDTH)[0]


def test_panels():
    x, out = np.random.default_rng(0).normal(size=2 * WIDTH), np.zeros(2 * WIDTH + 2)
    called(of_panels, ir.FunctionType(VOID, [NUMBERS, NUMBERS]))(x.ctypes.data, out.ctypes.data)
    first, second = x.reshape(2, -1)
    value = 2 * first + np.maximum(first, second) - second / 4
    expected = np.concatenate([value * first, -1 - first * first, [value.sum(), second[0]]])
    np.testing.assert_allclose(out, expected, rtol=1e-13)


@plain
def density_of(joint, components, out):
    """The log density of a panel of rows."""
    store(out, 0, softmax(joint, 0, components, WIDTH))


@pytest.mark.parametrize("components", [1, 2, 3])
def test_softmax_of_a_panel_of_rows(components):
    joint = np.random.default_rng(0).normal(size=(components, WIDTH)) * 30
    density = np.logaddexp.reduce(joint)
    found, out = joint.copy(), np.zeros(WIDTH)
    called(density_of, ir.FunctionType(VOID, [NUMBERS, INT, NUMBERS]))(found.ctypes.data, components, out.ctypes.data)
    np.testing.assert_allclose(found, np.exp(joint - density), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(out, density, rtol=1e-13, atol=1e-14)


# -- kept on disk

FIT = """
import sys, torch, mixtura as mx
x = mx.datasets.old_faithful()
print(mx.fit(x, 3, generator=torch.Generator().manual_seed(0)).log_likelihood)
print(*sorted(sys.modules), file=sys.stderr)
"""


def fitted(folder, **given):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1", **given}
    return subprocess.run([sys.executable, "-c", FIT], capture_output=True, text=True, env=environment, check=True)


def here():
    """What the same fit comes to in this process."""
    return mx.fit(mx.datasets.old_faithful(), 3, generator=torch.Generator().manual_seed(0)).log_likelihood


@pytest.mark.slow
def test_code_is_kept_once_without_numba_and_made_anew_where_it_is_damaged(tmp_path):
    first = fitted(tmp_path)
    assert "numba" not in first.stderr.split() and float(first.stdout) == pytest.approx(here())
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert "compiling" in first.stderr and len(kept) == 6  # a trial, layout, E-step, M-step, driver, K-means
    again = fitted(tmp_path)
    assert "compiling" not in again.stderr and again.stdout == first.stdout
    damaged = sorted(kept)[0]
    damaged.write_bytes(kept[damaged][:100] + b"?" + kept[damaged][101:])
    mended = fitted(tmp_path)
    assert "compiling" in mended.stderr and mended.stdout == first.stdout
    assert damaged.read_bytes() == kept[damaged] and set(tmp_path.iterdir()) == set(kept)


def test_nothing_is_compiled_where_compiling_is_switched_off(tmp_path):
    plainly = fitted(tmp_path, NUMBA_DISABLE_JIT="1")
    assert "compiling" not in plainly.stderr and float(plainly.stdout) == pytest.approx(here())


def test_a_compiler_that_is_not_understood_is_named_and_done_without(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import llvmlite.binding\n"
        "def refuse(text):\n"
        "    raise RuntimeError('pointers have types no more')\n"
        "llvmlite.binding.parse_assembly = refuse\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(mx.__file__).parents[1])])
    found = fitted(tmp_path / "kept", PYTHONPATH=path)
    assert "pointers have types no more" in found.stderr and "by torch" in found.stderr
    assert float(found.stdout) == pytest.approx(here())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_code_is_compiled_where_nothing_can_be_kept(tmp_path):
    tmp_path.chmod(0o500)
    assert "compiling" in fitted(tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)).stderr


def test_a_package_without_sources_fits_by_torch(tmp_path):
    """As in programs frozen into one file: there is nothing to make machine code of."""
    package = Path(mx.__file__).parent
    shutil.copytree(package, tmp_path / "mixtura", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(tmp_path / "mixtura", legacy=True, quiet=2)
    for path in (tmp_path / "mixtura").rglob("*.py"):
        path.unlink()
    found = fitted(tmp_path, PYTHONPATH=str(tmp_path))
    assert "compiling" not in found.stderr and float(found.stdout) == pytest.approx(here())


@pytest.mark.slow
def test_processes_that_begin_together_all_fit(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", FIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        for _ in range(3)
    ]
    assert len({one.communicate()[0] for one in begun}) == 1 and not any(one.returncode for one in begun)
    assert "compiling" not in fitted(tmp_path).stderr


def test_arguments_and_results_of_every_kind():
    @plain
    def middle(first, at, x):
        return first + x[at]

    found = called(middle, ir.FunctionType(REAL, [REAL, INT, NUMBERS]))(1.5, 1, np.array([1.0, 2.0]).ctypes.data)
    assert found == 3.5
