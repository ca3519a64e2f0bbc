"""What each method learns from: observations and known labels, with an objective of these rows; or a refusal."""

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError
from mixtura.learning.expectation.expect import log_density, log_joint
from mixtura.learning.expectation.recorded import recorded
from mixtura.learning.results.simulate import simulated
from mixtura.observation import AdditiveNoise, Censored, Exact, Missing, Truncated

F64 = torch.float64
ROWS = 150


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


TRUTH = mx.Mixture(
    torch.tensor([0.6, 0.4], dtype=F64),
    mx.Gaussian(
        torch.tensor([[0.0, 0.0], [5.0, 4.0]], dtype=F64),
        torch.tensor([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.2]]], dtype=F64),
    ),
)

WAYS = {
    "exact": lambda: Exact(),
    "noise": lambda: AdditiveNoise(scale=0.7),
    "a scale a row": lambda: AdditiveNoise(
        scale=0.3 + torch.rand(ROWS, 2, dtype=F64, generator=seeded(1)), per_row=True
    ),
    "gaps": lambda: Missing(),
    "limits": lambda: Censored(upper=6.0),
    "cut off": lambda: Truncated(lower=torch.tensor([-1.0, -torch.inf], dtype=F64)),
}


def rows_of(way, labelled):
    labels = (torch.arange(ROWS) % 7 - 5).clamp_min(-1) if labelled else None
    blank = torch.zeros(ROWS, 2, dtype=F64)
    rows = simulated(TRUTH, recorded(blank, observation=WAYS[way](), labels=labels), seeded(3))
    if way == "gaps":
        x = rows.tensor().clone()
        x[::4, 0] = torch.nan
        rows = rows.recorded_as(x, None)
    return rows


def likelihood(mixture, rows):
    return rows.gather(lambda block: log_density(mixture, block)).sum().item()


def at_the_end(fit, rows):
    return fit.trace[-1].item() * ROWS, likelihood(fit.mixture, rows)


def of_the_labels(fit, rows):
    joint = rows.gather(lambda block: log_joint(fit.mixture, block)).amax(-1)
    return fit.trace[-1].item() * ROWS, joint.sum().item() - ROWS * rows.observation.log_recorded(fit.mixture).item()


def of_the_next_block(fit, rows):
    return fit.trace[0].item() * ROWS, likelihood(TRUTH, rows)


def of_a_draw(fit, rows):
    return fit.log_likelihoods[0, 7].item() * ROWS, likelihood(fit.draws.batch(7), rows)


def of_squares(fit, rows):
    joint = rows.gather(lambda block: log_joint(fit.mixture, block))
    nearest = fit.mixture.components.mean[joint.argmax(-1)]
    return fit.inertia, (rows.tensor() - nearest).square().sum().item()


def bounded(fit, rows):
    exact = likelihood(fit.mixture, rows)
    assert exact - 40 < fit.bound < exact
    return fit.trace[-1].item() * ROWS, fit.bound


EVERY = set(WAYS)
METHODS = {
    "EM": (mx.EM(), at_the_end, EVERY),
    "ClassificationEM": (mx.ClassificationEM(), of_the_labels, EVERY),
    "StochasticEM": (mx.StochasticEM(draws=5), at_the_end, EVERY),
    "AnnealedEM": (mx.AnnealedEM(), at_the_end, EVERY),
    "SplitMergeEM": (mx.SplitMergeEM(), at_the_end, EVERY),
    "OnlineEM": (mx.OnlineEM(block=ROWS), of_the_next_block, EVERY),
    "KMeans": (mx.KMeans(), of_squares, {"exact"}),
    "Variational": (mx.Variational(), bounded, EVERY - {"cut off"}),
    "Gibbs": (mx.Gibbs(10, 5, 1), of_a_draw, EVERY - {"limits", "cut off"}),
}


@pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", METHODS)
def test_it_learns_and_its_objective_is_of_these_rows_or_it_is_refused(name, way, labelled):
    method, objective, learned = METHODS[name]
    rows = rows_of(way, labelled)
    if way not in learned:
        with pytest.raises(MixtureError, match="`EM`"):
            mx.fit(rows, init=TRUTH, method=method)
        return
    start = TRUTH if name != "KMeans" else TRUTH.components.mean
    fit = mx.fit(rows, init=start, method=method, generator=seeded())
    found, expected = objective(fit, rows)
    assert found == pytest.approx(expected, rel=1e-8)
    if labelled:
        joint = rows.gather(lambda block: log_joint(fit.mixture, block))
        for index, component in rows.possible.groups():
            assert component is None or (joint[index].argmax(-1) == component).all()


@pytest.mark.parametrize("way", ["noise", "a scale a row", "gaps", "limits"])
@pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "labelled"])
def test_objectives_that_cannot_fall_do_not(way, labelled):
    rows = rows_of(way, labelled)
    worse = TRUTH.affine(torch.eye(2, dtype=F64), 0.7 * torch.ones(2, dtype=F64))
    for method in (mx.EM(), mx.ClassificationEM(), mx.SplitMergeEM()):
        fit = mx.fit(rows, init=worse, method=method)
        assert (fit.trace.diff() > -1e-10).all() and fit.converged


@pytest.mark.parametrize("way", ["noise", "a scale a row", "gaps"])
@pytest.mark.slow
def test_splitting_and_merging_leaves_a_poor_start_through_an_observation(way):
    groups = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], dtype=F64)
    truth = mx.Mixture(torch.ones(3, dtype=F64) / 3, mx.Gaussian(groups, mx.Spherical(torch.ones(3, dtype=F64))))
    rows = simulated(truth, recorded(torch.zeros(ROWS, 2, dtype=F64), observation=WAYS[way]()), seeded(3))
    poor = torch.tensor([[0.0, 0.0], [0.5, 0.5], [5.0, 5.0]], dtype=F64)
    start = mx.Mixture(torch.ones(3, dtype=F64) / 3, mx.Gaussian(poor, mx.Spherical(torch.ones(3, dtype=F64))))
    stuck = mx.fit(rows, init=start).log_likelihood
    best = mx.fit(rows, init=truth).log_likelihood
    assert stuck < best - 20
    assert mx.fit(rows, init=start, method=mx.SplitMergeEM(candidates=9)).log_likelihood == pytest.approx(best, abs=0.1)


def test_a_stream_is_read_through_the_observation_block_by_block():
    rows = rows_of("noise", False)
    y, noise = rows.tensor(), WAYS["noise"]()
    whole = mx.fit(y, init=TRUTH, method=mx.OnlineEM(block=50), observation=noise)
    fit = mx.fit(y[:50], init=TRUTH, method=mx.OnlineEM(block=50), observation=noise)
    for block in y[50:].split(50):
        fit = fit.partial_fit(block)
    torch.testing.assert_close(fit.mixture.components.covariance, whole.mixture.components.covariance)
    own = fit.partial_fit(y[:50], observation=AdditiveNoise(scale=torch.full((50, 2), 0.7, dtype=F64), per_row=True))
    torch.testing.assert_close(own.mixture.components.mean, fit.partial_fit(y[:50]).mixture.components.mean)
    with pytest.raises(MixtureError, match="observation"):
        own.partial_fit(y[:50])
