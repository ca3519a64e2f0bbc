"""The benchmarks run, compare like with like, and say what is missing. Nothing here looks at a clock."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mixtura as mx

pytest.importorskip("sklearn")

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks import bayes, diffusion_guidance, fuzz, limits, optima, small, startup, table, targets  # noqa: E402
from benchmarks.cases import DTYPES, SHAPES, STRUCTURES, Case, grid  # noqa: E402
from benchmarks.turns import Result, Subject, take_turns  # noqa: E402


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    few = "--quick --only full-300x2x3-float64 --subjects sklearn torch_mixture --rounds 1 --seconds 0.001 --threads 1"
    command = [sys.executable, "-m", "benchmarks", *few.split(), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return json.loads((out / "results.json").read_text())["cells"], (out / "RESULTS.md").read_text()


@pytest.mark.slow
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


@pytest.mark.slow
def test_subjects_find_the_same(outcome):
    cells, _ = outcome
    for cell in cells:
        values = [r["value"] for r in cell if r["times"] and r["task"] != "sample"]
        np.testing.assert_allclose(values, values[:1] * len(values), rtol=1e-9)


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_a_newcomer_waits_for_is_measured():
    assert all(seconds > 0 for seconds in startup.measure(1).values())


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


# -- fits at random, and how often the best optimum is reached


def test_endings_are_counted_and_defects_stand_below_what_is_fine():
    found = [fuzz.Ending("a", "CONVERGED", seconds=2.0), fuzz.Ending("b", "FELL"), fuzz.Ending("c", "CONVERGED")]
    counts = fuzz.counted(found)
    assert counts["CONVERGED"] == 2 and counts["over a second"] == 1 and counts["cases"] == 3
    page = fuzz.document({"before": counts, "after": fuzz.counted(found[:1])})
    assert "| FELL | 1 | 0 |" in page and "| **defects** | **1** | **0** |" in page


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical", "tied"])
def test_an_optimum_is_the_same_whoever_found_it_and_spurious_ones_are_told(structure):
    problem = optima.Problem("drawn 2-D", structure, 1)
    ours, theirs = optima.ours(problem, 0), optima.theirs("kmeans")(problem, 0)
    assert theirs.log_likelihood == pytest.approx(ours.log_likelihood, abs=0.01) and not ours.spurious
    fit = mx.fit(problem.x, 2, covariance=optima.tied(structure), generator=torch.Generator().manual_seed(0))
    weights, mean, covariance = fit.mixture.weights, fit.mixture.components.mean, fit.mixture.components.covariance
    found = optima.Optimum.of(problem.x, weights, mean, covariance)
    assert found.log_likelihood == pytest.approx(fit.log_likelihood) and not found.spurious
    assert optima.Optimum.of(problem.x, weights, mean, 1e-7 * covariance).spurious == (structure != "tied")
    few = torch.full((2,), 1e-99, dtype=torch.float64)
    few[covariance.det().argmax()] = 1.0  # the narrow one is far from most rows, and holds none
    assert optima.Optimum.of(problem.x, few, mean, covariance).spurious == (structure != "tied")


def test_the_time_until_an_optimum_is_that_of_as_many_attempts_as_it_takes():
    one = {"seconds": 2.0, "ends": [1.0, 5.0, 4.0, 5.0], "sound": [True, True, True, False], "spurious": 1}
    assert optima.reached(one, 5.0) == 0.25
    assert optima.until(one, 5.0) == pytest.approx(2.0 * np.log(0.05) / np.log(0.75))
    assert optima.until(one, 0.0) == pytest.approx(2.0 * np.log(0.05) / np.log(0.25))
    assert optima.until(one | {"sound": [True] * 4}, 0.0) == 2.0
    kept = {"search": {}, "ours": {"now": {optima.FORTY[0].name: one}}, "peer": {"kmeans": {}}}
    assert optima.best_known(kept, optima.FORTY[0]) == 5.0
    assert f"| {optima.FORTY[0].name} | 5.00 | 1 | 2e+03 | 1 |" in optima.document(kept)
    assert len(optima.FORTY) == 40 and len(optima.HELD_OUT) == 10 and not set(optima.FORTY) & set(optima.HELD_OUT)


@pytest.mark.filterwarnings("ignore:Best performing")
def test_small_tables_take_turns_and_say_what_they_compare():
    calls = []
    times = small.shortest(lambda: calls.append("a"), lambda: calls.append("b"), rounds=2)
    assert calls == ["a", "b"] * 3 and len(times) == 2
    lines = [small.Line("a fit", 0.5, 2.0, "1", "note"), small.Line("an import", 2e-5, None, "0.1 s")]
    page = small.document({1: lines, 2: lines})
    assert "| a fit | 2 | 500 ms | 2 s | 0.25 | 1 |" in page and "20 µs" in page and "- a fit: note." in page
    ours, theirs = small.from_one_start(60, 2, 2)
    weights = ours(5).mixture.weights.numpy()
    np.testing.assert_allclose(weights, theirs(5).weights_, atol=1e-6)


def test_a_problem_in_the_axes_of_its_measurement_is_the_same_problem():
    problem = mx.diffusion.problems.cardoso2023(8, 4, 3)
    simple, axes = diffusion_guidance.turned(problem)
    assert simple.posterior.components.structure.elementwise and not problem.posterior.components.structure.elementwise
    torch.testing.assert_close(simple.posterior.weights, problem.posterior.weights)
    torch.testing.assert_close(simple.posterior.mean, problem.posterior.mean @ axes)
    torch.testing.assert_close(simple.posterior.covariance, axes.mT @ problem.posterior.covariance @ axes)
    torch.testing.assert_close(simple.clean, problem.clean @ axes)


def test_a_log_that_was_broken_off_is_counted(tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file:
        done = fuzz.run(argparse.Namespace(first=3, cases=2, processes=1, log=file))
    assert [one.line for one in fuzz.read(log, 9)] == [one.line for one in done] and len(fuzz.read(log, 1)) == 1


def test_runs_whose_chains_disagree_are_counted_and_left_out():
    line = {"model": "overlapping", "sampler": "mixtura", "seed": 0, "total": 2.0, "sampling": 1.0, "effective": 50.0}
    runs = [line | {"rhat": 1.001, "divergences": 0}, line | {"rhat": 1.2, "divergences": 3, "effective": 2.0}]
    page = bayes.document(runs)
    assert "| overlapping | Mixtura | 2 | 1 | 2.0 | 1.00 | 50 | 1.2000 | 3 |" in page
    assert "Not measured here: nutpie on PyMC on overlapping" in page
