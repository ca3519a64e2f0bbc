"""Everything after a fit sees what the fit saw: errors, projections, gaps, limits and known labels.

One table of ways in which rows may have been recorded, and laws that hold for each of them.
"""

import math
from dataclasses import replace

import pytest
import torch

import mixtura as mx
from mixtura.learning.expectation.expect import log_density, log_joint, read_under
from mixtura.learning.expectation.recorded import recorded
from mixtura.learning.results.simulate import simulated
from mixtura.learning.starts.widths import wide_enough
from mixtura.observation import (
    AdditiveNoise,
    Binned,
    Censored,
    Exact,
    LinearMeasurement,
    Missing,
    Noise,
    Rounded,
    ShiftNoise,
    Truncated,
)

F64 = torch.float64
ROWS = 240


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def vectors():
    covariance = torch.tensor([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]]], dtype=F64)
    return mx.Mixture(
        torch.tensor([0.6, 0.4], dtype=F64), mx.Gaussian(torch.tensor([[0.0, 0.0], [6.0, 5.0]], dtype=F64), covariance)
    )


def numbers():
    return mx.Mixture(
        torch.tensor([0.6, 0.4], dtype=F64),
        mx.Normal(torch.tensor([0.0, 6.0], dtype=F64), torch.tensor([1.0, 0.8], dtype=F64)),
    )


def scales():
    return 0.3 + torch.rand(ROWS, 2, dtype=F64, generator=seeded(1))


def matrices():
    return torch.randn(ROWS, 2, 2, dtype=F64, generator=seeded(2)) + 2 * torch.eye(2, dtype=F64)


TABLE = {
    "exact": (vectors, lambda: Exact()),
    "one scale": (vectors, lambda: AdditiveNoise(scale=0.7)),
    "a scale a row": (vectors, lambda: AdditiveNoise(scale=scales(), per_row=True)),
    "gaps": (vectors, lambda: Missing()),
    "scales and gaps": (vectors, lambda: [AdditiveNoise(scale=scales(), per_row=True), Missing()]),
    "a projection a row": (vectors, lambda: LinearMeasurement(matrices(), scale=0.5, per_row=True)),
    "limits": (vectors, lambda: Censored(upper=7.0)),
    "cut off": (numbers, lambda: Truncated(lower=-1.0)),
    "rounded": (numbers, lambda: Rounded(0.5)),
    "bins": (numbers, lambda: Binned(torch.arange(-8.0, 16.0, 1.0, dtype=F64))),
    "shifts": (numbers, lambda: ShiftNoise(-1, 2)),
    "heavy noise": (numbers, lambda: Noise(torch.distributions.Laplace(0.0, 0.5))),
    "noise, then limits": (numbers, lambda: [AdditiveNoise(scale=0.5), Censored(upper=6.5)]),
    "noise, then cut off": (numbers, lambda: [AdditiveNoise(scale=0.5), Truncated(lower=-1.0)]),
}

LABELS = torch.full((ROWS,), -1)


def rows_of(name, labelled=False):
    """Rows recorded in one of the ways of the table, with some labels if asked for."""
    make, observation = TABLE[name]
    mixture, blank = make(), torch.zeros(ROWS, *make().event_shape, dtype=F64)
    labels = (torch.arange(ROWS) % 7 - 5).clamp_min(-1) if labelled else None
    rows = simulated(mixture, recorded(blank, observation=observation(), labels=labels), seeded(3))
    if rows.observation.gaps:
        x = rows.tensor().clone()
        x[::4, 0] = torch.nan
        rows = rows.recorded_as(x, None)
    return mixture, rows


def fitted(name, labelled=False):
    mixture, rows = rows_of(name, labelled)
    return mx.fit(rows, init=mixture, method=mx.EM(tolerance=1e-10)), rows


each = pytest.mark.parametrize("name", TABLE)

SOME = ("exact", "gaps", "a projection a row", "rounded")
LONG = tuple(name for name in TABLE if name not in SOME)
each_in_time = pytest.mark.parametrize("name", [*SOME, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
with_labels = pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "labelled"])


@each
@with_labels
def test_densities_of_rows_add_up_to_the_likelihood_of_the_fit(name, labelled):
    fit, rows = fitted(name, labelled)
    total = rows.gather(lambda block: log_density(fit.mixture, block)).sum().item()
    assert total == pytest.approx(fit.log_likelihood, rel=1e-9)
    assert fit.trace[-1].item() * ROWS == pytest.approx(fit.log_likelihood, rel=1e-9)


