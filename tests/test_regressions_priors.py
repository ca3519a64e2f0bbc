"""Priors of regressions: Bayes' rule at every parameter, draws, what is expected of rows, and the learners."""

import math

import pytest
import scipy.stats as st
import torch
from tables import tensor

import mixtura as mx
from mixtura.components import Statistics
from mixtura.errors import MixtureError
from mixtura.learning import expect, soft
from mixtura.priors import NormalCoefficients, NormalInverseGamma

D = torch.float64
PRIOR = NormalInverseGamma(
    tensor(0.3, -0.5, 1.0), tensor([2.0, 0.4, 0.0], [0.4, 3.0, 0.5], [0.0, 0.5, 1.0]), 2.5, 1.5, tensor(0.5, -1.0)
)
LINES = mx.LinearRegression(tensor(0.0, 1.0), tensor([1.0, 0.5], [-0.3, 2.0]), tensor(0.7, 1.6))
ORIGIN = mx.LinearRegression(None, tensor([1.0, 0.5], [-0.3, 2.0]), tensor(0.7, 1.6))
CASES = {
    "lines": (LINES, PRIOR),
    "moved": (LINES._replace(centre=tensor([0.7, -0.2], [-1.0, 0.4])), PRIOR),
    "origin": (ORIGIN, NormalInverseGamma(tensor(0.2, 0.1), tensor(2.0, 0.5), 2.5, 1.5)),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(count=14, seed=3):
    x = torch.randn(count, 3, generator=seeded(seed), dtype=D)
    x[:, 2] += 1.0 + x[:, 0] - 0.5 * x[:, 1]
    return x


def sums(lines, x):
    r = torch.softmax(torch.tensor([0.3, 0.7], dtype=D).log() + lines.log_prob(x), -1)
    likelihood = (r * lines.log_prob(x)).sum(0)
    return Statistics(likelihood.sum(), r.sum(0), lines.statistics(x, r)), likelihood, r


def others(lines, count=6):
    for seed in range(count):
        push = 0.5 * torch.randn(lines.effect.shape, generator=seeded(seed), dtype=D)
        stretch = torch.rand(lines.scale.shape, generator=seeded(seed), dtype=D) + 0.5
        yield lines._replace(effect=lines.effect + push, scale=lines.scale * stretch)


@pytest.mark.parametrize("name", CASES)
def test_posteriors_obey_bayes_rule_at_every_parameter(name):
    lines, prior = CASES[name]
    x = rows()
    statistics, _, r = sums(lines, x)
    posterior = prior.posterior(statistics, lines)
    left = [
        prior.log_prob(one) + (r * one.log_prob(x)).sum() - posterior.log_prob(one) for one in others(lines)
    ]  # fmt: skip
    torch.testing.assert_close(torch.stack(left), left[0].expand(6))


@pytest.mark.parametrize("name", CASES)
def test_the_density_is_scipys(name):
    lines, prior = CASES[name]
    law = prior.alone(lines)
    for one in others(lines, 3):
        expected = 0.0
        for k in range(2):
            variance = one.scale[k].item() ** 2
            normal = st.multivariate_normal(
                law.location[k].numpy(), variance * torch.linalg.inv(law.precision[k]).numpy()
            )
            expected += normal.logpdf(one.effect[k].numpy()) + st.invgamma(prior.shape, scale=prior.rate).logpdf(
                variance
            )
        assert prior.log_prob(one).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_mode_is_the_maximum(name):
    lines, prior = CASES[name]
    posterior = prior.posterior(sums(lines, rows())[0], lines)
    top = posterior.log_prob(posterior.mode())
    assert all(bool(posterior.log_prob(one) < top) for one in others(posterior.mode()))


def test_where_the_centre_is_does_not_matter():
    x, (plain, prior), (about, _) = rows(), CASES["lines"], CASES["moved"]
    level = plain.effect[:, 0] + (plain.coefficients * about.centre).sum(-1)
    same = about._replace(effect=torch.cat([level.unsqueeze(-1), plain.coefficients], -1))
    torch.testing.assert_close(same.log_prob(x), plain.log_prob(x))
    torch.testing.assert_close(prior.log_prob(same), prior.log_prob(plain))
    one, other = (prior.posterior(sums(lines, x)[0], lines).mode() for lines in (same, plain))
    torch.testing.assert_close(one.log_prob(x), other.log_prob(x))


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_moments_and_rows_their_expectation(name):
    lines, prior = CASES[name]
    posterior = prior.posterior(sums(lines, rows())[0], lines)
    many = posterior.map(lambda t: t.expand(40_000, *t.shape)).draw(seeded(1))
    for drawn, exact in ((many.effect, posterior.mean.effect), (many.scale**2, posterior.mean.scale**2)):
        error = drawn.std(0) / 200
        assert ((drawn.mean(0) - exact).abs() < 5 * error).all()
    x = rows(4, 9)
    densities = many.log_prob(x.unsqueeze(1))  # (4, draws, K)
    averaged, offset = posterior.expected()
    error = densities.std(1) / 200
    assert ((densities.mean(1) - averaged.log_prob(x) - offset).abs() < 5 * error).all()


def test_the_divergence_is_what_draws_say():
    lines, prior = CASES["lines"]
    posterior = prior.posterior(sums(lines, rows())[0], lines)
    many = posterior.map(lambda t: t.expand(20_000, *t.shape)).draw(seeded(1))
    gap = posterior.log_prob(many) - prior.log_prob(many)
    assert abs(gap.mean() - posterior.divergence(prior)) < 5 * gap.std() / 20_000**0.5


def test_the_evidence_does_not_depend_on_where_it_is_asked():
    x = rows()
    found = []
    for line in others(LINES.take([0]), 3):
        mixture = mx.Mixture(torch.ones(1, dtype=D), line)
        found.append(PRIOR.log_evidence(expect(mixture, mx.data.rows(x), soft), line))
    torch.testing.assert_close(torch.stack(found), found[0].expand(3))


def test_without_degrees_the_mode_is_ridge_regression():
    x, strength = rows(30), 4.0
    prior = NormalInverseGamma(torch.zeros(3, dtype=D), tensor(0.0, strength, strength), 0.0, 0.0)
    found = mx.fit(x, 1, family=mx.LinearRegression, method=mx.EM(prior=mx.Prior(components=prior))).mixture.components
    z, y = x[:, :2] - x[:, :2].mean(0), x[:, 2] - x[:, 2].mean()
    slopes = torch.linalg.solve(z.mT @ z + strength * torch.eye(2, dtype=D), z.mT @ y)
    torch.testing.assert_close(found.coefficients[0], slopes)


def crossing(count=120):
    z = torch.linspace(-2, 2, count, dtype=D)
    mean = torch.where(torch.arange(count) % 2 == 0, 2 * z, 1 - 3 * z)
    return torch.stack([z, mean + 0.5 * torch.randn(count, generator=seeded(4), dtype=D)], -1)


def test_variational_bayes_finds_two_lines_among_five():
    fit = mx.fit(crossing(), 5, family=mx.LinearRegression, method=mx.Variational(), generator=seeded())
    lines = fit.mixture.order(fit.mixture.components.coefficients[:, 0]).components
    torch.testing.assert_close(lines.coefficients.squeeze(-1), tensor(-3.0, 2.0), rtol=0, atol=0.15)
    assert (fit.trace.diff() > -1e-9).all() and fit.bound < fit.log_likelihood


def test_gibbs_draws_spread_as_standard_errors():
    x = crossing()
    gibbs = mx.fit(x, 2, family=mx.LinearRegression, method=mx.Gibbs(300, 50, 2), generator=seeded())
    best = mx.fit(x, 2, family=mx.LinearRegression, generator=seeded())
    order, other = (one.components.coefficients[..., 0].argsort(-1) for one in (best.mixture, gibbs.draws))
    slopes = gibbs.draws.components.coefficients[..., 0].gather(-1, other)
    errors = mx.standard_errors(best).of(lambda m: m.components.coefficients[:, 0])[order]
    assert ((slopes.mean(0) - best.mixture.components.coefficients[order, 0]).abs() < errors).all()
    assert ((slopes.std(0) / errors).log().abs() < math.log(1.5)).all()


def test_draws_go_to_arviz_by_name():
    pytest.importorskip("arviz")
    fit = mx.fit(crossing(), 2, family=mx.LinearRegression, method=mx.Gibbs(20, 10, 2), generator=seeded())
    posterior = fit.to_arviz()["posterior"]
    assert {"weights", "intercept", "coefficient_0", "scale"} <= {*posterior}
    assert posterior["coefficient_0"].shape == (2, 20, 2)


def test_map_never_lowers_the_posterior_and_a_prior_mends_separation():
    z = torch.linspace(-1, 1, 60, dtype=D)
    x = torch.stack([z, (z > 0.1).double()], -1)
    prior = mx.Prior(components=NormalCoefficients(2.5))
    fit = mx.fit(x, 1, family=mx.LogisticRegression, method=mx.EM(prior=prior))
    assert fit.converged and (fit.trace.diff() > -1e-9).all()
    slope = fit.mixture.components.coefficients.requires_grad_()
    moved = mx.LogisticRegression(fit.mixture.components.intercept, slope)
    total = moved.log_prob(x).sum() + prior.components.log_prob(moved).sum()
    assert torch.autograd.grad(total, slope)[0].abs().item() < 1e-3
    assert mx.fit(crossing(), 2, family=mx.LinearRegression, method=mx.EM(prior=mx.Prior(components=PLAIN))).converged


PLAIN = NormalInverseGamma(torch.zeros(2, dtype=D), tensor(0.1, 0.1), 1.0, 0.1)


@pytest.mark.parametrize("method", [mx.Variational(), mx.Gibbs(5, 5, 1)])
@pytest.mark.parametrize("family", [mx.PoissonRegression, mx.LogisticRegression])
def test_generalised_regressions_have_no_conjugate_law(family, method):
    x = torch.stack([torch.linspace(-1, 1, 40, dtype=D), (torch.arange(40) % 2).double()], -1)
    with pytest.raises(MixtureError, match="prior"):
        mx.fit(x, 2, family=family, method=method)


@pytest.mark.parametrize(
    ("family", "prior"),
    [
        (mx.LinearRegression, mx.priors.Ridge(0.5)),
        (mx.LinearRegression, NormalCoefficients(1.0)),
        (mx.PoissonRegression, PLAIN),
        (mx.LinearRegression, PRIOR),
        (mx.LogisticRegression, NormalCoefficients(tensor(1.0, 2.0, 3.0))),
    ],
)
def test_priors_of_other_families_are_refused(family, prior):
    x = torch.stack([torch.linspace(-1, 1, 40, dtype=D), (torch.arange(40) % 3 == 0).double()], -1)
    with pytest.raises(MixtureError, match="prior|scale"):
        mx.fit(x, 2, family=family, method=mx.EM(prior=mx.Prior(components=prior)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormalCoefficients(0.0),
        lambda: NormalInverseGamma(torch.zeros(2), torch.ones(3), 1.0, 1.0),
        lambda: NormalInverseGamma(torch.zeros(2), -torch.ones(2), 1.0, 1.0),
        lambda: NormalInverseGamma(torch.zeros(2), torch.ones(2), -1.0, 1.0),
    ],
)
def test_bad_priors_are_refused(make):
    with pytest.raises(MixtureError):
        make()
