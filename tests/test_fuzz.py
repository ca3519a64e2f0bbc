"""Fits at random end as fits may: finite with a reason that holds, or with an error of ours. See `random_fits`."""

import dataclasses
import re
import warnings

import pytest
import torch
from random_fits import judged, line, rows, seeded

import mixtura as mx

CASES, EACH, MANY = 1000, 25, 3000

# What is still open: outcomes by which a case does not fail yet, with a piece of the line where it is one family's or
# one method's alone. This list only shrinks.
OPEN: list[tuple[str, str]] = []

# What still takes too long for a default test, by a piece of the line.
SLOW = [
    r"SplitMergeEM.*observation",
]


# By default no fit takes more updates than this: what creeps is left to `make slow`.
SHORT = r"(mx\.(?:EM|Variational|AnnealedEM|ClassificationEM|SplitMergeEM|StochasticEM)\()(?=\)|prior=|draws=)"


def short(one):
    return re.sub(SHORT, r"\1max_iterations=250, ", one)


def defects(lines):
    found = [judged(one) for one in lines if not any(re.search(slow, one) for slow in SLOW)]
    return [one for one in found if one.defect and not is_open(one)]


def is_open(one):
    return any(re.match(outcome, one.outcome) and re.search(piece, one.line) for outcome, piece in OPEN)


@pytest.mark.parametrize("first", range(0, CASES, EACH))
def test_a_fit_is_finite_and_its_reason_holds_or_it_is_an_error_of_ours(first):
    found = defects(short(line(seed)) for seed in range(first, first + EACH))
    assert not found, "\n".join(map(str, found))


# Cases beyond those above that were defects, by what was wrong.
MENDED = {
    "a component that a last digit of the sums undoes": 67,
    "logarithms of a beta function that cancel": 20452,
    "a float32 negative binomial whose probability rounded to zero": 20337,
    "a negative binomial by Newton's steps": 20680,
    "gradient steps where one row has a million times the weight": 20037,
    "scores in single precision": 20502,
    "labelled rows that do not count, outside of the support": 20527,
    "columns of very different size, in their own axes": 20215,
    "clusters that are points at zero": 20606,
    "components alike but for a far row": 21937,
    "a factor of low rank that breaks": 21160,
    "logarithms of clean rows below zero": 21208,
    "clean rows expected at one place": 21779,
    "a component that comes back from nothing": 22714,
    "steps that grow": 22869,
    "a plateau": 22090,
    "noise beyond the tolerance": 22099,
    "degrees of freedom by Newton's steps": 364,
    "degrees of freedom by Newton's steps under a prior": 22014,
    "gradient steps that lead too far": 23438,
    "a law without a mean that is judged spurious": 23076,
    "uniform boxes that lose their rows": 1688,
    "uniform boxes behind shifts": 22179,
    "a component of next to nothing that grows slowly": 30406,
    "columns that depend on each other but for rounding": 22311,
    "one value behind gaps": 2286,
    "logarithms of two rows": 100009,
    "successes alone": 100494,
    "a far row whose columns depend on each other": 100540,
    "first updates after a guess": 100868,
    "noise of a factor at its bound": 101214,
    "labels that are settled before degrees of freedom are": 103704,
    "labels behind gaps in single precision": 57287,
    "starts from rows at one place": 25071,
    "a posterior in double that is read in single precision": 105775,
    "a law of extrapolated successes": 300390,
    "a law of extrapolated categories": 301136,
    "a pivot that is rounding": 114735,
    "a wide component of which rounding leaves no width": 1538,
    "a far row behind shifts, by differences of its square": 52208,
    "a far row behind scales, by differences of its square": 24433,
    "gradients of a component at one row": 108537,
    "gradient steps in units of their own": 113409,
    "gradient steps beside a far row": 116567,
    "gradient steps of tiny numbers": 102690,
    "a prior on a start without width": 111227,
    "a component that loses its last rows at once": 115424,
    "a coordinate that holds up all others": 110967,
    "counts of nothing under a row with a million times the weight": 111146,
    "hazards beyond numbers": 119944,
    "rows infinitely far": 412289,
    "logarithms of rows rounded to zero": 406351,
    "hazards beyond numbers, block by block": 117274,
    "a far row with a million times the weight behind scales": 111578,
    "a likelihood of few digits that creeps": 1891,
    "an end where rounding put the likelihood low": 2193,
    "one gain that rounding made small": 106829,
    "first updates that shrink faster than later ones": 106994,
    "steps that a component of no weight made short": 667,
    "how far it is, forgotten after a short run": 113826,
    "columns of very different size behind shifts": 115140,
    "light tails in single precision": 114538,
    "light tails in single precision, of two components": 118185,
    "boxes beside thin components, of a low rank": 117977,
    "a saddle under a weak prior": 102495,
    "a saddle that gains little for long": 5106,
    "a plateau in single precision": 118942,
}


