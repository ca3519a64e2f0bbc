"""Uses of fits at random keep their laws, or end with an error of ours. See `random_uses` and `uses_of_fits`."""

import re
from collections import Counter

import pytest
import torch
from random_fits import rows, seeded
from random_uses import judged, line
from use_laws import USES, Case, close, hold, use

import mixtura as mx

CASES, EACH, MANY = 250, 10, 3000

# By default nothing is fitted by more updates than this, and what draws pictures is left to `make slow`.
SHORT = r"(mx\.(?:EM|Variational|AnnealedEM|ClassificationEM|SplitMergeEM|StochasticEM)\()(?=\)|prior=|draws=)"
SLOW = (
    r"^(reported|commanded|tested|validated)|foretold.*Beta|SplitMergeEM|"
    r"Rounded|Censored|Truncated|Binned|ShiftNoise|ScaleNoise"
)


def short(one):
    return re.sub(SHORT, r"\1max_iterations=100, ", one)


def defects(lines):
    return [one for one in map(judged, lines) if one.defect]


@pytest.mark.parametrize("first", range(0, CASES, EACH))
def test_a_use_keeps_its_laws_or_ends_with_an_error_of_ours(first):
    found = defects(short(one) for one in map(line, range(first, first + EACH)) if not re.search(SLOW, one))
    assert not found, "\n".join(map(str, found))


# What was a defect, by what was wrong.
MENDED = {
    "clusters that begin at components of another law": (
        'shuffled(rows(188, "real", (20,), "plain", 100, 0, 3), 3, method=mx.KMeans(4, 0), generator=seeded(188))'
    ),
    "replicates that draw from the fit's generator": (
        'resampled(rows(235, "positive", (12,), "repeated", 1, 0, 1), 2, family=mx.Exponential, '
        "method=mx.AnnealedEM(max_iterations=250), restarts=5, generator=seeded(235))"
    ),
    "second derivatives of a Bessel function of order zero": (
        'measured(rows(1026, "angles", (80, 1), "far", 1, 0, 1), 8, family=mx.VonMises, '
        "method=mx.EM(max_iterations=250), restarts=2, generator=seeded(1026))"
    ),
    "second derivatives that are infinite": (
        'measured(rows(260, "positive", (2, 3), "line", 1e+08, 0, 3), 2, family=mx.Weibull, '
        "method=mx.EM(max_iterations=250), restarts=2, generator=seeded(260))"
    ),
    "conditionals of independent columns without the rows' batch": (
        'foretold(rows(263, "positive", (150, 2), "plain", 1e+08, 0, 0), 3, family=mx.Weibull, '
        'method=mx.EM(max_iterations=250), sample_weight=weights(263, "whole", 150), restarts=2, generator=seeded(263))'
    ),
    "a picture of counts": (
        'reported(rows(291, "counts", (20, 2), "skewed", 1, 0, 3), 2, family=mx.Gated.template(mx.Poisson, on=[1]), '
        "method=mx.EM(max_iterations=250), restarts=2, generator=seeded(291))"
    ),
    "a number of stride zero in a model's file": (
        'saved(rows(10538, "real", (5,), "points", 1, 0, 20).float(), 5, family=mx.Beside.with_noise(mx.Normal), '
        "method=mx.ClassificationEM(max_iterations=250), restarts=1, generator=seeded(10538))"
    ),
    "groups of which variational Bayes keeps not the same number of components": (
        'grouped(rows(10495, "real", (40,), "line", 1, 0, 3), 5, generator=seeded(10495), restarts=5, '
        "method=mx.Variational(max_iterations=250, prior=mx.Prior(mx.StickBreaking(2.0))))"
    ),
    "a number in the place of a prior": (
        'saved(rows(3, "real", (40, 2)), 2, method=mx.Variational(60), generator=seeded(3))'
    ),
    "a large count that is foretold exactly, in single precision": (
        'explained(rows(1523, "counts", (150, 2), "far", 1, 0, 0).float(), 3, family=mx.PoissonRegression, '
        "method=mx.EM(30), restarts=2, generator=seeded(1523))"
    ),
    "groups of which one has no objective, and one variances that only axes in single precision hold": (
        'grouped(rows(1082, "real", (40, 3), "line", 1, 0, 20).float(), 3, covariance="VVE", method=mx.EM(), '
        "restarts=5, generator=seeded(1082))"
    ),
    "groups that collapse to lines": (
        'grouped(rows(2556, "real", (20, 2), "line", 1, 0, 1), 4, covariance="EEV", method=mx.EM(30), restarts=1, '
        "generator=seeded(2556))"
    ),
    "clusters that begin at components without a mean": (
        'grouped(rows(2487, "positive", (12,), "repeated", 1, 0, 20), 1, family=mx.InverseGamma, method=mx.KMeans(), '
        "restarts=2, generator=seeded(2487))"
    ),
    "counts that are all none, where every step of Newton's is a long one": (
        'streamed(rows(1652, "counts", (12, 2), "skewed", 1, 0, 20), 8, family=mx.PoissonRegression, '
        "method=mx.EM(4, 0, acceleration=False), restarts=2, generator=seeded(1652))"
    ),
    "quantiles of vectors of one feature, of families whose coordinates are independent": (
        'foretold(rows(2938, "real", (5, 3), "plain", 1, 0, 1).float(), 3, family=mx.Uniform, '
        "method=mx.SplitMergeEM(), restarts=2, generator=seeded(2938))"
    ),
    "a density without a slope in rows where it is level": (
        'sloped(rows(1300, "real", (80, 3), "skewed", 1, 0, 3), 4, family=mx.Uniform, '
        "method=mx.StochasticEM(draws=10), labels=labels(1300, 80, 4), restarts=5, generator=seeded(1300))"
    ),
    "errors of logits of which nothing is left": (
        'measured(rows(2524, "totals", (150, 2), "skewed", 1, 0, 3), 3, '
        "family=mx.Multinomial.template(total_count=6), method=mx.EM(30), restarts=2, generator=seeded(2524))"
    ),
    "labels of draws that agree altogether": (
        'ordered(rows(249, "bits", (80,), "plain", 1, 0, 0), 2, family=mx.Bernoulli, method=mx.EM(max_iterations=250), '
        "restarts=1, generator=seeded(249))"
    ),
}


