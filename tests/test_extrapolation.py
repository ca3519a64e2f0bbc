"""Extrapolation of updates: never down, the same limit, in fewer updates; on small tables and through observations."""

import functools
import itertools
import math
from dataclasses import replace

import pytest
import torch

import mixtura as mx
from mixtura.data import TensorRows
from mixtura.learning import Reason
from mixtura.learning.loop.extrapolation import Extrapolation
from mixtura.learning.loop.run import run

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def overlapping(rows=300, seed=0):
    x = torch.randn(rows, 2, generator=seeded(seed), dtype=F64)
    return x + 2.2 * torch.randint(0, 2, (rows, 1), generator=seeded(seed + 1))


X = overlapping()
GAPS = X.masked_fill(torch.rand(X.shape, generator=seeded(4)) < 0.2, math.nan)
NOISE = torch.randn(X.shape, generator=seeded(3), dtype=F64)
CASES = {
    "small table": (X, {}),
    "tied": (X, {"covariance": "tied-full"}),
    "shared shape": (X, {"covariance": "VEE"}),
    "numbers": (X[:, 0], {}),
    "Student-t": (X, {"family": mx.StudentT}),
    "gamma": (X[:, 0].abs() + 0.1, {"family": mx.Gamma}),
    "counts": ((3 * X[:, 0].abs()).round(), {"family": mx.Poisson}),
    "product": (X, {"family": mx.Product.template((mx.Normal, [0]), (mx.StudentT, [1]))}),
    "a prior": (X, {"prior": mx.Prior.weak(X, 2)}),
    "gaps": (GAPS, {"observation": mx.observation.Missing()}),
    "noise": (X + NOISE, {"observation": mx.observation.AdditiveNoise(scale=1.0)}),
    "rounded": ((2 * X).round() / 2, {"observation": mx.observation.Rounded(0.5)}),
}


def fitted(x, accelerated, prior=None, **given):
    method = mx.EM(max_iterations=3000, tolerance=1e-9, prior=prior, acceleration=accelerated)
    start = torch.arange(len(x)) % 2 if prior is None else (X[:, 0] > 1).long()
    return mx.fit(x, 2, method=method, init=start, **given)


@pytest.mark.parametrize("case", CASES)
def test_it_never_falls_and_ends_where_plain_updates_do_not_gain(case):
    x, given = CASES[case]
    fit = fitted(x, True, **given)
    assert fit.reason is Reason.CONVERGED and bool((fit.trace.diff() > -1e-12).all())
    plain = mx.EM(50, 0, given.get("prior"), acceleration=False)
    again = mx.fit(x, init=fit.mixture, method=plain, observation=given.get("observation"))
    assert again.trace[-1] - again.trace[0] < 1e-8


@pytest.mark.parametrize("case", ["small table", "gamma", "gaps", "rounded", "a prior"])
def test_it_takes_fewer_updates_to_the_same_optimum(case):
    x, given = CASES[case]
    quick, plain = fitted(x, True, **given), fitted(x, False, **given)
    assert quick.trace[-1] > plain.trace[-1] - 1e-6
    assert quick.iterations < 0.7 * plain.iterations


START = mx.fit(X, 2, init=(X[:, 0] > 1).long(), method=mx.EM(2, 0)).mixture
THREE = mx.fit(X, 3, init=torch.arange(300) % 3, method=mx.EM(3, 0, acceleration=False)).mixture
VARIATIONAL = mx.Variational(elimination=False)
STICKS = mx.Prior(mx.priors.StickBreaking(0.5))
WEIGHTS = torch.rand(300, generator=seeded(6), dtype=F64)
KNOWN = torch.where(torch.arange(300) < 20, torch.arange(300) % 2, -1)
OTHERS = {  # learners beside EM of what is free: start, rows, method, what else is given
    "variational": (THREE, X, VARIATIONAL, {}),
    "variational, a process": (THREE, X, replace(VARIATIONAL, prior=STICKS), {}),
    "variational, single precision": (THREE.to(torch.float32), X.float(), VARIATIONAL, {}),
    "variational, weights": (START, X, VARIATIONAL, {"sample_weight": WEIGHTS}),
    "variational, labels": (START, X, VARIATIONAL, {"labels": KNOWN}),
    "variational, gaps": (THREE, GAPS, VARIATIONAL, {"observation": mx.observation.Missing()}),
    "variational, noise": (START, *CASES["noise"][:1], VARIATIONAL, CASES["noise"][1]),
    "variational, rounded": (START, *CASES["rounded"][:1], VARIATIONAL, CASES["rounded"][1]),
    "frozen weights": (START, X, mx.EM(), {"freeze": mx.Freeze(weights=True)}),
    "frozen means": (START, X, mx.EM(), {"freeze": mx.Freeze(means=True)}),
    "frozen covariances": (START, X, mx.EM(), {"freeze": mx.Freeze(covariances=True)}),
    "a frozen component": (THREE, X, mx.EM(), {"freeze": mx.Freeze(components=(1,))}),
    "frozen, gaps": (THREE, GAPS, mx.EM(), {"freeze": mx.Freeze(components=(1,)), **CASES["gaps"][1]}),
    "frozen, single precision": (START.to(torch.float32), X.float(), mx.EM(), {"freeze": mx.Freeze(means=True)}),
    "frozen, labels": (START, X, mx.EM(), {"freeze": mx.Freeze(means=True), "labels": KNOWN}),
}


