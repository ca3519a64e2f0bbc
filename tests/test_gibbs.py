"""Gibbs sampling against exact posteriors, and relabelling."""

import numpy as np
import pytest
import torch
from enumerated import as_prior, predictive_density
from scipy import stats

import mixtura as mx
from mixtura.learning import Sampled, relabel
from mixtura.learning.expectation.sampled_labels import picked
from mixtura.priors import StickBreaking

F64 = torch.float64
PRIOR = (0.5, 0.3, 1.5, 4.5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
def test_predictive_density_is_the_exact_one():
    x = np.array([-2.0, -1.7, 1.1, 1.6, 2.4])
    at = np.array([-2.0, 0.0, 1.5, 4.0])
    exact = predictive_density(at, x, 2, 0.7, PRIOR)
    method = mx.Gibbs(draws=200, warmup=50, chains=60, prior=as_prior(0.7, PRIOR), generator=seeded())
    fit = mx.fit(torch.from_numpy(x), 2, method=method)
    density = fit.draws.expand((len(fit.draws.logits),)).log_prob(torch.from_numpy(at).unsqueeze(-1)).exp()
    by_batch = density.reshape(4, 60, -1).mean(-1)  # means of chains, which are independent
    error = by_batch.std(-1) / by_batch.shape[-1] ** 0.5
    assert ((density.mean(-1) - torch.from_numpy(exact)).abs() < 4.5 * error).all()
    assert (error < 0.05 * torch.from_numpy(exact)).all()


def test_one_component_has_the_closed_posterior():
    x = torch.randn(30, 2, dtype=F64, generator=seeded()) @ torch.tensor([[2.0, 0.3], [0.0, 0.5]], dtype=F64) + 1
    prior = mx.Prior.weak(x, 1)
    fit = mx.fit(x, 1, method=mx.Gibbs(draws=1000, warmup=1, chains=1, prior=prior, generator=seeded()))
    exact = mx.fit(x, 1, method=mx.Variational(prior=prior)).posterior.mean.components
    mean, covariance = fit.draws.components.mean, fit.draws.components.covariance
    for draws, expected in ((mean, exact.mean), (covariance, exact.covariance)):
        error = draws.std(0) / len(draws) ** 0.5
        assert ((draws.mean(0) - expected).abs() < 5 * error).all()


def test_weights_of_groups_far_apart_have_their_dirichlet_law():
    x = torch.cat(
        (torch.randn(30, dtype=F64, generator=seeded()) - 50, torch.randn(10, dtype=F64, generator=seeded()) + 50)
    )
    prior = mx.Prior(2.0, mx.Prior.weak(x, 2).components)
    fit = mx.fit(x, 2, method=mx.Gibbs(20, 5, 40, prior), generator=seeded(1))
    share = fit.draws.weights.amax(-1)
    assert stats.kstest(share.numpy(), stats.beta(32, 12).cdf).pvalue > 1e-3


def test_labels_are_drawn_with_their_probabilities():
    joint = torch.tensor([0.2, 0.5, 0.0, 0.3], dtype=F64).log() + 700
    labels = picked(joint.expand(100_000, 4), torch.rand(100_000, dtype=F64, generator=seeded()))
    counts = torch.bincount(labels, minlength=4)
    assert counts[2] == 0
    kept = [0, 1, 3]
    assert stats.chisquare(counts[kept], [20_000, 50_000, 30_000]).pvalue > 1e-4
    one_hot = Sampled(seeded())(joint.expand(10, 3, 4))
    assert one_hot.shape == (10, 3, 4) and (one_hot.sum(-1) == 1).all()


def test_the_same_generator_gives_the_same_draws():
    x = mx.datasets.old_faithful()
    fits = [mx.fit(x, 2, method=mx.Gibbs(20, 5, 2), generator=seeded(7)) for _ in range(2)]
    assert torch.equal(fits[0].draws.logits, fits[1].draws.logits)


def test_stick_breaking_leaves_components_empty():
    prior = mx.Prior(StickBreaking(0.3))
    fit = mx.fit(mx.datasets.old_faithful(), 8, method=mx.Gibbs(200, 200, 2, prior), generator=seeded())
    assert (fit.draws.weights > 0.01).sum(-1).double().mean() < 6


@pytest.mark.parametrize("components", [3, 7])  # so few that orders are gone through, and so many that SciPy assigns
def test_relabelling_undoes_any_permutation(components):
    generator = seeded()
    mean = torch.rand(components, 2, generator=generator, dtype=F64) + 4 * torch.arange(components)[:, None]
    mean = mean + 0.3 * torch.randn(50, components, 2, generator=generator, dtype=F64)
    weights = torch.arange(1, components + 1, dtype=F64).expand(50, -1) + 0.1 * torch.rand(50, 1, dtype=F64)
    draws = mx.Mixture(weights, mx.Gaussian(mean, mx.Diagonal(torch.ones_like(mean))))
    order = torch.stack([torch.randperm(components, generator=generator) for _ in range(50)])
    order[0] = torch.arange(components)
    found = relabel(mx.learning.reorder(draws, order))
    torch.testing.assert_close(found.components.mean, mean)
    torch.testing.assert_close(found.logits, draws.logits)


def test_draws_agree_on_their_labels():
    fit = mx.fit(mx.datasets.old_faithful(), 2, method=mx.Gibbs(200, 100, 3), generator=seeded())
    waiting = fit.draws.components.mean[..., 1]
    assert ((waiting - waiting.mean(0)).abs() < 8).all()


def test_draws_go_to_arviz():
    pytest.importorskip("arviz")
    x = mx.datasets.old_faithful()
    fit = mx.fit(x, 2, method=mx.Gibbs(30, 10, 2), generator=seeded())
    data = fit.to_arviz(predictive=5, generator=seeded())
    assert dict(data["posterior"].sizes) == {"chain": 2, "draw": 30, "component": 2, "feature": 2, "feature_": 2}
    np.testing.assert_allclose(data["posterior"]["weights"][1, 4], fit.draws.weights[34])
    rows = fit.rows.tensor()
    expected = torch.stack([fit.draws.batch(s).log_prob(rows[7]) for s in range(60)]).reshape(2, 30)
    np.testing.assert_allclose(data["log_likelihood"]["x"][..., 7], expected)
    assert data["posterior_predictive"]["x"].shape == (2, 30, 5, 2)
    assert data["observed_data"]["x"].shape == (272, 2)


@pytest.mark.slow
def test_ranks_of_simulated_truths_are_uniform():
    """Simulation-based calibration (Talts et al., 2018) of quantities that do not depend on labels."""
    generator, ranks = seeded(), []
    prior = as_prior(1.5, PRIOR)
    for _ in range(100):
        truth = prior.sample(mx.Normal(torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64)), generator)
        x = truth.sample((15,), generator)
        fit = mx.fit(x, 2, method=mx.Gibbs(draws=490, warmup=60, chains=1, prior=prior), generator=generator)
        ranks.append(
            [
                (drawn[::10] < true).sum().item()
                for drawn, true in zip(_summaries(fit.draws), _summaries(truth), strict=True)
            ]
        )
    for column in np.array(ranks).T:
        counts = np.histogram(column, bins=10, range=(0, 50))[0]
        assert stats.chisquare(counts).pvalue > 1e-3