@pytest.mark.parametrize("code", MENDED.values(), ids=MENDED)
def test_what_was_a_defect_is_none(code):
    found = judged(code)
    assert found.outcome in ("KEPT", "MixtureError", "NotClosedForm"), found


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MANY, 50))
def test_many_more_uses(first):
    found = defects(map(line, range(first, first + 50)))
    assert not found, "\n".join(map(str, found))


# -- the judge sees what there is to see


@pytest.fixture
def broken():
    """Uses that break what every use must keep."""
    before = dict(USES)

    @use
    def changing(case: Case) -> None:
        case.x[0] = 0

    @use
    def drawing(case: Case) -> None:
        torch.rand(())

    @use
    def failing(case: Case) -> None:
        hold("one is two", 1 == 2, 1)

    @use
    def drifting(case: Case) -> None:
        close("numbers stay", case.x, case.x + 1e-3)

    yield
    USES.clear()
    USES.update(before)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("changing", "inputs stay"),
        ("drawing", "only the generator"),
        ("failing", "one is two"),
        ("drifting", "numbers stay"),
    ],
)
def test_the_judge_names_the_law_that_is_broken(broken, name, word):
    found = judged(f'{name}(rows(3, "real", (20, 2)), 2, generator=seeded(3))')
    assert found.defect and word in found.detail, found


def test_a_line_is_the_whole_of_a_case_and_every_use_is_written():
    lines = [line(seed) for seed in range(2000)]
    assert len(set(lines)) == 2000 and lines[:50] == [line(seed) for seed in range(50)]
    assert set(Counter(one.split("(")[0] for one in lines)) == set(USES)
    for piece in ("Gated", "Regression", "Conjugate", "labels", "sample_weight", "observation", "Product", "Beside"):
        assert any(piece in one for one in lines), piece
    assert mx.fit(rows(3, "real", (60, 2)), 2, generator=seeded(3)).converged