@each
def test_densities_of_rows_are_those_of_the_observed_mixture(name):
    """Row by row, against the mixture of what is recorded: another way through the code."""
    mixture, rows = rows_of(name)
    found = rows.gather(lambda block: log_density(mixture, block))
    y = rows.tensor()
    if rows.observation.side:
        each = [mixture.observed(_one(rows.observation, n)).log_prob(y[n : n + 1])[0] for n in range(20)]
        torch.testing.assert_close(found[:20], torch.stack(each).reshape(-1))
    else:
        torch.testing.assert_close(found, mixture.observed(rows.observation).log_prob(y))


def _one(observation, n):
    """The observation of one row alone, whose tensors then count no rows."""
    return observation.at([tensor[n : n + 1] for tensor in observation.side])


@each
@with_labels
def test_the_size_of_blocks_does_not_matter(name, labelled):
    mixture, rows = rows_of(name, labelled)
    whole = rows.reduce(lambda block: log_density(mixture, block).sum())
    pieces = rows.reduce(lambda block: log_density(mixture, block).sum(), size=37)
    torch.testing.assert_close(whole, pieces)


@each
@with_labels
def test_em_climbs(name, labelled):
    mixture, rows = rows_of(name, labelled)
    worse = mixture.affine(torch.eye(2, dtype=F64), 0.7 * torch.ones(2, dtype=F64)) if mixture.event_shape else mixture
    fit = mx.fit(rows, init=worse, method=mx.EM(max_iterations=30, tolerance=0))
    assert (fit.trace.diff() > -1e-9).all()
    assert fit.trace[-1] > fit.trace[0]


@each
def test_known_labels_leave_no_other_component(name):
    mixture, rows = rows_of(name, labelled=True)
    joint = rows.gather(lambda block: log_joint(mixture, block))
    for index, component in rows.possible.groups():
        if component is not None:
            assert (joint[index].argmax(-1) == component).all()
            assert joint[index].isinf().sum() == len(index)


@each_in_time
def test_starts_are_found_without_help(name):
    truth, rows = rows_of(name, labelled=True)
    fit = mx.fit(rows, 2, restarts=4, generator=seeded())
    assert fit.log_likelihood > mx.fit(rows, init=truth).log_likelihood - 0.05 * ROWS


@pytest.mark.slow
@each_in_time
@pytest.mark.parametrize("parametric", [False, True], ids=["resampled", "drawn"])
def test_standard_errors_agree_with_the_bootstrap(name, parametric):
    """Both are estimates of one thing: within a factor that neglected errors would exceed."""
    fit, rows = fitted(name)
    exact = mx.standard_errors(fit).mean
    rough = replace(fit, method=mx.EM(tolerance=1e-5))
    errors = mx.bootstrap(rough, replicates=20, parametric=parametric, generator=seeded(5)).mean
    assert (errors / exact).log().abs().max() < math.log(2.2), (errors, exact)


@each
def test_replicates_are_recorded_as_the_rows_were(name):
    mixture, rows = rows_of(name)
    again = simulated(mixture, rows, seeded(8))
    y, z = rows.tensor(), again.tensor()
    assert z.shape == y.shape and (z.isnan() == y.isnan()).all()
    mean, variance = y.nanmean(0), (y - y.nanmean(0)).square().nanmean(0)
    assert ((z.nanmean(0) - mean).abs() < 5 * (variance / ROWS).sqrt()).all()
    assert torch.allclose((z - z.nanmean(0)).square().nanmean(0), variance, rtol=0.35)


@each_in_time
def test_validation_reads_rows_through_the_observation(name):
    _, rows = rows_of(name)
    found = mx.cross_validate(rows, (1, 2), folds=3, restarts=2, generator=seeded())
    assert found.best == 2
    fit, _ = fitted(name)
    own = fit.log_likelihood / ROWS
    assert abs(found.scores[1].log_density - own) < 0.3
    assert mx.held_out(fit.mixture, rows).log_density == pytest.approx(own, rel=1e-9)


@each_in_time
def test_the_evidence_is_of_the_rows_as_they_were_recorded(name):
    _, rows = rows_of(name)
    if rows.observation.selects:
        pytest.skip("variational Bayes has no bound where some draws are not recorded")
    found = mx.evidence(rows, (1, 2), restarts=2, generator=seeded())
    assert found.best == 2
    for fit in found.fits:
        assert (fit.trace.diff() > -1e-9).all()
        assert 0 < (fit.log_likelihood - fit.bound) / ROWS < 0.2