@functools.cache
def learned(case, accelerated):
    start, x, method, given = OTHERS[case]
    exact = {"tolerance": 1e-6 if x.dtype == torch.float32 else 1e-8, "acceleration": accelerated}
    return mx.fit(x, init=start, method=replace(method, max_iterations=3000, **exact), **given)


@pytest.mark.parametrize("case", OTHERS)
def test_every_monotone_learner_comes_at_least_as_far_and_never_falls(case):
    quick, plain = learned(case, True), learned(case, False)
    digits = 50 * torch.finfo(quick.rows.dtype).eps
    assert quick.reason is plain.reason is Reason.CONVERGED and bool((quick.trace.diff() > -digits).all())
    assert quick.trace[-1] > plain.trace[-1] - 2 * quick.method.tolerance - 10 * digits


@pytest.mark.parametrize("case", [case for case in OTHERS if "single" not in case])
def test_variational_bayes_and_what_is_free_take_fewer_updates(case):
    assert learned(case, True).iterations < 0.8 * learned(case, False).iterations


@pytest.mark.parametrize("case", [case for case in OTHERS if "frozen" in case])
def test_what_is_frozen_stays_to_the_last_digit(case):
    start, _, _, given = OTHERS[case]
    held, freeze = learned(case, True).mixture, given["freeze"]
    assert torch.equal(held.weights, start.weights) == freeze.weights
    assert torch.equal(held.components.mean, start.components.mean) == freeze.means
    assert torch.equal(held.components.covariance, start.components.covariance) == freeze.covariances
    for k in freeze.components:
        assert torch.equal(held.components.mean[k], start.components.mean[k])
        assert torch.equal(held.components.covariance[k], start.components.covariance[k])


def test_a_batch_of_starts_runs_as_each_alone_to_its_optimum():
    """Starts that refuse guesses and starts that follow them share every pass."""
    x = TensorRows(GAPS).through(mx.observation.Missing())
    starts = mx.fit(GAPS, 3, observation=mx.observation.Missing(), method=mx.EM(1), generator=seeded()).mixture
    batch = starts.map(lambda tensor: torch.stack([tensor] * 3))
    shift = torch.tensor([0.0, 0.3, -0.5], dtype=F64)[:, None, None]
    batch = mx.Mixture._of(batch.logits, batch.components._replace(location=batch.components.location + shift))
    method, floor = mx.EM(tolerance=1e-9), torch.full((2,), 1e-12, dtype=F64)
    together = run(method, x, batch, floor)
    for b, one in enumerate(together):
        (alone,) = run(method, x, batch.map(lambda tensor, b=b: tensor[b : b + 1]), floor)
        assert abs(one.objective - alone.objective) < 1e-7


def test_three_sums_of_a_straight_creep_lead_to_its_end():
    """Where what is left shrinks by a half each time, the limit is twice as far as the first step."""
    mixture = mx.Mixture(torch.ones(1, 1, dtype=F64), mx.Poisson(torch.ones(1, 1, dtype=F64)))
    ones, none = torch.full((1, 1), 8.0, dtype=F64), torch.zeros(1, dtype=F64)
    (one,) = run(mx.EM(1, 0, mx.Prior()), TensorRows(torch.ones(4, dtype=F64)), mixture, none)
    ahead = Extrapolation.of([one], exact=True)
    for total in (0.0, 8.0, 12.0):
        sums = mx.learning.Statistics(none, ones, (torch.full((1, 1), total, dtype=F64),))
        proposed = ahead.proposed(mx.EM(), sums, mixture, none)
    assert abs(8 * proposed.components.rate.item() - 16) < 1e-6 and bool(ahead.guess.all())


def test_through_errors_no_guess_leaves_a_component_less_than_half_as_wide():
    """Where errors are much wider than clusters, a width that is guessed too small takes long to come back."""
    source = seeded(10)
    centres, label = 2 * torch.randn(3, 2, generator=source, dtype=F64), torch.randint(3, (200,), generator=source)
    x = centres[label] + 0.05**0.5 * torch.randn(200, 2, generator=source, dtype=F64)
    y, noise = x + torch.randn(200, 2, generator=source, dtype=F64), mx.observation.AdditiveNoise(scale=1.0)
    start = mx.fit(y, 3, observation=noise, method=mx.EM(1), restarts=1, generator=seeded(10)).mixture
    rows, start = TensorRows(y).through(noise), start.map(lambda tensor: tensor.unsqueeze(0))
    widths = []
    run(mx.EM(300, 0), rows, start, torch.zeros(2), watch=lambda _, __, state, *___: widths.append(state.components))
    for before, after in itertools.pairwise(widths):
        assert bool((torch.linalg.eigvalsh(after.covariance - 0.2 * before.covariance) > 0).all())


def test_without_acceleration_small_tables_are_read_as_large_ones():
    """The compiled step and the torch route note the same trace."""
    for covariance in ("full", "diagonal", "tied-spherical", "VVE"):
        given = {"covariance": covariance, "init": torch.arange(300) % 3}
        one = mx.fit(X, 3, method=mx.EM(30, 0, acceleration=False), **given)
        other = mx.fit(X, 3, method=mx.EM(30, 0, mx.Prior(), acceleration=False), **given)
        torch.testing.assert_close(one.trace.diff(), other.trace.diff(), rtol=0, atol=1e-13)  # but for the prior's own
        torch.testing.assert_close(one.mixture.components.covariance, other.mixture.components.covariance)
