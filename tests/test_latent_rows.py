"""Gibbs and variational Bayes through Gaussian observations: the clean row is drawn, or taken in expectation."""

import math

import numpy as np
import pytest
import torch
from enumerated import as_prior
from scipy import stats

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.learning import Sampled, expect, soft
from mixtura.learning.expectation.expect import draw
from mixtura.learning.expectation.recorded import recorded
from mixtura.observation import AdditiveNoise, Censored, LinearMeasurement, Missing, Truncated

F64 = torch.float64
ROWS = 30
PRIOR = (0.5, 0.3, 1.5, 4.5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scales(rows=ROWS):
    return 0.3 + torch.rand(rows, 2, dtype=F64, generator=seeded(1))


def matrices():
    return torch.randn(ROWS, 3, 2, dtype=F64, generator=seeded(2))


def whole():
    root = torch.randn(ROWS, 2, 2, dtype=F64, generator=seeded(3))
    return root @ root.mT + 0.1 * torch.eye(2, dtype=F64)


GAPS = [(0, 0), (3, 1), (4, 0), (5, 0), (5, 1), (9, 1)]

WAYS = {
    "no noise": (lambda: AdditiveNoise(scale=0.0), False),
    "one scale": (lambda: AdditiveNoise(loc=0.5, scale=0.7), False),
    "a scale a component": (lambda: AdditiveNoise(scale=torch.tensor([[0.7], [0.3]], dtype=F64), per_row=False), False),
    "one covariance": (lambda: AdditiveNoise(covariance=torch.tensor([[1.0, 0.5], [0.5, 0.6]], dtype=F64)), False),
    "a scale a row": (lambda: AdditiveNoise(scale=scales(), per_row=True), False),
    "a covariance a row": (lambda: AdditiveNoise(covariance=whole(), per_row=True), False),
    "gaps": (lambda: Missing(), True),
    "a scale and gaps": (lambda: [AdditiveNoise(scale=0.7), Missing()], True),
    "scales and gaps": (lambda: [AdditiveNoise(scale=scales(), per_row=True), Missing()], True),
    "covariances and gaps": (lambda: [AdditiveNoise(covariance=whole(), per_row=True), Missing()], True),
    "a projection": (lambda: LinearMeasurement(torch.tensor([[1.0, 0.5]], dtype=F64), scale=0.5), False),
    "a projection a row": (lambda: LinearMeasurement(matrices(), scale=0.5, per_row=True), False),
}
each = pytest.mark.parametrize("way", WAYS)


def truth(covariance=None):
    covariance = covariance or mx.Full(torch.tensor([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]]], dtype=F64))
    mean = torch.tensor([[0.0, 0.0], [2.0, 1.5]], dtype=F64)
    return mx.Mixture(torch.tensor([0.6, 0.4], dtype=F64), mx.Gaussian(mean, covariance))


def rows_of(way, **known):
    make, gaps = WAYS[way]
    clean = truth().sample((ROWS,), seeded(4))
    labels = truth().assign(clean)
    rows = recorded(torch.zeros(ROWS, _width(make()), dtype=F64), observation=make(), **known)
    y = rows.observation.record(clean, labels, seeded(5), truth().components)
    if gaps:
        y[tuple(torch.tensor(GAPS).T)] = torch.nan
    return rows.recorded_as(y, rows.weight)


def _width(observation):
    return observation.matrix.shape[-2] if isinstance(observation, LinearMeasurement) else 2


def copies(mixture, count):
    return mixture.map(lambda tensor: tensor.expand(count, *tensor.shape).clone())