# The same, of fits that take ten seconds.
MENDED_SLOW = {
    "rounded rows whose probability nodes told roughly": 103334,
    "binned rows under components that are all but flat": 30222,
    "censored rows a hundred million wide": 118780,
    "censored rows whose probability nodes told roughly": 104753,
}


@pytest.mark.parametrize(
    "seed",
    [
        *(pytest.param(seed, id=wrong) for wrong, seed in MENDED.items()),
        *(pytest.param(seed, id=wrong, marks=pytest.mark.slow) for wrong, seed in MENDED_SLOW.items()),
    ],
)
def test_what_was_a_defect_is_none(seed):
    found = judged(line(seed))
    assert not found.defect, found


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MANY, 100))
def test_many_more_fits(first):
    found = defects(map(line, range(first, first + 100)))
    assert not found, "\n".join(map(str, found))


# -- the judge sees what there is to see

X = 'rows(3, "real", (60, 2), "plain", 1, 0, 1)'


@dataclasses.dataclass(frozen=True)
class Hasty(mx.EM):
    """EM that says after three updates that it has converged."""

    def converged(self, one, rounding):
        return len(one.trace) > 3


@dataclasses.dataclass(frozen=True)
class Falling(mx.EM):
    """EM that turns the weights around."""

    def update(self, statistics, mixture):
        return mx.Mixture(mixture.weights.flip(-1), mixture.components)


def warned(**arguments):
    warnings.warn("careful", stacklevel=1)
    return mx.fit(**arguments)


def infinite():
    fit = mx.fit(rows(3, "real", (60, 2), "plain", 1, 0, 1), 2)
    fit.mixture.components.mean[0, 0] = torch.inf
    return fit


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (f"mx.fit({X}, 2)", "CONVERGED"),
        (f"mx.fit({X}, 0)", "MixtureError"),
        (f"mx.fit({X}, 2, family=mx.Laplace, observation=mx.observation.Missing())", "NotClosedForm"),
        ("1 / 0", "error: ZeroDivisionError"),
        (f"warned(x={X}, components=2)", "warning"),
        ("infinite()", "numbers not finite"),
        (f"mx.fit({X}, 3, method=Hasty(), restarts=1)", "then gains"),
        (f"mx.fit({X}, 3, method=Falling(20), restarts=1)", "FELL"),
    ],
)
def test_the_judge_tells_outcomes_apart(code, outcome):
    found = judged(code, Hasty=Hasty, Falling=Falling, warned=warned, infinite=infinite)
    assert found.outcome == outcome, found
    assert found.defect == (outcome not in ("CONVERGED", "MixtureError", "NotClosedForm")) and code in str(found)


def test_a_line_is_the_whole_of_a_case():
    lines = [line(seed) for seed in range(200)]
    assert len(set(lines)) == 200 and lines == [line(seed) for seed in range(200)]
    for piece in ("EM(", "KMeans", "Variational", "Gibbs", "sample_weight", "labels", "observation", "family", "float"):
        assert any(piece in one for one in lines), piece
    one, two = (mx.fit(rows(3, "real", (60, 2), "ties", 1, 0, 1), 2, generator=seeded(3)) for _ in range(2))
    assert one.log_likelihood == two.log_likelihood
