"""Variational Bayes against exact evidences, and the laws of its bound."""

import numpy as np
import pytest
import torch
from enumerated import as_prior, log_evidence, log_marginal
from torch.distributions import Beta, kl_divergence
from torch.distributions import Dirichlet as TorchDirichlet

import mixtura as mx
from mixtura.priors import DirichletPrior, StickBreaking

F64 = torch.float64
PRIOR = (0.5, 0.3, 1.5, 2.5)
STRUCTURES = ["full", "diagonal", "spherical", "tied-full", "tied-diagonal", "tied-spherical"]


def three_groups(rows=400, features=2):
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (rows,), generator=generator)
    centres = torch.tensor([[0.0, 0.0], [6.0, 1.0], [2.0, 7.0]], dtype=F64)[:, :features]
    return centres[labels] + torch.randn(rows, features, generator=generator, dtype=F64)


def test_one_component_is_exact():
    x = np.array([0.3, -1.0, 2.2, 0.9])
    fit = mx.fit(torch.from_numpy(x), 1, method=mx.Variational(prior=as_prior(1.0, PRIOR)))
    assert fit.bound == pytest.approx(log_marginal(x, *PRIOR), rel=1e-12)


@pytest.mark.parametrize("components", [2, 3])
def test_the_bound_lies_below_the_exact_evidence(components):
    x = np.array([-2.0, -1.7, 1.1, 1.6, 2.4])
    exact = log_evidence(x, components, 0.7, PRIOR)
    fit = mx.fit(torch.from_numpy(x), components, method=mx.Variational(prior=as_prior(0.7, PRIOR)))
    assert exact - 6 < fit.bound < exact


@pytest.mark.parametrize("concentration", [0.1, 2.0, StickBreaking(0.5)], ids=str)
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_no_update_lowers_the_bound(covariance, concentration):
    method = mx.Variational(prior=mx.Prior(concentration))
    fit = mx.fit(three_groups(150), 5, covariance=covariance, method=method, restarts=2)
    assert fit.reason is not mx.Reason.FELL
    assert (fit.trace.diff() > -1e-10).all()


@pytest.mark.slow
def test_unused_components_are_left_out():
    for concentration in (0.01, StickBreaking(0.1)):
        fit = mx.fit(three_groups(), 10, method=mx.Variational(prior=mx.Prior(concentration)))
        assert len(fit.mixture.weights) == 3
        assert fit.posterior.rows.shape == (10,)
        assert fit.mixture.weights.sum().item() == pytest.approx(1)


def test_much_data_lead_to_maximum_likelihood():
    x = three_groups(20_000)
    start = mx.fit(x, 3)
    fit = mx.fit(x, init=start.mixture, method=mx.Variational(prior=mx.Prior(1.0)))
    torch.testing.assert_close(fit.mixture.components.mean, start.mixture.components.mean, atol=2e-3, rtol=0)
    torch.testing.assert_close(fit.mixture.weights, start.mixture.weights, atol=1e-3, rtol=0)


def test_integer_weights_are_repetitions():
    x = three_groups(100)
    weight = torch.randint(0, 4, (100,), generator=torch.Generator().manual_seed(0))
    prior = mx.Prior.weak(x, 3)
    start = mx.fit(x, 3).mixture
    weighted = mx.fit(x, init=start, method=mx.Variational(prior=prior), sample_weight=weight.double())
    repeated = mx.fit(x.repeat_interleave(weight, 0), init=start, method=mx.Variational(prior=prior))
    assert weighted.bound == pytest.approx(repeated.bound, rel=1e-10)


def test_divergences_are_torchs():
    counts = torch.tensor([[3.0, 0.2, 7.0], [0.0, 0.0, 1.0]], dtype=F64)
    ours = DirichletPrior(0.6).posterior(counts).divergence(DirichletPrior(0.6))
    theirs = kl_divergence(TorchDirichlet(counts + 0.6), TorchDirichlet(torch.full((2, 3), 0.6, dtype=F64)))
    torch.testing.assert_close(ours, theirs)
    sticks = StickBreaking(1.3).posterior(counts)
    alone = Beta(torch.ones(2, 2, dtype=F64), torch.full((2, 2), 1.3, dtype=F64))
    after = torch.tensor([[7.2, 7.0], [1.0, 1.0]], dtype=F64)
    torch.testing.assert_close(sticks.left, after + 1.3)
    expected = kl_divergence(Beta(counts[:, :2] + 1, after + 1.3), alone).sum(-1)
    torch.testing.assert_close(sticks.divergence(StickBreaking(1.3)), expected)