@each
@pytest.mark.parametrize("known", ["labels", "weights", "nothing"])
@pytest.mark.slow
def test_draws_of_labels_and_rows_have_the_expected_sums(way, known):
    """Over many draws, the sums' mean is the E-step's, which takes another way: no row is drawn there."""
    labels = (torch.arange(ROWS) % 5 - 3).clamp_min(-1)
    weight = torch.arange(ROWS, dtype=F64) % 4
    rows = rows_of(way, **{"labels": {"labels": labels}, "weights": {"weight": weight}, "nothing": {}}[known])
    drawn = draw(copies(truth(), 4000), rows, Sampled(seeded()))
    exact = expect(truth().map(lambda t: t.unsqueeze(0)), rows, soft)
    torch.testing.assert_close(drawn.log_likelihood, exact.log_likelihood.expand(4000))
    pairs = zip((drawn.weight, *drawn.moments), (exact.weight, *exact.moments), strict=True)
    for values, expected in pairs:
        error = values.std(0) / math.sqrt(len(values))
        assert ((values.mean(0) - expected[0]).abs() <= 5 * error + 1e-9 * expected[0].abs()).all()


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical", "tied-full", "tied-diagonal", "VEV", "EEV"])
@pytest.mark.parametrize("way", ["one scale", "scales and gaps"])
def test_sums_are_in_the_form_of_the_structure(structure, way):
    x = truth().sample((200,), seeded())
    mixture = mx.fit(x, 2, covariance=structure, restarts=1, method=mx.EM(3, tolerance=0)).mixture
    rows = rows_of(way)
    drawn = draw(copies(mixture, 2000), rows, Sampled(seeded()))
    exact = expect(mixture.map(lambda t: t.unsqueeze(0)), rows, soft)
    for values, expected in zip(drawn.moments, exact.moments, strict=True):
        error = values.std(0) / math.sqrt(len(values))
        assert ((values.mean(0) - expected[0]).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("way", ["one scale", "gaps", "scales and gaps", "a projection a row"])
def test_clean_rows_do_not_depend_on_blocks(way, monkeypatch):
    rows = rows_of(way, labels=(torch.arange(ROWS) % 5 - 3).clamp_min(-1))
    found = []
    for size in (10**9, 7, 1):
        monkeypatch.setattr("mixtura.learning.expectation.expect.block_size", lambda _, size=size: size)
        found.append(draw(copies(truth(), 3), rows, Sampled(seeded())).moments)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def grid_posterior(y, scale, prior):
    """Posterior mean of the mean and of the log-variance of one normal seen through noise, and the log-evidence."""
    mu = np.linspace(-6, 8, 700)
    log_v = np.linspace(-6, 5, 700)
    m, v = np.meshgrid(mu, np.exp(log_v), indexing="ij")
    loc, kappa, shape, rate = prior
    log_p = stats.invgamma.logpdf(v, shape, scale=rate) + np.log(v)
    log_p = log_p + stats.norm.logpdf(m, loc, np.sqrt(v / kappa))
    for value, s in zip(y, scale, strict=True):
        log_p = log_p + stats.norm.logpdf(value, m, np.sqrt(v + s**2))
    top = log_p.max()
    p = np.exp(log_p - top)
    cell = (mu[1] - mu[0]) * (log_v[1] - log_v[0])
    return (p * m).sum() / p.sum(), (p * np.log(v)).sum() / p.sum(), top + np.log(p.sum() * cell)


@pytest.mark.slow
def test_one_normal_through_noise_has_the_posterior_of_the_integral():
    loc, kappa, shape, rate = 0.5, 0.3, 2.5, 2.0
    scale = np.linspace(0.3, 1.5, 12)
    y = 2 + 1.2 * np.random.default_rng(0).standard_normal(12) + scale * np.random.default_rng(1).standard_normal(12)
    mean, log_variance, evidence = grid_posterior(y, scale, (loc, kappa, shape, rate))
    prior = mx.Prior(
        1.0,
        mx.NormalInverseWishart(
            torch.tensor([loc], dtype=F64), kappa, torch.tensor([[2 * rate]], dtype=F64), 2 * shape
        ),
    )
    noise = AdditiveNoise(scale=torch.from_numpy(scale), per_row=True)
    fit = mx.fit(torch.from_numpy(y), 1, method=mx.Gibbs(2000, 50, 1, prior), observation=noise, generator=seeded())
    for draws, expected in ((fit.draws.components.mean, mean), (fit.draws.components.variance.log(), log_variance)):
        by_stretch = draws.reshape(40, -1).mean(-1)  # nearly independent
        assert abs(by_stretch.mean().item() - expected) < 5 * by_stretch.std().item() / math.sqrt(40)
    variational = mx.fit(torch.from_numpy(y), 1, method=mx.Variational(prior), observation=noise)
    assert evidence - 1 < variational.bound < evidence
    assert variational.mixture.mean.item() == pytest.approx(mean, abs=0.1)


def test_without_noise_the_bound_is_the_evidence():
    x = truth().sample((40,), seeded())
    exact = mx.fit(x, 1, method=mx.Variational())
    prior = exact.prior
    through = mx.fit(x, 1, method=mx.Variational(prior), observation=AdditiveNoise(scale=0.0))
    assert through.bound == pytest.approx(exact.bound, rel=1e-10)
    torch.testing.assert_close(through.posterior.mean.components.mean, exact.posterior.mean.components.mean)


@each
@pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "labelled"])
def test_the_bound_never_falls(way, labelled):
    known = {"labels": (torch.arange(ROWS) % 5 - 3).clamp_min(-1)} if labelled else {}
    method = mx.Variational(max_iterations=40, tolerance=0, elimination=False)
    fit = mx.fit(rows_of(way, **known), 2, init=truth(), method=method)
    assert (fit.trace.diff() > -1e-11).all()
    assert fit.trace[-1] > fit.trace[0] + 1e-3


