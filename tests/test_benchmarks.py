"""The benchmarks run, compare like with like, and say what is missing. Nothing here looks at a clock."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks import limits, table, targets  # noqa: E402
from benchmarks.cases import DTYPES, SHAPES, STRUCTURES, Case, grid  # noqa: E402
from benchmarks.turns import Result, Subject, take_turns  # noqa: E402


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    few = "--quick --only full-300x2x3-float64 --subjects sklearn torch_mixture --rounds 1 --seconds 0.001 --threads 1"
    command = [sys.executable, "-m", "benchmarks", *few.split(), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return json.loads((out / "results.json").read_text())["cells"], (out / "RESULTS.md").read_text()


def test_every_task_is_measured_for_all_that_have_it(outcome):
    cells, _ = outcome
    measured = {(r["task"], r["subject"]) for cell in cells for r in cell if r["times"]}
    both = {(task, subject) for task in ("log_prob", "sample") for subject in ("mixtura", "sklearn", "torch_mixture")}
    assert measured >= both | {
        ("em", "mixtura"),
        ("em", "sklearn"),
        ("gradient", "mixtura"),
        ("gradient", "torch_mixture"),
    }


def test_subjects_find_the_same(outcome):
    cells, _ = outcome
    for cell in cells:
        values = [r["value"] for r in cell if r["times"] and r["task"] != "sample"]
        np.testing.assert_allclose(values, values[:1] * len(values), rtol=1e-9)


def test_what_a_subject_has_not_is_an_empty_cell_with_a_reason(outcome):
    cells, page = outcome
    missing = next(r for cell in cells for r in cell if r["subject"] == "torch_mixture" and r["task"] == "em")
    assert not missing["times"] and "has no em" in missing["reason"]
    case = Case(300, 2, 3, "full", "float64")
    ours, theirs = Result("em", case, "mixtura", [0.1]), Result("em", case, "sklearn", reason="not here")
    rates = {f"{name} {dtype}": 1e9 for name in ("GEMM", "exp", "normal") for dtype in DTYPES} | {"memory": 1e9}
    other = [Result("em", case, "mixtura", [0.1]), Result("em", case, "sklearn", [0.2])]
    text = table.document({}, rates, {}, [[ours, theirs], other])
    assert "[^1]: scikit-learn: not here" in text and "2×" in text and "wanted 8" in text
    assert "## The hardware" in page


def test_a_broken_subject_harms_no_other():
    subjects = [Subject("mixtura"), Subject("nobody")]
    try:
        ours, nobody = take_turns(subjects, "log_prob", Case(300, 2, 3, "full", "float64"), 0.001, 1)
    finally:
        for subject in subjects:
            subject.end()
    assert ours.times and nobody.reason is not None and "nobody" in nobody.reason


@pytest.mark.parametrize("structure", STRUCTURES)
def test_cases_are_the_same_in_every_process_and_fit_their_mixture(structure):
    one, two = (Case(3000, 4, 3, structure, "float64") for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    assert one.truth.log_likelihood(one.x) > one.start.log_likelihood(one.x)
    assert one.truth.dense().shape == (3, 4, 4)


def test_the_grid_has_every_cell():
    cases = grid(SHAPES)
    plain = {(c.rows, c.features, c.components, c.structure, c.dtype) for c in cases if c.distance == 4}
    assert len(plain) == len(SHAPES) * len(STRUCTURES) * len(DTYPES)
    assert any(c.distance < 4 for c in cases)


def test_limits_grow_with_the_work():
    small, large = Case(100, 4, 3, "full", "float64"), Case(200, 8, 6, "full", "float64")
    rates = {"GEMM float64": 1e9, "exp float64": 1e9, "normal float64": 1e9, "memory": 1e9}
    for work in limits.WORK.values():
        assert 0 < work(small).seconds(rates, "float64") < work(large).seconds(rates, "float64")
    triangle = limits.log_prob(small).operations
    assert triangle == 100 * 3 * 4 * 5 and limits.em(small).operations == 2 * triangle


def test_ratios_are_taken_round_by_round():
    case = Case(100, 10, 3, "full", "float64")
    ours, theirs = Result("em", case, "mixtura", [1.0, 10.0, 1.0]), Result("em", case, "sklearn", [9.0, 90.0, 9.0])
    assert theirs.ratio(ours) == 9 and not list(targets.misses([ours, theirs]))
    theirs.times[:] = [7.0, 70.0, 7.0]
    assert len(list(targets.misses([ours, theirs]))) == 1
