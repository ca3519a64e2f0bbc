"""Variational Bayes, Gibbs and the closed form agree at K = 1, in every family with a conjugate law."""

import pytest
import torch

import mixtura as mx

F64 = torch.float64


def seeded():
    return torch.Generator().manual_seed(0)


def rows_of(components):
    torch.manual_seed(0)
    return mx.Mixture(torch.ones(1, dtype=F64), components).sample((40,), generator=seeded())


one = torch.ones(1, dtype=F64)
FAMILIES = {
    "Normal": (mx.Normal(2 * one, 3 * one), None),
    "Gaussian": (mx.Gaussian(torch.zeros(1, 2, dtype=F64), mx.Full(2 * torch.eye(2, dtype=F64)[None])), None),
    "Poisson": (mx.Poisson(3 * one), mx.Conjugate.gamma(2.0, 0.5)),
    "Bernoulli": (mx.Bernoulli(0.3 * one), mx.Conjugate.beta(1.0, 2.0)),
    "Geometric": (mx.Geometric(0.3 * one), None),
    "Exponential": (mx.Exponential(2 * one), None),
    "Categorical": (mx.Categorical(torch.tensor([[0.2, 0.5, 0.3]], dtype=F64)), None),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.slow
def test_posterior_means_agree(family):
    components, conjugate = FAMILIES[family]
    x = rows_of(components)
    start = mx.Mixture(one, components)
    prior = None if conjugate is None else mx.Prior(1.0, conjugate)
    variational = mx.fit(x, init=start, method=mx.Variational(prior=prior))
    statistics = mx.learning.expect(start.map(lambda t: t.unsqueeze(0)), variational.rows, mx.learning.soft)
    batched = components.map(lambda t: t.unsqueeze(0))
    exact = variational.prior.components.posterior(statistics, batched)
    evidence = variational.prior.components.log_evidence(statistics, batched)
    assert variational.bound == pytest.approx(evidence.item(), rel=1e-9)
    torch.testing.assert_close(variational.mixture.components.mean, exact.mean.batch(0).mean)
    gibbs = mx.fit(x, init=start, method=mx.Gibbs(1000, 5, 1, prior), generator=seeded())
    draws = gibbs.draws.components.mean
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact.mean.batch(0).mean).abs() < 5 * error).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.slow
def test_the_bound_climbs_with_two_components(family):
    components, conjugate = FAMILIES[family]
    x = rows_of(components)
    prior = None if conjugate is None else mx.Prior(1.0, conjugate)
    options = {} if family in ("Normal", "Gaussian") else {"family": type(components)}
    if family == "Categorical":
        options = {"family": mx.Categorical.template(categories=3)}
    fit = mx.fit(x, 2, method=mx.Variational(prior, 200), **options)
    assert (fit.trace.diff() > -1e-10).all()
