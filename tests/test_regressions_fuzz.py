"""Mixtures of regressions at random, by the law of `random_fits`: finite with a reason, or an error that says why."""

import random

import pytest
from random_fits import TWISTS, judged

FAMILIES = {
    "mx.LinearRegression": "real",
    "mx.LinearRegression.template(target=0, intercept=False)": "real",
    "mx.PoissonRegression": "counts",
    "mx.LogisticRegression.template(total_count=7)": "trials",
    "mx.LogisticRegression": "bits",
}
METHODS = (
    *("mx.EM()", "mx.EM()", "mx.EM()", "mx.EM(30)", "mx.EM(prior=mx.Prior(2.0))", "mx.OnlineEM(2, 20)", "mx.KMeans()"),
    *("mx.AnnealedEM()", "mx.ClassificationEM()", "mx.StochasticEM(draws=10)", "mx.SplitMergeEM()", "mx.Variational()"),
)


def line(seed):
    pick = random.Random(seed)
    family, count = pick.choice(list(FAMILIES)), pick.choice([2, 5, 12, 20, 40, 80, 150])
    scale = 10.0 ** pick.randint(-8, 8) if FAMILIES[family] == "real" and pick.random() < 0.4 else 1.0
    offset = 1e6 * scale if FAMILIES[family] == "real" and pick.random() < 0.2 else 0.0
    size, twist = (count, pick.choice([2, 2, 3, 4])), pick.choice(["plain", "plain", *TWISTS])
    x = f'rows({seed}, "{FAMILIES[family]}", {size}, "{twist}", {scale:g}, {offset:g}, {pick.choice([0.0, 1.0, 3.0])})'
    components = min(pick.choice([1, 2, 2, 3, 5]), count)
    more = [f'sample_weight=weights({seed}, "{pick.choice(["any", "zeros", "whole", "one"])}", {count})']
    more = more if pick.random() < 0.25 else []
    more += [f"labels=labels({seed}, {count}, {components})"] if pick.random() < 0.1 else []
    x += pick.choice(["", "", ".float()"])
    arguments = [x, f"{components}", f"family={family}", f"method={pick.choice(METHODS)}", *more]
    return f"mx.fit({', '.join([*arguments, f'restarts={pick.choice([1, 2, 5])}', f'generator=seeded({seed})'])})"


# What is still open; this list only shrinks.
OPEN: dict[int, str] = {}


def marked(seed):
    return [pytest.mark.slow, *([pytest.mark.xfail(reason=OPEN[seed])] if seed in OPEN else [])]


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=marked(seed)) for seed in range(8, 200))])
def test_a_fit_is_finite_with_a_reason_or_refused_in_words(seed):
    found = judged(line(seed))
    assert not found.defect, str(found)
