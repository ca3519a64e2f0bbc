"""Climbing by quasi-Newton steps: slopes are those of the likelihood, and steps lead uphill, in few updates."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.components import structure
from mixtura.data import TensorRows
from mixtura.learning import Reason
from mixtura.learning.expectation.expect import expect
from mixtura.learning.expectation.labels import soft
from mixtura.learning.loop.climbing import Climb
from mixtura.learning.loop.run import run
from mixtura.learning.loop.traces import stack

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(*size, seed=0):
    return torch.randn(*size, generator=seeded(seed), dtype=F64)


CENTRES = drawn(1, 3, 2)
MATRICES = torch.eye(2, dtype=F64) + 0.5 * drawn(1, 3, 2, 1, seed=1) @ drawn(1, 3, 2, 1, seed=1).mT
SCALES = torch.tensor([[0.7, 1.1, 1.6]], dtype=F64)
VECTORS, NUMBERS = drawn(40, 2, seed=2), drawn(40, seed=3)
SPREADS = CENTRES.square() + 0.3
GAPS = VECTORS.masked_fill(drawn(40, 2, seed=9) > 1, math.nan)
CUBES = torch.eye(3, dtype=F64) + 0.5 * drawn(1, 3, 3, 1, seed=7) @ drawn(1, 3, 3, 1, seed=7).mT
MATRIX_CODES = ("EEV", "VEV", "EVV", "VEE", "EVE", "VVE")
CASES = {
    "Normal": (mx.Normal(CENTRES[..., 0], SCALES), NUMBERS, None),
    "full": (mx.Gaussian(CENTRES, MATRICES), VECTORS, None),
    "tied full": (mx.Gaussian(CENTRES, mx.Full(MATRICES[:, :1], tied=True)), VECTORS, None),
    "diagonal": (mx.Gaussian(CENTRES, mx.Diagonal(CENTRES.square() + 0.3)), VECTORS, None),
    "tied diagonal": (mx.Gaussian(CENTRES, mx.Diagonal(CENTRES[:, :1].square() + 0.3, tied=True)), VECTORS, None),
    "spherical": (mx.Gaussian(CENTRES, mx.Spherical(SCALES)), VECTORS, None),
    "tied spherical": (mx.Gaussian(CENTRES, mx.Spherical(SCALES[:, :1], tied=True)), VECTORS, None),
    **{name: (mx.Gaussian(CENTRES, structure(name).with_moment(MATRICES, 2)), VECTORS, None) for name in MATRIX_CODES},
    **{name: (mx.Gaussian(CENTRES, structure(name).with_moment(SPREADS, 2)), VECTORS, None) for name in ("VEI", "EVI")},
    "gaps, EVE": (mx.Gaussian(CENTRES, structure("EVE").with_moment(MATRICES, 2)), GAPS, mx.observation.Missing()),
    "LogNormal": (mx.LogNormal(CENTRES[..., 0], SCALES), NUMBERS.exp(), None),
    "Student-t": (mx.StudentT(CENTRES[..., 0], SCALES, 4.0), NUMBERS, None),
    "Student-t on vectors": (mx.StudentT(CENTRES, mx.Full(MATRICES), 2.0), VECTORS, None),
    "Student-t of shared axes": (mx.StudentT(CENTRES, structure("EVE").with_moment(MATRICES, 2), 2.0), VECTORS, None),
    "three columns": (mx.Gaussian(drawn(1, 3, 3, seed=6), structure("EVE").with_moment(CUBES, 3)), drawn(40, 3), None),
    "Weibull": (mx.Weibull(SCALES, SCALES.flip(1)), NUMBERS.exp(), None),
    "rounded": (mx.Gaussian(CENTRES, MATRICES), VECTORS.round(), mx.observation.Rounded(1.0)),
    "censored": (mx.Normal(CENTRES[..., 0], SCALES), NUMBERS.clamp(-0.5), mx.observation.Censored(-0.5)),
    "truncated": (mx.Normal(CENTRES[..., 0], SCALES), NUMBERS.abs() + 0.1, mx.observation.Truncated(0.0)),
    "noise": (mx.Gaussian(CENTRES, MATRICES), VECTORS, mx.observation.AdditiveNoise(scale=0.6)),
}


def seen(rows, observation):
    return TensorRows(rows) if observation is None else TensorRows(rows).through(observation)


def likelihood(components, logits, rows):
    return expect(mx.Mixture._of(logits, components), rows, soft)


@pytest.mark.parametrize("case", CASES)
def test_slopes_are_those_of_the_likelihood_along_each_local_coordinate(case):
    components, rows, observation = CASES[case]
    rows, logits = seen(rows, observation), torch.log_softmax(drawn(1, 3, seed=5), -1)
    slopes, h = components.slopes(likelihood(components, logits, rows)), 1e-4
    for coordinate, slope in enumerate(slopes.slope[0].tolist()):
        step = torch.zeros_like(slopes.slope)
        step[0, coordinate] = h
        ends = (likelihood(components.stepped(way * step), logits, rows).log_likelihood for way in (1, -1))
        ahead, behind = (end.item() for end in ends)
        assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case != "Weibull"])
def test_slopes_under_a_prior_are_those_of_the_density_of_the_mixture_given_the_rows(case):
    components, rows, observation = CASES[case]
    features = rows.shape[-1] if rows.ndim > 1 else 1
    prior = mx.Prior(2.5, mx.NormalInverseWishart(drawn(features, seed=8), 0.7, CUBES[0, 1, :features, :features], 4.5))
    rows, logits, h = seen(rows, observation), torch.log_softmax(drawn(1, 3, seed=5), -1), 1e-4
    slopes = components.slopes(likelihood(components, logits, rows), prior.components).slope

    def density(step):
        there = mx.Mixture._of(logits, components.stepped(step))
        return (expect(there, rows, soft).log_likelihood + prior.log_prob(there)).item()

    for coordinate, slope in enumerate(slopes[0].tolist()):
        step = torch.zeros_like(slopes)
        step[0, coordinate] = h
        assert slope == pytest.approx((density(step) - density(-step)) / (2 * h), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("settings", [{"shared": True}, {"fixed": 3.0}])
def test_degrees_of_freedom_shared_or_held_have_one_slope_or_none(settings):
    logits, rows = torch.log_softmax(drawn(1, 3, seed=5), -1), seen(NUMBERS, None)
    components = mx.StudentT(CENTRES[..., 0], SCALES, 3.0)._replace(**settings)
    found = components.slopes(likelihood(components, logits, rows)).slope
    assert found.shape == (1, 7 if "shared" in settings else 6)
    step = torch.full_like(found, 1e-4)
    ends = (likelihood(components.stepped(way * step), logits, rows).log_likelihood.item() for way in (1, -1))
    assert found.sum().item() == pytest.approx((next(ends) - next(ends)) / 2e-4, rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_no_step_at_all_leads_nowhere(case):
    components = CASES[case][0]
    slopes = components.slopes(likelihood(components, torch.zeros(1, 3, dtype=F64), seen(*CASES[case][1:])))
    still = components.stepped(torch.zeros_like(slopes.slope))
    for mine, theirs in zip(still.tensors(), components.tensors(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("name", [*MATRIX_CODES, "VEI", "EVI"])
@pytest.mark.parametrize("prior", [None, mx.Prior.weak(VECTORS, 3)], ids=["likelihood", "prior"])
def test_components_that_share_parts_climb_and_still_share_them(name, prior):
    rows = seen(torch.where(drawn(150, 2, seed=9) > 1.3, math.nan, drawn(150, 2, seed=2)), mx.observation.Missing())
    start = mx.Gaussian(CENTRES, structure(name).with_moment(SPREADS if name in ("VEI", "EVI") else MATRICES, 2))
    start, floor = mx.Mixture._of(torch.full((1, 3), -math.log(3), dtype=F64), start), torch.full((2,), 1e-9, dtype=F64)
    (quick,) = run(mx.EM(400, 1e-8, prior), rows, start, floor)
    assert quick.reason is Reason.CONVERGED and bool((torch.tensor(quick.trace).diff() > -1e-12).all())
    (plain,) = run(mx.EM(50, 0, prior, acceleration=False), rows, stack([quick.state]), floor)
    assert plain.objective - quick.objective < 1e-7
    covariance = quick.state.components.structure
    apart = covariance.with_moment(covariance.scatter(covariance.dense(2)), 2).dense(2) - covariance.dense(2)
    assert apart.abs().max() < 1e-6


def hidden(name):
    """Rows of three components, one of which is mostly hidden by a limit: EM creeps."""
    x = torch.cat([drawn(150) - 3.0, drawn(100, seed=1), 0.7 * drawn(100, seed=2) + 4])
    if name == "truncated":
        return x[x > -3], mx.observation.Truncated(-3.0)
    return torch.stack([x, drawn(350, seed=3) + 0.5 * x], -1).clamp(-2.5), mx.observation.Censored(-2.5)


@pytest.mark.parametrize("name", ["truncated", "censored"])
@pytest.mark.slow
def test_it_climbs_where_plain_updates_creep_and_never_falls(name):
    x, observation = hidden(name)
    begin = mx.fit(x, 3, observation=observation, restarts=1, generator=seeded(), method=mx.EM(3, 0)).mixture
    quick = mx.fit(x, init=begin, observation=observation)
    plain = mx.fit(x, init=begin, observation=observation, method=mx.EM(300, 0, acceleration=False))
    assert quick.reason is Reason.CONVERGED and bool((quick.trace.diff() > -1e-12).all())
    assert quick.iterations < 100 and quick.trace[-1] > plain.trace[-1] - 1e-9


def test_steps_remembered_make_steps_longer_where_the_likelihood_hardly_bends(monkeypatch):
    """With no memory it is a method of slopes alone, which creeps like EM."""
    x, observation = hidden("truncated")
    begin = mx.fit(x, 3, observation=observation, restarts=1, generator=seeded(), method=mx.EM(3, 0)).mixture
    quick = mx.fit(x, init=begin, observation=observation)
    monkeypatch.setattr(Climb, "_remember", lambda self, slope: None)
    slow = mx.fit(x, init=begin, observation=observation, method=mx.EM(quick.iterations, 0))
    assert quick.trace[-1] > slow.trace[-1] + 1e-7


def test_the_units_of_rows_do_not_matter():
    x, observation = hidden("truncated")
    begin = mx.fit(x, 3, observation=observation, restarts=1, generator=seeded(), method=mx.EM(3, 0)).mixture
    unit = 2.0**20
    wide = mx.Mixture(begin.weights, mx.Normal(unit * begin.components.mean, unit * begin.components.variance.sqrt()))
    one = mx.fit(x, init=begin, observation=observation, method=mx.EM(25, 0))
    other = mx.fit(unit * x, init=wide, observation=mx.observation.Truncated(-3.0 * unit), method=mx.EM(25, 0))
    torch.testing.assert_close(other.trace + math.log(unit), one.trace, rtol=0, atol=1e-8)
