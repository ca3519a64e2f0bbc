"""Scores that are wrong by a known amount, and rules whose error is measured."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.diffusion import DPS, FPS, PGDM, TMPD, Exact, ExactGuidance, Imperfect, Process, guidance_error
from mixtura.diffusion.places import place
from mixtura.errors import MixtureError
from mixtura.observation import AdditiveNoise, LinearMeasurement
from tests.tables import GAUSSIANS, NORMALS

SCHEDULE = mx.diffusion.VariancePreserving()


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(9)
    yield
    torch.set_default_dtype(torch.float32)


def at(t):
    return place(SCHEDULE, torch.tensor(t))


def process(name="full"):
    components = (GAUSSIANS | NORMALS)[name]
    return Process(mx.Mixture(torch.linspace(1.0, 2.0, components.batch_shape[-1]), components), SCHEDULE)


def noise_error(model, x, t):
    """How far the noise that a model expects is from what is to be expected."""
    here = at(t)
    return here.alpha * (model.process.denoise(t, x) - model.denoise(x, here)) / here.sigma


# -- imperfect scores


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("length", [0.7, 4.0])
@pytest.mark.parametrize("t", [0.02, 0.4, 1.0])
@pytest.mark.parametrize("name", ["full", "tied-diagonal", "low-rank-1", "normal"])
def test_the_error_has_the_size_that_is_asked_for(name, t, length, symmetric):
    one = process(name)
    model = Imperfect(one, 0.3, length=length, features=12, symmetric=symmetric)
    x = one.at(t).sample((40_000,))
    square = noise_error(model, x, t).reshape(len(x), -1).square().sum(-1)
    assert float(square.mean()) == pytest.approx(0.09, abs=5 * float(square.std()) / math.sqrt(len(x)))
    assert float(square.std()) > 0.01  # it is no constant


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_jacobian_is_that_of_the_error_and_symmetric_where_it_is_a_gradient(symmetric):
    one = process()
    model = Imperfect(one, 0.3, length=2.0, symmetric=symmetric)
    x, v = torch.randn(5, 3), torch.randn(4, 5, 3)
    jacobian = torch.autograd.functional.jacobian(lambda x: model.denoise(x[None], at(0.4))[0], x[0])
    apart = float((jacobian - jacobian.mT).abs().max())
    assert apart < 1e-12 if symmetric else apart > 1e-3
    mean, times = model.belief(x, at(0.4))
    slow, pulled = super(Imperfect, model).belief(x, at(0.4))
    torch.testing.assert_close(mean, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(times(v), pulled(v), rtol=1e-10, atol=1e-10)


def test_an_error_of_no_size_is_none_and_samplers_and_guidance_go_with_any():
    one = process()
    x = torch.randn(5, 3)
    torch.testing.assert_close(Imperfect(one, 0.0).denoise(x, at(0.4)), one.denoise(0.4, x))
    rule = TMPD(AdditiveNoise(0.0, 0.5), torch.zeros(3))
    y = mx.diffusion.sample(Imperfect(one, 0.1), SCHEDULE, (5, 3), 20, guidance=rule)
    assert bool(y.isfinite().all())


def test_the_same_generator_gives_the_same_error():
    one, x = process(), torch.randn(5, 3)
    same, again, other = (
        Imperfect(one, 0.3, generator=torch.Generator().manual_seed(seed)).denoise(x, at(0.4)) for seed in (3, 3, 4)
    )
    assert torch.equal(same, again) and not torch.equal(same, other)


def test_what_cannot_be_imperfect_is_refused():
    one = process()
    for wrong in ({"size": -0.1}, {"size": 0.1, "length": 0.0}, {"size": 0.1, "features": 0}):
        with pytest.raises(MixtureError, match=list(wrong)[-1]):
            Imperfect(one, **wrong)
    with pytest.raises(MixtureError, match="batch"):
        Imperfect(one.given(AdditiveNoise(0.0, 0.5), torch.zeros(4, 3)), 0.1)
    flow = Process(one.mixture, mx.diffusion.RectifiedFlow())
    with pytest.raises(MixtureError, match="signal"):
        mx.diffusion.sample(Imperfect(flow, 0.1), flow.schedule, (5, 3), 2)


# -- how wrong a rule is


def measured(rule, one, times=(0.05, 0.3, 0.8), **settings):
    return guidance_error(rule, one, times, generator=torch.Generator().manual_seed(1), **settings)


def test_what_is_exact_has_no_error():
    observation, y = LinearMeasurement(torch.randn(2, 3), 0.2), torch.randn(2)
    one = process()
    exact = measured(ExactGuidance(observation, y), one)
    assert float(exact.error.max()) < 1e-20 and float(exact.divergence.abs().max()) < 1e-9
    torch.testing.assert_close(exact.cosine, torch.ones(3))
    gaussian = Process(mx.Mixture(torch.ones(1), GAUSSIANS["full"].take(slice(0, 1))), SCHEDULE)
    moments = measured(TMPD(observation, y), gaussian)
    assert float((moments.error / moments.size).max()) < 1e-16
    assert float(moments.divergence.abs().max()) < 1e-10


def test_errors_are_those_of_numbers_by_quadrature():
    """In one dimension all expectations are integrals, of densities that other code knows."""
    one = process("normal")
    observation, y, t = AdditiveNoise(0.2, 0.6), torch.tensor(0.5), 0.4
    grid = torch.linspace(-15, 15, 6001)
    density = one.given(observation, y).at(t).log_prob(grid).exp()
    exact = one.given(observation, y).score(t, grid)
    here = at(t)
    for rule in (DPS(observation, y), PGDM(observation, y), TMPD(observation, y), FPS(observation, y)):
        clean = rule.denoise(Exact(one), grid, here)
        off = ((here.alpha * clean - grid) / here.sigma**2 - exact).square()
        wanted = float(torch.trapezoid(density * off, grid))
        table = measured(rule, one, [t], rows=40_000)
        assert float(table.error) == pytest.approx(wanted, abs=5 * float(table.standard_error))
        law = one.recorded(t, grid[::40], observation)
        stated = rule.likelihood(Exact(one), grid[::40], here)
        records = torch.linspace(-25, 25, 2001)[:, None].expand(-1, len(grid[::40]))
        log_prob = law.log_prob(records)
        ratio = torch.trapezoid(log_prob.exp() * (log_prob - stated.log_prob(records)), records, dim=0)
        apart = float(torch.trapezoid(density[::40] * ratio, grid[::40]))
        assert float(table.divergence) == pytest.approx(apart, abs=5 * float(table.divergence_standard_error))


def test_moments_are_nearer_than_a_round_guess_and_that_than_a_point():
    """With the first two moments right, no Gaussian is nearer: the divergence is least for TMPD."""
    observation, y = LinearMeasurement(torch.randn(2, 3), 0.2), torch.randn(2)
    point, round_, moments = (measured(rule(observation, y), process()) for rule in (DPS, PGDM, TMPD))
    assert bool((moments.divergence < round_.divergence).all() and (moments.divergence < point.divergence).all())
    assert bool((moments.error < point.error).all())
    assert bool((moments.cosine > 0.9).all())


def test_an_imperfect_model_is_measured_against_the_truth():
    observation, y = LinearMeasurement(torch.randn(2, 3), 0.2), torch.randn(2)
    gaussian = Process(mx.Mixture(torch.ones(1), GAUSSIANS["full"].take(slice(0, 1))), SCHEDULE)
    errors = [
        measured(TMPD(observation, y), gaussian, model=Imperfect(gaussian, size, length=3.0)).error
        for size in (0.001, 0.1)
    ]
    assert bool((errors[0] > 0).all() and (errors[0] * 10 < errors[1]).all())


def test_what_would_be_a_mean_of_nothing_is_refused():
    one, rule = process(), TMPD(LinearMeasurement(torch.eye(3), 0.1), torch.zeros(3))
    for times, rows, match in (([], 10, "`times` must be"), (0.5, 10, "`times` must be"), ([0.5], 1, "`rows` must be")):
        with pytest.raises(MixtureError, match=match):
            guidance_error(rule, one, times, rows)
    problem = mx.diffusion.problems.tutorial_2d()
    with pytest.raises(MixtureError, match="`repeats` must be at least 1"):
        mx.diffusion.attribute(problem, ExactGuidance(problem.observation, problem.y), repeats=0)
    with pytest.raises(MixtureError, match="`samples` must be a tensor .*; got list"):
        mx.diffusion.metrics.measure([[0.0]], one.mixture, mx.diffusion.metrics.MMD())  # pyright: ignore


def test_no_rows_and_lists_of_records_are_served():
    one, seen = process(), LinearMeasurement(torch.eye(3), 0.1)
    for rule in (TMPD(seen, torch.zeros(3)), ExactGuidance(seen, [0.0, 0.0, 0.0])):
        assert mx.diffusion.sample(one, SCHEDULE, (0, 3), 2, guidance=rule).shape == (0, 3)
