"""Fits of regressions to small tables, many updates in a call, against the same fits by the plain loop."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.learning import Reason

D = torch.float64


class Plain(mx.EM):
    """EM by the loop, update by update."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


FAMILIES = {
    "linear": mx.LinearRegression,
    "Poisson": mx.PoissonRegression,
    "logistic": mx.LogisticRegression.template(total_count=9),
    "of trials": mx.LogisticRegression.template(target=-2, trials=-1),
}


def rows_of(name, count=150, covariates=2, seed=0):
    """Rows of two components, and which they are of."""
    source = seeded(seed)
    z, label = torch.randn(count, covariates, generator=source, dtype=D), torch.arange(count) % 2
    slope = torch.randn(2, covariates, generator=source, dtype=D)
    predictor = torch.tensor([0.5, 1.5], dtype=D)[label] + (slope[label] * z).sum(-1)
    trials = 5.0 + torch.arange(count, dtype=D) % 6 if name == "of trials" else torch.full((count,), 9.0, dtype=D)
    y = {
        "linear": lambda: predictor + 0.5 * torch.randn(count, generator=source, dtype=D),
        "Poisson": lambda: torch.poisson((0.5 * predictor).exp(), generator=source),
    }.get(name, lambda: torch.binomial(trials, torch.sigmoid(predictor), source))()
    more = [trials.unsqueeze(-1)] if name == "of trials" else []
    return torch.cat([z, y.unsqueeze(-1), *more], -1), label


def template(name, **more):
    family = FAMILIES[name]
    return family.template(**more) if isinstance(family, type) else type(family)(**{**vars(family), **more})


def both(x, updates=None, **given):
    limits = {} if updates is None else {"acceleration": False, "max_iterations": updates, "tolerance": 0}
    return [mx.fit(x, method=kind(**limits), **given) for kind in (mx.EM, Plain)]


def same(one, other, rtol):
    torch.testing.assert_close(one.trace, other.trace, rtol=rtol, atol=rtol)
    assert one.mixture.dtype is other.mixture.dtype
    for a, b in zip(one.mixture.components.tensors(), other.mixture.components.tensors(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e3 * rtol, atol=1e3 * rtol)
    torch.testing.assert_close(one.mixture.weights, other.mixture.weights, rtol=1e3 * rtol, atol=rtol)


@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-11), (torch.float32, 1e-4)])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("covariates", [1, 2, 5])
def test_updates_of_lines_are_those_of_the_loop(covariates, intercept, dtype, rtol):
    x, label = rows_of("linear", covariates=covariates)
    weight = torch.rand(len(x), generator=seeded(), dtype=D)
    weight[::7] = 0
    given = {"family": mx.LinearRegression.template(intercept=intercept), "init": label}
    same(*both(x.to(dtype), 8, sample_weight=weight.to(dtype), **given), rtol)


@pytest.mark.parametrize("name", ["Poisson", "logistic", "of trials"])
@pytest.mark.parametrize("intercept", [True, False])
def test_near_the_optimum_updates_are_steps_of_newtons_as_in_the_loop(name, intercept):
    x, label = rows_of(name)
    family = template(name, intercept=intercept)
    there = mx.fit(x, family=family, init=label, method=Plain(max_iterations=20, tolerance=0)).mixture
    components = there.components._replace(effect=there.components.effect + 0.01)
    start = mx.Mixture._of(there.logits, components)
    same(*both(x, 6, family=family, init=start), 1e-11)


@pytest.mark.parametrize("name", FAMILIES)
def test_both_end_at_one_optimum(name):
    x, label = rows_of(name, 300)
    ours, theirs = both(x, family=FAMILIES[name], init=label)
    assert ours.converged
    assert theirs.converged
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, abs=2e-3)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("accelerated", [True, False])
def test_the_objective_never_falls_from_anywhere(name, accelerated):
    x, _ = rows_of(name)
    family, labels = FAMILIES[name], torch.randint(3, (len(x),), generator=seeded(3))
    found = mx.fit(x, family=family, init=labels, method=mx.EM(acceleration=accelerated))
    assert found.reason in (Reason.CONVERGED, Reason.MAX_ITERATIONS, Reason.COLLAPSED)
    start = found.mixture.components._replace(effect=8 * torch.randn(3, 3, generator=seeded(2), dtype=D))
    far = mx.fit(x, family=family, init=mx.Mixture._of(found.mixture.logits, start))
    assert far.reason is not Reason.FELL
    for trace in (found.trace, far.trace):
        assert all(b >= a - 1e-12 * abs(a) for a, b in zip(trace, trace[1:], strict=False))


@pytest.mark.parametrize("name", ["Poisson", "logistic", "of trials"])
def test_one_regression_reaches_the_maximum(name):
    x, _ = rows_of(name)
    ours, theirs = both(x, family=FAMILIES[name], components=1)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-6)
    effect = ours.mixture.components.effect.clone().requires_grad_()
    total = ours.mixture.components._replace(effect=effect).log_prob(x).sum()
    (slope,) = torch.autograd.grad(total, effect)
    assert slope.abs().max() < 1e-2


def test_rows_that_weigh_nothing_may_be_anything():
    x, label = rows_of("linear")
    weight = torch.ones(len(x), dtype=D)
    weight[:30] = 0
    wild = x.clone()
    wild[:30] = 1e9
    given = {"family": mx.LinearRegression, "init": label}
    whole, some = mx.fit(wild, sample_weight=weight, **given), mx.fit(x, sample_weight=weight, **given)
    torch.testing.assert_close(whole.trace, some.trace, rtol=1e-10, atol=1e-10)


def test_separation_is_a_collapse_in_both():
    z = torch.linspace(-2, 2, 80, dtype=D)
    x = torch.stack([z, (z > 0).to(D)], -1)
    ours, theirs = both(x, family=mx.LogisticRegression, components=1)
    assert ours.reason is theirs.reason is Reason.COLLAPSED


def test_a_component_on_one_line_of_points_is_a_collapse_in_both():
    x, label = rows_of("linear")
    x[label == 1, 2] = 3 * x[label == 1, 0] - x[label == 1, 1]
    ours, theirs = both(x, family=mx.LinearRegression, init=label)
    assert ours.reason is theirs.reason is Reason.COLLAPSED


@pytest.mark.parametrize("name", FAMILIES)
def test_many_starts_find_no_less_than_by_the_loop(name):
    x, _ = rows_of(name, 250, seed=5)
    given = {"family": FAMILIES[name], "components": 3}
    ours, theirs = (mx.fit(x, method=kind(), generator=seeded(), **given) for kind in (mx.EM, Plain))
    assert ours.spurious or theirs.spurious or ours.log_likelihood > theirs.log_likelihood - 0.05


def test_lines_through_the_origin_stay_there_and_moves_too():
    x, _ = rows_of("linear", 250)
    found = mx.fit(x, 2, family=mx.LinearRegression.template(intercept=False), generator=seeded())
    assert not found.mixture.components.constant
    assert math.isfinite(found.log_likelihood)
    assert not bool(found.mixture.components.intercept.any())