@pytest.mark.parametrize("prior", [DirichletPrior(0.05), DirichletPrior(3.0), StickBreaking(0.8)], ids=str)
def test_weights_drawn_have_the_closed_moments(prior):
    counts = torch.tensor([4.0, 0.0, 1.0], dtype=F64)
    posterior = prior.posterior(counts.expand(200_000, 3))
    draws = posterior.draw(torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.exp().sum(-1), torch.ones(200_000, dtype=F64))
    exact = prior.posterior(counts)
    for values, expected in ((draws.exp(), exact.mean), (draws, exact.expected_log)):
        error = values.std(0) / len(draws) ** 0.5
        assert ((values.mean(0) - expected).abs() < 5 * error + 1e-12).all()


def test_prior_comes_from_the_data_where_none_is_given():
    fit = mx.fit(three_groups(), 3, method=mx.Variational())
    assert fit.prior.concentration == pytest.approx(1 / 3)
    assert fit.prior.components.degrees == 4


def test_a_ridge_is_no_conjugate_prior():
    method = mx.Variational(prior=mx.Prior(1.0, mx.priors.Ridge(0.1)))
    with pytest.raises(mx.errors.MixtureError, match="conjugate"):
        mx.fit(three_groups(), 3, method=method)


def test_the_predictive_law_of_one_component_is_exact():
    x = np.array([0.3, -1.0, 2.2, 0.9])
    fit = mx.fit(torch.from_numpy(x), 1, method=mx.Variational(prior=as_prior(1.0, PRIOR)))
    exact = log_marginal(np.append(x, 1.7), *PRIOR) - log_marginal(x, *PRIOR)
    assert fit.predictive.log_prob(torch.tensor(1.7, dtype=F64)).item() == pytest.approx(exact, rel=1e-10)


def test_the_predictive_law_averages_mixtures_drawn_from_the_posterior():
    fit = mx.fit(three_groups(), 3, method=mx.Variational())
    at = three_groups(5)
    posterior = fit.posterior.map(lambda tensor: tensor.expand(20_000, *tensor.shape))
    density = posterior.draw(torch.Generator().manual_seed(0)).log_prob(at.unsqueeze(1)).exp()
    error = density.std(-1) / density.shape[-1] ** 0.5
    assert ((density.mean(-1) - fit.predictive.log_prob(at).exp()).abs() < 5 * error).all()


def test_draws_go_to_arviz():
    pytest.importorskip("arviz")
    fit = mx.fit(three_groups(50), 3, method=mx.Variational(prior=mx.Prior(1.0)), restarts=1)
    data = fit.to_arviz(draws=400, generator=torch.Generator().manual_seed(0))
    drawn = torch.from_numpy(data["posterior"]["weights"].values)[0]
    error = drawn.std(0) / 20
    assert ((drawn.mean(0) - fit.posterior.weights.mean).abs() < 5 * error).all()


def test_a_component_that_has_a_label_is_kept_however_few_its_rows():
    x = torch.cat([torch.zeros(30), torch.tensor([9.0]), torch.full((30,), 4.0)]).double()
    x = x + 0.1 * torch.randn(61, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.full((61,), -1)
    labels[0], labels[30], labels[31] = 0, 1, 2
    weight = torch.ones(61, dtype=torch.float64)
    weight[30] = 1e-3
    fit = mx.fit(x, 5, method=mx.Variational(), labels=labels, sample_weight=weight)
    assert fit.mixture.assign(x[[0, 31]]).tolist() == [0, 2]
    assert torch.isfinite(torch.tensor(fit.log_likelihood))


@pytest.mark.parametrize("strength", [0.5, 2.0, 7.0])
@pytest.mark.slow
def test_the_bound_of_a_dirichlet_process_never_falls_whatever_order_its_sticks_are_in(strength):
    """Larger components first is the best order, but for the last one, which takes what is left of the stick."""
    generator = torch.Generator().manual_seed(1)
    x = torch.poisson(torch.tensor([0.5, 3.0, 9.0], dtype=torch.float64).repeat(50), generator=generator)
    method = mx.Variational(prior=mx.Prior(StickBreaking(strength)), elimination=False, tolerance=1e-9)
    for seed in range(4):
        fit = mx.fit(x, 3, family=mx.Poisson, method=method, restarts=4, generator=torch.Generator().manual_seed(seed))
        assert fit.trace.diff().min() > -1e-12 and fit.converged