def _summaries(mixture):
    return mixture.weights.amax(-1), mixture.mean, mixture.variance.log(), mixture.log_prob(torch.zeros((), dtype=F64))


@pytest.mark.parametrize("seed", range(4))
def test_features_that_tell_nothing_do_not_drown_those_that_do(seed):
    """Seven clear clusters on a lattice, whose variances and weights are noise."""
    generator = seeded(seed)
    place = torch.randperm(49, generator=generator)[:7]
    mean = 10 * torch.stack([place // 7, place % 7], -1) + torch.randn(200, 7, 2, generator=generator, dtype=F64) / 2
    variance = torch.randn(200, 7, 2, generator=generator, dtype=F64).exp()
    weights = (torch.randn(200, 7, generator=generator, dtype=F64) / 2).exp()
    order = torch.stack([torch.randperm(7, generator=generator) for _ in range(200)])
    order[0] = torch.arange(7)
    draws = mx.learning.reorder(mx.Mixture(weights, mx.Gaussian(mean, mx.Diagonal(variance))), order)
    torch.testing.assert_close(relabel(draws).components.mean, mean)


def test_a_single_draw_follows_its_reference():
    reference = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 5.0]), torch.ones(2)))
    draw = mx.Mixture(torch.ones(1, 2), mx.Normal(torch.tensor([[5.1, 0.1]]), torch.ones(1, 2)))
    assert relabel(draw, reference).components.loc.tolist()[0] == pytest.approx([0.1, 5.1])
