"""Censored, truncated, rounded and binned rows: probabilities, moments and learning, against scipy and brute force."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.learning.expectation.recorded import recorded
from mixtura.observation import AdditiveNoise, Binned, Censored, LinearMeasurement, Missing, Rounded, Truncated
from mixtura.observation.interval import in_box, interval


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers():
    return mx.Mixture(torch.tensor([0.4, 0.6]), mx.Normal(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 1.5])))


def vectors(structure=None):
    covariance = torch.tensor([[[1.0, 0.6], [0.6, 1.5]], [[0.8, -0.4], [-0.4, 0.7]]])
    mean = torch.tensor([[0.0, 0.0], [4.0, 3.0]])
    return mx.Mixture(torch.tensor([0.45, 0.55]), mx.Gaussian(mean, structure or covariance))


# -- intervals and boxes


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (-1.0, 2.0),
        (3.0, math.inf),
        (-math.inf, -7.0),
        (25.0, 26.5),
        (0.3, 0.3001),
        (-math.inf, math.inf),
        (-30.0, -29.9),
        (36.0, math.inf),
    ],
)
def test_moments_between_limits_are_those_of_quadrature(a, b):
    log_mass, first, square = (t.item() for t in interval(torch.tensor(a), torch.tensor(b)))
    low, high = max(a, -40.0), min(b, 40.0)
    near = min(max(0.0, low), high)  # the densest point: the window is cut where nothing is left
    low, high = max(low, near - 12), min(high, near + 12)
    step = (high - low) / 1_000_000
    middle = low + step * (np.arange(1_000_000) + 0.5)
    weight = np.exp(-(middle**2 - near**2) / 2)
    expected = np.log(weight.sum() * step) - near**2 / 2 - 0.5 * np.log(2 * np.pi)
    assert log_mass == pytest.approx(expected, abs=1e-8)
    assert first == pytest.approx((weight * middle).sum() / weight.sum(), rel=1e-8, abs=1e-9)
    assert square == pytest.approx((weight * middle**2).sum() / weight.sum(), rel=1e-8)


def test_boxes_of_correlated_coordinates_agree_with_brute_force():
    covariance = torch.tensor([[1.0, 0.7, -0.3], [0.7, 2.0, 0.4], [-0.3, 0.4, 0.8]])
    mean = torch.tensor([0.2, -0.5, 1.0])
    inf = torch.inf
    low = torch.tensor([[0.3, -inf, -inf], [-inf, -1.0, -inf], [0.0, -1.0, 0.5], [0.4, -1.0, 0.2], [-inf, -inf, -inf]])
    high = torch.tensor([[0.3, 0.0, inf], [inf, 0.5, inf], [1.0, 2.0, inf], [0.4, inf, 1.5], [inf, inf, inf]])
    inside = in_box(mean[None, None], covariance[None, None], low, high, 4096)
    draws = torch.distributions.MultivariateNormal(mean, covariance).sample((1_000_000,))
    for n in range(5):
        point = low[n] == high[n]
        if point.any():  # condition on it exactly, then count
            other = ~point
            gain = covariance[other][:, point] / covariance[point][:, point]
            m = mean[other] + gain[:, 0] * (low[n][point] - mean[point])
            c = covariance[other][:, other] - gain @ covariance[point][:, other]
            x = torch.distributions.MultivariateNormal(m, c).sample((1_000_000,))
            keep = ((x > low[n][other]) & (x < high[n][other])).all(-1)
            whole = torch.empty(int(keep.sum()), 3)
            whole[:, other], whole[:, point] = x[keep], low[n][point]
            log_density = stats.norm.logpdf(low[n][point], mean[point], covariance[point][:, point].sqrt()).item()
        else:
            keep = ((draws > low[n]) & (draws < high[n])).all(-1)
            whole, log_density = draws[keep], 0.0
        gap = whole - mean
        assert inside.log_prob[n, 0].item() == pytest.approx(log_density + keep.double().mean().log().item(), abs=8e-3)
        assert torch.allclose(inside.shift[n, 0], gap.mean(0), atol=8e-3)
        assert torch.allclose(inside.second[n, 0], gap.mT @ gap / len(gap), atol=2e-2)


def test_one_coordinate_between_limits_needs_no_draws():
    clean, observation = vectors(), Censored(upper=torch.tensor([torch.inf, 2.0]))
    law = clean.observed(observation)
    y = torch.tensor([[1.0, 2.0], [5.0, 1.0]])
    given = clean.condition([0], y[:1, :1])
    beyond = (
        given.weights
        * (1 - torch.special.ndtr((2.0 - given.components.mean[..., 0]) / given.components.variance[..., 0].sqrt()))
    ).sum()
    expected = clean.marginal([0]).log_prob(y[0, :1]) + beyond.log()
    assert torch.allclose(law.log_prob(y), torch.cat([expected.reshape(1), clean.log_prob(y[1:])]), atol=1e-12)


def test_correlations_of_zero_need_no_draws_either():
    variance = torch.tensor([[1.0, 2.0], [0.5, 0.7]])
    limits = Censored(torch.tensor([-0.5, 0.0]), torch.tensor([3.0, 2.5]))
    y = limits.sample(vectors(mx.Diagonal(variance)).sample((200,)))
    diagonal = vectors(mx.Diagonal(variance)).observed(limits).log_prob(y)
    full = vectors(mx.Full(torch.diag_embed(variance))).observed(limits).log_prob(y)
    assert torch.allclose(diagonal, full, atol=1e-9)


# -- laws of what is recorded


def test_censored_numbers_have_the_mass_beyond_at_the_limits():
    law = numbers().observed(Censored(-0.5, 6.0))
    grid = torch.linspace(-0.5, 6.0, 100_001)[1:-1]
    inside = law.log_prob(grid).exp().sum() * (grid[1] - grid[0])
    ends = law.log_prob(torch.tensor([-0.5, 6.0])).exp()
    assert torch.allclose(ends[0], numbers().cdf(torch.tensor(-0.5)))
    assert (inside + ends.sum()).item() == pytest.approx(1, abs=1e-5)
    y = law.sample((400_000,))
    assert torch.allclose(y.mean(), law.mean, atol=0.02)
    assert torch.allclose(y.var(), law.variance, rtol=0.01)


def test_truncated_numbers_have_a_density_that_integrates_to_one():
    law = numbers().observed(Truncated(1.0, 7.0))
    grid = torch.linspace(0.9, 7.1, 200_001)
    density = law.log_prob(grid).exp()
    step = grid[1] - grid[0]
    assert (density.sum() * step).item() == pytest.approx(1, abs=1e-4)
    assert ((density * grid).sum() * step).item() == pytest.approx(law.mean.item(), abs=1e-3)
    y = law.sample((200_000,))
    assert y.min() >= 1 and y.max() <= 7
    assert torch.allclose(y.mean(), law.mean, atol=0.02)
    assert torch.allclose(y.var(), law.variance, rtol=0.02)


def test_rounded_and_binned_probabilities_add_up_to_one():
    values = torch.arange(-8.0, 16.0, 0.5)
    assert numbers().observed(Rounded(0.5)).log_prob(values).exp().sum().item() == pytest.approx(1, abs=1e-9)
    seen = Binned(torch.tensor([-1.0, 0.0, 2.0, 9.0]))
    law = numbers().observed(seen)
    middle = torch.tensor([-0.5, 1.0, 5.0])
    cdf = numbers().cdf(torch.tensor([-1.0, 0.0, 2.0, 9.0]))
    assert torch.allclose(law.log_prob(middle).exp(), cdf.diff() / (cdf[-1] - cdf[0]))


# -- learning


def expectations(observation, y, clean):
    return mx.learning.expect(clean, recorded(y, observation=observation), mx.learning.soft)


@pytest.mark.parametrize("name", ["censored", "truncated", "rounded", "binned", "per row"])
def test_the_sums_are_the_gradient_of_the_likelihood(name):
    clean = numbers()
    limit = 4 + torch.rand(40)
    observation = {
        "censored": Censored(-0.5, 5.5), "truncated": Truncated(-0.5, 7.0), "rounded": Rounded(0.7),
        "binned": Binned(torch.arange(-6.0, 14.0)), "per row": Censored(upper=limit, per_row=True),
    }[name]  # fmt: skip
    y = clean.sample((40,)).clamp(-0.4, 6.9)
    y = observation.sample(y)
    loc = clean.components.loc.clone().requires_grad_()
    scale = clean.components.scale.clone().requires_grad_()
    logits = clean.logits.clone().requires_grad_()
    law = mx.Mixture(components=mx.Normal(loc, scale), logits=logits).observed(observation)
    law.log_prob(y).sum().backward()
    statistics = expectations(observation, y, clean)
    shift, scatter = (moment.squeeze(-1) if moment.ndim > 1 else moment for moment in statistics.moments)
    variance = clean.components.variance
    assert torch.allclose(shift / variance, loc.grad, rtol=1e-7, atol=1e-8)
    assert torch.allclose((scatter - statistics.weight * variance) / variance**1.5, scale.grad, rtol=1e-6, atol=1e-7)
    assert torch.allclose(
        statistics.weight - statistics.weight.sum() * clean.weights, logits.grad, rtol=1e-7, atol=1e-8
    )
    assert statistics.log_likelihood.item() == pytest.approx(law.log_prob(y).sum().item(), rel=1e-12)


@pytest.mark.parametrize("name", ["censored", "truncated", "rounded", "binned", "noise and limits"])
def test_learning_recovers_the_whole_mixture_and_never_falls(name):
    clean = numbers()
    x = clean.sample((6000,))
    scale = torch.rand(6000)
    observation = {
        "censored": Censored(-0.5, 6.0), "truncated": Truncated(-0.5, 7.0), "rounded": Rounded(1.0),
        "binned": Binned(torch.tensor([-torch.inf, *range(-2, 9), torch.inf])),
        "noise and limits": [AdditiveNoise(scale=scale), Censored(upper=6.0)],
    }[name]  # fmt: skip
    steps = observation if isinstance(observation, list) else [observation]
    y = x[(x > -0.5) & (x < 7)] if name == "truncated" else x
    for step in () if name == "truncated" else steps:
        y = step.sample(y)
    fit = mx.fit(y, 2, method=mx.EM(max_iterations=200, tolerance=1e-7), observation=observation, restarts=2)
    assert (fit.trace.diff() > -1e-11).all()
    found = fit.mixture.order(fit.mixture.components.loc)
    assert torch.allclose(found.components.loc, clean.components.loc, atol=0.25)
    assert torch.allclose(found.components.scale, clean.components.scale, atol=0.25)
    assert torch.allclose(found.weights, clean.weights, atol=0.06)


def test_a_histogram_is_fitted_from_its_counts():
    edges = torch.linspace(-4, 11, 31)
    x = numbers().sample((8000,))
    x = x[(x >= -4) & (x < 11)]
    counts = torch.histogram(x, edges).hist
    found = mx.fit(None, 2, observation=Binned(edges, counts), restarts=2)
    from_rows = mx.fit(x, 2, observation=Binned(edges), restarts=2)
    assert found.log_likelihood == pytest.approx(from_rows.log_likelihood, rel=1e-6)
    probability = counts / counts.sum()
    best = (counts * probability.clamp_min(1e-300).log()).sum().item()
    assert best - 40 < found.log_likelihood < best  # as near to the saturated model as five parameters for 30 bins are


def test_correlated_vectors_with_limits_are_learned():
    clean = vectors()
    y = Censored(upper=torch.tensor([4.5, 3.0])).sample(clean.sample((1500,)))
    observation = Censored(upper=torch.tensor([4.5, 3.0]))
    fit = mx.fit(y, 2, method=mx.EM(max_iterations=40), observation=observation, restarts=1)
    assert (fit.trace.diff() > -1e-6).all()
    found = fit.mixture.order(fit.mixture.components.mean[:, 0])
    assert torch.allclose(found.components.mean, clean.components.mean, atol=0.2)
    assert torch.allclose(found.components.covariance, clean.components.covariance, atol=0.3)


def test_gaps_and_limits_go_together():
    clean = vectors()
    y = Censored(upper=4.5).sample(clean.sample((30,)))
    y[:10, 0] = torch.nan
    law = clean.observed([Censored(upper=4.5), Missing()])
    assert torch.allclose(
        law.log_prob(y)[:10], clean.marginal([1]).observed(Censored(upper=4.5)).log_prob(y[:10, 1:]), atol=1e-9
    )


@pytest.mark.parametrize("numeric", [True, False])
def test_errors_and_limits_of_each_row_go_together(numeric):
    clean = numbers() if numeric else vectors()
    count = 12
    scale, limit = 0.2 + torch.rand(count, *clean.event_shape), 2 + 2 * torch.rand(count, *clean.event_shape)
    observation = [AdditiveNoise(scale=scale), Censored(upper=limit, per_row=True)]
    y = torch.minimum(clean.sample((count,)) + scale, limit)
    law = clean.observed(observation)
    alone = torch.stack(
        [
            clean.observed(AdditiveNoise(scale=scale[n])).observed(Censored(upper=limit[n])).log_prob(y[n])
            if numeric
            else clean.observed(AdditiveNoise(scale=scale[n]))
            .observed(Censored(upper=limit[n]))
            .log_prob(y[n : n + 1])[0]
            for n in range(count)
        ]
    )
    assert torch.allclose(law.log_prob(y), alone, atol=1e-10)
    fit = mx.fit(y, 1, method=mx.EM(max_iterations=30, tolerance=0), observation=observation)
    assert (fit.trace.diff() > -1e-9).all()
    assert fit.log_likelihood == pytest.approx(fit.mixture.observed(observation).log_prob(y).sum().item(), rel=1e-9)


@pytest.mark.slow
def test_errors_of_each_row_in_front_of_what_is_left_out():
    """Errors widen the law of each row before limits cut it: the mixture of what is left is that of the law."""
    clean, chance = numbers(), torch.Generator().manual_seed(0)
    scale = 0.1 + 1.5 * torch.rand(4000, 1, generator=chance)
    y = clean.sample((4000,), generator=chance) + scale[:, 0] * torch.randn(4000, generator=chance)
    y, scale = y[y > 0], scale[y > 0]
    through = [AdditiveNoise(scale=scale, per_row=True), Truncated(lower=0.0)]
    law = torch.distributions.Normal(clean.components.loc, (clean.components.scale**2 + scale**2).sqrt())
    joint = clean.weights * law.log_prob(y[:, None]).exp()
    expected = joint.sum(-1) / (clean.weights * law.cdf(torch.tensor(0.0)).neg().add(1)).sum(-1)
    torch.testing.assert_close(clean.observed(through).log_prob(y), expected.log(), rtol=1e-9, atol=1e-9)
    fit = mx.fit(y, 2, family=mx.Normal, observation=through, generator=torch.Generator().manual_seed(0))
    order = fit.mixture.components.loc.argsort()
    torch.testing.assert_close(fit.mixture.components.loc[order], clean.components.loc, atol=0.3, rtol=0)
    torch.testing.assert_close(fit.mixture.weights[order], clean.weights, atol=0.05, rtol=0)
    assert (fit.trace.diff() > -1e-9 * fit.trace.abs().max()).all()


def test_a_projection_with_limits_is_that_of_its_law():
    clean, matrix = vectors(), torch.tensor([[1.0, -1.0]])
    measured = LinearMeasurement(matrix, scale=0.5)
    y = torch.tensor([[-1.0], [0.3], [1.0]])
    chained = clean.observed([measured, Censored(upper=1.0)]).log_prob(y)
    assert torch.allclose(chained, clean.observed(measured).observed(Censored(upper=1.0)).log_prob(y))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Censored(2.0, 1.0), "`upper` must be above `lower`"),
        (lambda: Truncated(), "or both"),
        (lambda: Censored(upper=math.nan), "NaN"),
        (lambda: Rounded(-1.0), "at least zero"),
        (lambda: Binned([0.0, 2.0, 1.0]), "rising"),
        (lambda: Binned([0.0, 1.0, 2.0], [3, -1]), "`counts` must be at least zero; got -1"),
        (lambda: Binned([0.0, 1.0, 2.0], [3, 1, 5]), "one number per bin"),
        (lambda: mx.fit(None, 2), "`x` must be rows"),
        (
            lambda: vectors().observed(Censored(upper=torch.ones(3, 3))).log_prob(torch.ones(3, 2)),
            "`upper` must be a number",
        ),
    ],
)
def test_bad_input_is_refused_with_advice(make, message):
    with pytest.raises(MixtureError, match=message):
        make()


@pytest.mark.parametrize("seen", [Truncated(-1.0, 1.0), Binned(torch.linspace(-1, 1, 5).double())])
def test_rows_that_cannot_have_been_recorded_are_refused(seen):
    x = torch.linspace(-0.9, 0.9, 30)
    assert torch.isfinite(torch.tensor(mx.fit(x, 1, observation=seen).log_likelihood))
    outside = torch.cat([x, torch.tensor([1.5, -3.0])])
    with pytest.raises(MixtureError, match="2 rows outside, first row 30"):
        mx.fit(outside, 1, observation=seen)
    weight = torch.ones(32)
    weight[30:] = 0
    mx.fit(outside, 1, observation=seen, sample_weight=weight)


def test_a_box_is_the_same_beside_components_of_other_widths():
    """Each component's integral has the nodes that its own box needs."""
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.4, 1.0]], dtype=torch.float64)
    covariance = torch.stack([scale**2 * turn @ turn.T for scale in (0.1, 0.7, 1.5, 6.0)])
    mean = torch.arange(12.0, dtype=torch.float64).reshape(4, 3) / 4
    y = 2 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round()
    together = mx.Gaussian(mean, covariance)
    rounded = mx.Mixture(torch.ones(4).double(), together).observed(Rounded(1.0))
    alone = [
        mx.Mixture(torch.ones(1).double(), together.take([k])).observed(Rounded(1.0)).log_prob(y) for k in range(4)
    ]
    assert torch.allclose(rounded.log_prob(y), torch.stack(alone).logsumexp(0) - math.log(4), atol=1e-12)


@pytest.mark.parametrize(
    ("observation", "record"),
    [
        (Rounded(1.0), lambda x: x.round()),
        (Censored(-1.0, 2.0), lambda x: x.clamp(-1, 2).where((x < -1) | (x > 2), (2 * x).round() / 2)),
        (mx.observation.AdditiveNoise(scale=0.5), lambda x: x.round()),
    ],
    ids=["rounded", "censored", "noise"],
)
def test_equal_records_are_read_once(observation, record):
    """A table of few different records is learned from as its different rows, with the weight of all that are equal."""

    class Each(mx.EM):
        """EM that reads every row."""

    y = record(vectors().sample((300,), torch.Generator().manual_seed(0)))
    weight = torch.arange(300, dtype=y.dtype) % 3
    given = {"init": torch.arange(300) % 2, "observation": observation, "sample_weight": weight}
    once, each = (mx.fit(y, method=kind(5, 0, acceleration=False), **given) for kind in (mx.EM, Each))
    assert len(y.unique(dim=0)) <= 150
    torch.testing.assert_close(once.trace, each.trace, rtol=0, atol=1e-10)
    assert len(once.rows) == 300
