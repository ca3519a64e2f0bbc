"""Conjugate priors: the posterior's answers against Monte Carlo, scipy and each other."""

import math

import conjugate_table as table
import pytest
import scipy.stats
import torch

import mixtura as mx
from mixtura.components import Statistics

CASES = pytest.mark.parametrize("case", table.CASES, ids=lambda case: case.name)
DRAWS = 20_000


@pytest.fixture
def law(case):
    return table.posterior(case)


def many(law, count=DRAWS):
    return law.map(lambda t: t.expand(count, *t.shape))


def z_score(values, expected):
    error = values.std(0) / math.sqrt(len(values))
    return ((values.mean(0) - expected) / error.clamp_min(1e-12)).abs().max().item()


@CASES
def test_expected_is_the_mean_log_density(case, law):
    rows = case.rows(3)
    draws = many(law).draw(torch.Generator().manual_seed(1))
    per_draw = torch.stack([draws.log_prob(row.expand(DRAWS, *row.shape)) for row in rows], 1)
    components, offset = law.expected()
    assert z_score(per_draw, components.log_prob(rows) + offset) < 4.5


@CASES
def test_divergence_is_the_mean_log_ratio(case, law):
    draws = many(law).draw(torch.Generator().manual_seed(2))
    ratio = many(law).log_prob(draws) - case.prior.log_prob(draws)
    assert z_score(ratio, law.divergence(case.prior)) < 4.5


@CASES
def test_divergence_from_itself_is_zero(case):
    assert case.prior.alone(case.components).divergence(case.prior).abs().max() < 1e-9


@CASES
def test_nothing_nearby_is_more_probable_than_the_mode(case, law):
    mode = law.mode()
    best = law.log_prob(mode)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        near = case.perturb(mode, 1e-3, generator)
        assert law.log_prob(near) <= best + 1e-9


@CASES
def test_evidence_does_not_depend_on_the_parameters(case):
    one = case.components.take([0])
    x = case.rows(9)
    values = [case.prior.log_evidence(table.sums(other, x), other) for other in (one, case.perturb(one, 0.3))]
    assert torch.allclose(*values, atol=1e-9)


@CASES
def test_evidence_is_the_product_of_predictions(case):
    # the first row's evidence by Monte Carlo over the prior's draws
    one = case.components.take([0])
    x = case.rows(1)
    draws = many(case.prior.alone(one)).draw(torch.Generator().manual_seed(3))
    density = draws.log_prob(x.expand(DRAWS, *x.shape[1:])).exp().squeeze(-1)
    assert z_score(density, case.prior.log_evidence(table.sums(one, x), one).exp()) < 4.5


@CASES
def test_update_with_a_prior_is_the_mode(case, law):
    statistics, components = table.shared(case), case.components
    updated = components.update(statistics, case.prior)
    for mine, theirs in zip(updated.tensors(), law.mode().tensors(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-9)


@CASES
def test_the_posterior_mean_is_the_mean_of_draws(case, law):
    def read(components):  # of log-normals the parameters are averaged, not the moments they imply
        return components.loc if isinstance(components, mx.LogNormal) else components.mean

    draws = many(law).draw(torch.Generator().manual_seed(4))
    assert z_score(read(draws), read(law.mean)) < 4.5


def test_full_law_is_scipys():
    prior = table.NIW
    components = table.gaussian(mx.Full)
    values = prior.log_prob(components)
    expected = 0.0
    for mean, covariance in zip(components.mean, components.covariance, strict=True):
        expected += scipy.stats.invwishart(prior.degrees, prior.scale.numpy()).logpdf(covariance.numpy())
        expected += scipy.stats.multivariate_normal(prior.mean, covariance / prior.strength).logpdf(mean.numpy())
    assert values.item() == pytest.approx(expected, rel=1e-12)


def test_evidence_of_a_normal_is_a_student_t():
    # one row of a normal-inverse-gamma model: t with 2a degrees
    prior = mx.NormalInverseWishart(torch.tensor([0.5]), 2.0, torch.tensor([[3.0]]), 4.0).to(torch.float64)
    one = mx.Normal(torch.zeros(1).double(), torch.ones(1).double())
    x = torch.tensor([1.7], dtype=torch.float64)
    expected = scipy.stats.t(4.0, 0.5, math.sqrt(3.0 * 3.0 / (2.0 * 4.0))).logpdf(1.7)
    assert prior.log_evidence(table.sums(one, x), one).item() == pytest.approx(expected, rel=1e-12)


def test_fractional_rows_add_up():
    one = table.gaussian(mx.Full)
    x, r = torch.randn(6, 2).double(), torch.rand(6, 2).double()
    whole = Statistics(torch.zeros(()).double(), r.sum(0), one.statistics(x, r))
    twice = Statistics(torch.zeros(()).double(), 2 * r.sum(0), one.statistics(torch.cat([x, x]), torch.cat([r, r])))
    assert torch.allclose(table.NIW.posterior(whole + whole, one).moment, table.NIW.posterior(twice, one).moment)


def test_priors_of_other_families_are_refused():
    counts, vectors = torch.arange(20.0).double(), torch.randn(20, 2).double()
    with pytest.raises(mx.errors.MixtureError, match="a NormalInverseWishart for Poisson components"):
        mx.fit(counts, 2, family=mx.Poisson, method=mx.EM(prior=mx.Prior(components=table.NIW_1)))
    with pytest.raises(mx.errors.MixtureError, match="a Conjugate for Gaussian components"):
        mx.fit(vectors, 2, method=mx.EM(prior=mx.Prior(components=mx.Conjugate(1.0, 0.0))))
    with pytest.raises(mx.errors.MixtureError, match="on 2 features"):
        mx.fit(vectors, 2, method=mx.EM(prior=mx.Prior(components=table.NIW_1)))