def agree(one, other, slack=0.0):
    """Whether the means of two samples of draws are the same within their errors."""
    stretches = [draws.reshape(20, -1, *draws.shape[1:]).mean(1) for draws in (one, other)]
    error = sum(part.var(0) / 20 for part in stretches).sqrt()
    return ((one.mean(0) - other.mean(0)).abs() < 5 * error + slack).all()


def test_tiny_noise_is_no_noise():
    x = truth().sample((60,), seeded())
    method = mx.Gibbs(300, 50, 2, mx.Prior.weak(x, 2))
    exact = mx.fit(x, init=truth(), method=method, generator=seeded())
    tiny = mx.fit(x, init=truth(), method=method, observation=AdditiveNoise(scale=1e-6), generator=seeded(1))
    assert agree(exact.draws.components.mean, tiny.draws.components.mean)
    assert agree(exact.draws.components.covariance, tiny.draws.components.covariance)
    assert agree(exact.draws.weights, tiny.draws.weights)


@pytest.mark.slow
def test_gibbs_and_variational_bayes_agree_through_noise_and_gaps():
    far = mx.Mixture(truth().logits.exp(), mx.Gaussian(4 * truth().components.mean, truth().components.structure))
    clean = far.sample((300,), seeded())
    y = clean + scales(300) * torch.randn(300, 2, dtype=F64, generator=seeded(1))
    y[::5, 0] = torch.nan
    seen = [AdditiveNoise(scale=scales(300), per_row=True), Missing()]
    start = {"init": far, "observation": seen, "generator": seeded()}
    variational = mx.fit(y, method=mx.Variational(), **start)
    gibbs = mx.fit(y, method=mx.Gibbs(400, 50, 2, variational.prior), **start)
    spread = gibbs.draws.components.mean.std(0)
    order = torch.cdist(far.components.mean, gibbs.mixture.components.mean).argmin(-1)
    gap = gibbs.mixture.components.mean[order] - variational.mixture.components.mean
    assert (gap.abs() < 0.5 * spread[order]).all()
    complete = mx.fit(clean, init=far, method=mx.Variational())
    assert ((variational.mixture.components.mean - complete.mixture.components.mean).abs() < 4 * spread[order]).all()
    assert (spread[order] > complete.mixture.components.variance.sqrt() / math.sqrt(300)).all()