@pytest.mark.parametrize(
    "name", ["gaps", *(pytest.param(name, marks=pytest.mark.slow) for name in ("one scale", "a scale a row"))]
)
@pytest.mark.slow
def test_the_likelihood_ratio_is_simulated_through_the_observation(name):
    _, rows = rows_of(name)
    rough = {"method": mx.EM(tolerance=1e-4), "generator": seeded(), "restarts": 2}
    found = mx.likelihood_ratio_test(rows.take(torch.arange(80)), 2, replicates=9, **rough)
    assert found.p_value > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("apart, scale", [(8.0, 1.5), (6.0, 0.5)])
def test_two_clusters_with_large_noise_have_large_errors(apart, scale):
    """Two clusters with noise of 2: the means are as uncertain as the bootstrap says, not five times less."""
    truth = mx.Mixture(
        torch.tensor([0.5, 0.5], dtype=F64),
        mx.Normal(torch.tensor([0.0, apart], dtype=F64), torch.full((2,), scale, dtype=F64)),
    )
    blank = torch.zeros(300, dtype=F64)
    rows = simulated(truth, recorded(blank, observation=AdditiveNoise(scale=2.0)), seeded(4))
    fit = mx.fit(rows, init=truth, method=mx.EM(tolerance=1e-9))
    rough = replace(fit, method=mx.EM(tolerance=1e-5))
    errors, again = mx.standard_errors(fit).mean, mx.bootstrap(rough, 16, parametric=True, generator=seeded(6)).mean
    assert (errors > 0.2).all()
    assert (errors / again).log().abs().max() < math.log(2)


def test_replicates_begin_no_narrower_than_rows_could_tell_behind_errors():
    """Through errors of 2 a variance of 4 sqrt(2 / 150) is none of 150 rows; wider ones stay as they are."""
    variance = torch.tensor([0.0001, 9.0], dtype=F64)
    mixture = mx.Mixture(torch.ones(2, dtype=F64), mx.Normal(torch.tensor([0.0, 60.0], dtype=F64), variance.sqrt()))
    noisy = simulated(mixture, recorded(torch.zeros(300, dtype=F64), observation=AdditiveNoise(scale=2.0)), seeded(4))
    found = wide_enough(mixture, noisy).components
    torch.testing.assert_close(found.variance, torch.tensor([4 * (2 / 150) ** 0.5, 9.0], dtype=F64), rtol=0.02, atol=0)
    torch.testing.assert_close(found.mean, mixture.components.mean)
    assert wide_enough(mixture, recorded(noisy.tensor())) is mixture


def test_errors_of_each_component_go_with_a_start_that_says_how_many():
    """Also where the fit is learned again from its own mixture, as bootstrap does."""
    clean = vectors()
    noise = AdditiveNoise(scale=torch.tensor([[0.5, 0.5], [1.0, 1.0]], dtype=F64), per_row=False)
    x = clean.sample((ROWS,), seeded())
    few = {"method": mx.EM(20), "observation": noise}
    fit = mx.fit(x, init=clean, **few)
    torch.testing.assert_close(fit.mixture.mean, mx.fit(x, 2, init=clean, **few).mixture.mean)
    assert mx.bootstrap(fit, 2, generator=seeded()).weights.isfinite().all()
    with pytest.raises(mx.errors.MixtureError, match="3 components"):
        mx.fit(x, init=x[:3], observation=noise)


@pytest.mark.parametrize("observation", [Truncated(lower=-0.5), AdditiveNoise(scale=0.5), None])
def test_what_is_said_of_each_row_holds_for_rows_that_do_not_count(observation):
    x = numbers().sample((ROWS,), seeded())
    x = x[x > -0.5]
    weight = (torch.arange(len(x)) % 3 > 0).to(F64)
    fit = mx.fit(x, 2, observation=observation, sample_weight=weight)
    law = fit.mixture if observation is None else fit.mixture.observed(observation)
    (_, joint, density), *others = read_under(fit.mixture, fit.rows)
    assert not others
    torch.testing.assert_close(density, law.log_prob(x))
    seen = mx.report.survey(fit.mixture, fit.rows)
    assert seen.log_likelihood == pytest.approx(fit.log_likelihood)
    torch.testing.assert_close(seen.assigned, torch.bincount(joint.argmax(-1), weight, minlength=2))
    assert all(weight[one.row] > 0 for one in seen.least)
