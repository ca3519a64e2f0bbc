"""Weights that hang on covariates, at random, by the law of `random_fits`: finite and why it ended, or refused."""

import random

import pytest
from random_fits import TWISTS, judged

FAMILIES = {
    "mx.Gated.template(mx.LinearRegression)": "real",
    "mx.Gated.template(mx.LinearRegression.template(features=[0]), on=[0])": "real",
    "mx.Gated.template(mx.PoissonRegression)": "counts",
    "mx.Gated.template(mx.LogisticRegression.template(total_count=7))": "trials",
    "mx.Gated.template(mx.Gaussian, on=[0])": "real",
    "mx.Gated.template(mx.Poisson, on=[1])": "counts",
    "mx.Gated.template(mx.StudentT, on=[1])": "real",
    "mx.Gated.template(mx.Beside.with_noise(mx.Gaussian), on=[0])": "real",
}
HELD = "mx.Prior(components=mx.priors.JointPrior((None, mx.priors.NormalCoefficients(2.5))))"
METHODS = (
    *("mx.EM()", "mx.EM()", "mx.EM()", "mx.EM(30)", f"mx.EM(prior={HELD})", "mx.OnlineEM(2, 20)", "mx.KMeans()"),
    *("mx.AnnealedEM()", "mx.ClassificationEM()", "mx.StochasticEM(draws=10)", "mx.SplitMergeEM()", "mx.Variational()"),
)


def line(seed):
    pick = random.Random(seed)
    family, count = pick.choice(list(FAMILIES)), pick.choice([2, 5, 12, 20, 40, 80, 150])
    scale = 10.0 ** pick.randint(-8, 8) if FAMILIES[family] == "real" and pick.random() < 0.4 else 1.0
    offset = 1e6 * scale if FAMILIES[family] == "real" and pick.random() < 0.2 else 0.0
    size, twist = (count, pick.choice([2, 2, 3])), pick.choice(["plain", "plain", "plain", *TWISTS])
    x = f'rows({seed}, "{FAMILIES[family]}", {size}, "{twist}", {scale:g}, {offset:g}, {pick.choice([0.0, 1.0, 3.0])})'
    components = min(pick.choice([1, 2, 2, 3, 4]), count)
    more = [f'sample_weight=weights({seed}, "{pick.choice(["any", "zeros", "whole", "one"])}", {count})']
    more = more if pick.random() < 0.25 else []
    more += [f"labels=labels({seed}, {count}, {components})"] if pick.random() < 0.1 else []
    x += pick.choice(["", "", ".float()"])
    arguments = [x, f"{components}", f"family={family}", f"method={pick.choice(METHODS)}", *more]
    return f"mx.fit({', '.join([*arguments, f'restarts={pick.choice([1, 2, 5])}', f'generator=seeded({seed})'])})"


SLOW = (*range(8, 120), 234)  # that one had a saddle for its end


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW)])
def test_a_fit_is_finite_with_a_reason_or_refused_in_words(seed):
    found = judged(line(seed))
    assert not found.defect, str(found)