def test_what_follows_from_the_fits():
    rows = rows_of("gaps")
    for method in (mx.Gibbs(10, 5, 2), mx.Variational()):
        fit = mx.fit(rows, init=truth(), method=method, generator=seeded())
        density = fit.mixture.observed(rows.observation).log_prob(rows.tensor())
        assert fit.log_likelihood == pytest.approx(density.sum().item())
        assert fit.predictive.log_prob(torch.zeros(2, dtype=F64)).isfinite()


@pytest.mark.parametrize("way", ["one scale", "a projection", "gaps"])
@pytest.mark.slow
def test_draws_go_to_arviz(way):
    pytest.importorskip("arviz")
    rows = rows_of(way)
    fit = mx.fit(rows, init=truth(), method=mx.Gibbs(300, 10, 1), generator=seeded())
    data = fit.to_arviz(predictive=50, generator=seeded())
    of_rows = data["log_likelihood"]["x"].values[0]
    observed = fit.draws.batch(7).observed(rows.observation)
    np.testing.assert_allclose(of_rows[7], observed.log_prob(rows.tensor()), rtol=1e-9)
    further = torch.from_numpy(data["posterior_predictive"]["x"].values).reshape(-1, rows.features)
    law = fit.predictive.observed(LinearMeasurement(torch.eye(2)) if way == "gaps" else WAYS[way][0]())
    torch.testing.assert_close(further.mean(0), law.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(further.var(0), law.variance, atol=0.1, rtol=0.35)  # heavy tails


def test_rows_that_were_each_recorded_in_their_own_way_have_no_further_ones():
    pytest.importorskip("arviz")
    fit = mx.fit(rows_of("a scale a row"), init=truth(), method=mx.Variational())
    assert fit.to_arviz(draws=5)["log_likelihood"]["x"].shape == (1, 5, ROWS)
    with pytest.raises(MixtureError, match="predictive"):
        fit.to_arviz(draws=5, predictive=1)


@pytest.mark.parametrize(
    ("method", "observation", "message"),
    [
        (mx.Gibbs(5, 0, 1), Censored(upper=3.0), "Gaussian"),
        (mx.Gibbs(5, 0, 1), Truncated(upper=30.0), "Gaussian"),
        (mx.Variational(), Truncated(upper=30.0), "records every draw"),
    ],
)
def test_what_cannot_be_learned_is_refused(method, observation, message):
    with pytest.raises(MixtureError, match=message):
        mx.fit(torch.zeros(20, dtype=F64), 2, method=method, observation=observation)


def ranks(replicates, rows, observation, gaps, kept, thinned):
    """Ranks of simulated truths among draws (Talts et al., 2018), of quantities that do not depend on labels."""
    generator, found = seeded(), []
    prior = as_prior(1.5, PRIOR)
    for _ in range(replicates):
        true = prior.sample(mx.Normal(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64)), generator)
        x = true.sample((rows,), generator)
        y = observation.sample(x, generator)
        y[:gaps] = torch.nan
        method = mx.Gibbs(draws=(kept - 1) * thinned, warmup=30, chains=1, prior=prior)
        fit = mx.fit(y, init=true, method=method, observation=[observation, Missing()], generator=generator)
        pairs = zip(_summaries(fit.draws), _summaries(true), strict=True)
        found.append([(drawn[::thinned] < value).sum().item() for drawn, value in pairs])
    return np.array(found).T


def _summaries(mixture):
    return mixture.weights.amax(-1), mixture.mean, mixture.variance.log(), mixture.log_prob(torch.zeros((), dtype=F64))


@pytest.mark.slow
def test_ranks_of_some_simulated_truths_are_uniform():
    for column in ranks(20, 10, AdditiveNoise(scale=0.8), 2, 20, 3):
        assert stats.chisquare(np.histogram(column, bins=4, range=(0, 20))[0]).pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_ranks_of_simulated_truths_are_uniform(scale):
    noise = AdditiveNoise(scale=torch.linspace(0.5, 1.5, 15, dtype=F64) * scale, per_row=True)
    for column in ranks(100, 15, noise, 4, 25, 8):
        assert stats.chisquare(np.histogram(column, bins=5, range=(0, 25))[0]).pvalue > 1e-3
