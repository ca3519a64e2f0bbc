"""Approximations of Bayesian mixtures: closed forms at one component, EM's mode, spreads that are too small."""

import importlib.util
import math

import enumerated
import pytest
import torch
from torch.distributions import (
    Dirichlet,
    Gamma,
    HalfCauchy,
    InverseGamma,
    Normal,
    PowerTransform,
    TransformedDistribution,
    Uniform,
)

import mixtura as mx
from mixtura.bayes import Model, min_weight, ordered
from mixtura.bayes.approximations import Ending, bridge
from mixtura.bayes.engine import draw
from mixtura.bayes.evidence import by_nuts, comparable, evidence, prior_mass
from mixtura.bayes.trade import Trade


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def overlapping(rows=100, seed=1):
    locs, weights = torch.tensor([-1.83, 0.62, 2.27]).double(), torch.tensor([0.43, 0.31, 0.26]).double()
    return mx.Mixture(weights, mx.Normal(locs, torch.ones(3).double())).sample((rows,), generator=seeded(seed))


def separated(rows=300, seed=1):
    locs, scales = torch.tensor([0.0, 10.0, 20.0]).double(), torch.tensor([2.0, 3.0, 1.0]).double()
    law = mx.Mixture(torch.tensor([0.3, 0.5, 0.2]).double(), mx.Normal(locs, scales))
    return law.sample((rows,), generator=seeded(seed))


WEIGHTS = Dirichlet(torch.full((3,), 10.0))
OVERLAPPING = Model(3, mx.Normal, WEIGHTS, {"loc": Normal(0.0, 10.0)}, {"scale": 1.0}, ordered="loc")
COUNTS = torch.tensor([3.0, 5.0, 4.0, 7.0, 2.0, 4.0]).double()
RATE = Model(1, mx.Poisson, priors={"rate": Gamma(2.0, 0.5)})
"""Counts under a gamma prior: the posterior of the rate is Gamma(2 + 25, 1/2 + 6)."""


def closed_evidence_of_counts():
    a, b, total, n = 2.0, 0.5, float(COUNTS.sum()), len(COUNTS)
    return (
        a * math.log(b) - math.lgamma(a) + math.lgamma(a + total) - (a + total) * math.log(b + n)
        - float((COUNTS + 1).lgamma().sum())
    )  # fmt: skip


def rates_sampler(posterior, generator=None):
    """Exact draws of the rate, as the posterior's real numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        rates = Gamma(torch.tensor(27.0).double(), 6.5).sample((4, 500, 1))
    return posterior.unconstrain({"rate": rates})


# -- one component, in closed form


@pytest.mark.parametrize("name", ["laplace", "advi", "pathfinder"])
def test_the_mean_of_normal_rows_of_known_scale(name):
    """The posterior is Gaussian, so every approximation is it."""
    x = overlapping(50)
    model = Model(1, mx.Normal, priors={"loc": Normal(1.0, 2.0)}, fixed={"scale": 1.5})
    found = getattr(model, name)(x, generator=seeded())
    variance = 1 / (50 / 1.5**2 + 1 / 4)
    mean = variance * (float(x.sum()) / 1.5**2 + 1 / 4)
    middle, above = found.target.constrain(torch.stack([found.mean, found.mean + found.covariance.sqrt()[0]]))["loc"]
    assert float(middle) == pytest.approx(mean, abs=1e-4)
    assert float(above - middle) == pytest.approx(math.sqrt(variance), rel=0.03)
    covariance = 1.5**2 * torch.eye(50).double() + 4.0
    truth = torch.distributions.MultivariateNormal(torch.ones(50).double(), covariance).log_prob(x)
    assert found.elbo == pytest.approx(float(truth), abs=1e-3)


def test_modes_depend_on_the_coordinates_and_the_default_is_the_parameters():
    assert float(RATE.map(COUNTS).parameters["rate"]) == pytest.approx((27 - 1) / 6.5, rel=1e-4)
    other = RATE.laplace(COUNTS)
    assert float(other.target.constrain(other.mode)["rate"]) == pytest.approx(27 / 6.5, rel=1e-6)


def test_the_best_gaussian_of_a_log_gamma_posterior():
    found = RATE.advi(COUNTS)
    rates = found.target.constrain(torch.stack([found.mean, found.mean + found.covariance.sqrt()[0]]))["rate"].log()
    assert float(rates.diff(dim=0)) == pytest.approx(math.sqrt(1 / 27), rel=0.01)
    assert float(rates[0]) == pytest.approx(math.log(27 / 6.5) - 1 / 54, abs=2e-3)
    assert found.elbo < closed_evidence_of_counts() + 4 * found.check.elbo_error


def test_evidence_in_closed_form():
    truth = closed_evidence_of_counts()
    found = evidence(RATE, COUNTS, rates_sampler, seeded(), {})
    assert abs(found.log_evidence - truth) < 4 * found.error + 1e-9 and found.error < 0.01
    assert RATE.laplace(COUNTS).log_evidence == pytest.approx(truth, abs=0.01)
    assert RATE.pathfinder(COUNTS, generator=seeded()).log_evidence == pytest.approx(truth, abs=0.01)


def test_evidence_of_what_a_potential_leaves_of_the_prior():
    """A wall at 4 makes the prior a gamma law cut off there, which counts for nothing in the likelihood."""

    def below_four(rate):
        return torch.where(rate.sum() < 4.0, 0.0, -torch.inf).double()

    walled = Model(1, mx.Poisson, priors={"rate": Gamma(2.0, 0.5)}, potentials=[below_four])

    def sampler(posterior, generator):
        draws = rates_sampler(posterior).flatten()
        return draws[draws.exp() < 4.0][:800].reshape(2, 400, 1)

    found = evidence(walled, COUNTS, sampler, seeded(), {})
    rates = torch.linspace(1e-6, 4, 200001).double()
    density = Gamma(torch.tensor(2.0).double(), 0.5).log_prob(rates).exp()
    likelihood = torch.distributions.Poisson(rates.unsqueeze(-1)).log_prob(COUNTS).sum(-1).exp()
    truth = (density * likelihood).mean().log() - density.mean().log()
    assert abs(found.log_evidence - float(truth)) < 4 * found.error and found.prior.error > 0


# -- several


def test_the_mode_is_that_of_em_with_the_same_prior():
    """Under a flat law of the rates and a Dirichlet law of the weights."""
    generator = seeded(3)
    x = torch.cat([torch.full((60,), 2.0), torch.full((90,), 12.0)]).double()
    x = torch.poisson(x, generator=generator)
    model = Model(2, mx.Poisson, Dirichlet(torch.full((2,), 30.0)), {"rate": Uniform(1e-6, 100.0)}, ordered="rate")
    found = model.map(x, generator=seeded())
    em = mx.EM(prior=mx.Prior(mx.priors.DirichletPrior(30.0)), tolerance=1e-12)
    expected = mx.fit(x, 2, family=mx.Poisson, method=em, generator=seeded()).mixture
    ascending = expected.components.rate.argsort()
    assert found.reason is Ending.CONVERGED
    assert torch.allclose(found.parameters["rate"], expected.components.rate[ascending].double(), rtol=1e-4)
    assert torch.allclose(found.parameters["weights"], expected.weights[ascending].double(), atol=1e-4)


def test_mean_field_underestimates_the_spread_of_overlapping_components():
    """Against the posterior itself, by draws that are weighted by importance."""
    x = overlapping()
    narrow = OVERLAPPING.advi(x, generator=seeded())
    wide = OVERLAPPING.pathfinder(x, generator=seeded())
    assert wide.check.pareto_k < 0.7
    spread = [found.draws(4000, seeded(1))["loc"].std(0) for found in (narrow, wide)]
    assert spread[0].sum() < 0.8 * spread[1].sum()
    assert narrow.elbo < OVERLAPPING.advi(x, rank="full", generator=seeded()).elbo


@pytest.mark.parametrize("rank", ["mean-field", "full"])
def test_walls_that_the_posterior_does_not_touch_do_no_harm(rank):
    model = Model(
        3,
        mx.Normal,
        Dirichlet(torch.full((3,), 2.0)),
        {"loc": Normal(torch.tensor([0.0, 10.0, 20.0]), 5.0), "scale": HalfCauchy(5.0)},
        potentials=[min_weight(0.1), ordered("loc")],
    )
    found = model.advi(separated(), rank=rank, generator=seeded())
    assert found.converged
    assert torch.allclose(found.draws(500, seeded())["loc"].mean(0), torch.tensor([0.0, 10, 20]).double(), atol=1.0)


def test_other_units_of_the_data_change_nothing():
    x, model = separated(100), Model(2, mx.Normal, ordered="loc")
    one, other = (model.advi(data, rank="full", generator=seeded()).draws(2000, seeded()) for data in (x, 1e4 * x))
    assert torch.allclose(one["weights"].mean(0), other["weights"].mean(0), atol=0.02)
    assert torch.allclose(one["loc"].mean(0), other["loc"].mean(0) / 1e4, rtol=0.02)


def test_vectors_have_a_posterior_too():
    found = Model(2, mx.Gaussian, ordered=("mean", 0)).advi(mx.datasets.old_faithful(), rank="full", generator=seeded())
    mean = found.draws(1000, seeded())["mean"].mean(0)
    expected = mx.fit(mx.datasets.old_faithful(), 2).mixture.components.mean.sort(0).values
    assert torch.allclose(mean, expected.double(), rtol=0.02)


def test_many_rows_are_asked_about_in_parts():
    posterior = Model(2, mx.Normal).posterior(torch.randn(100_000, generator=seeded()))
    assert 1 <= posterior.points_at_once < 100


# -- the integral of the prior


def test_an_order_keeps_one_of_the_copies():
    assert prior_mass(OVERLAPPING.posterior(overlapping()), seeded()).log == pytest.approx(-math.log(6), abs=1e-12)
    free = Model(3, mx.Normal).posterior(overlapping())
    assert prior_mass(free, seeded()).log == 0.0


def test_an_order_of_priors_that_differ_keeps_what_draws_say():
    locs = torch.tensor([0.0, 1.0])
    model = Model(2, mx.Normal, priors={"loc": Normal(locs, 1.0)}, fixed={"scale": 1.0}, ordered="loc")
    found = prior_mass(model.posterior(overlapping()), seeded())
    truth = math.log(0.5 * math.erfc(-0.5))  # P(N(1, 2) > 0)
    assert abs(found.log - truth) < 4 * found.error and 0 < found.error < 0.01


def test_a_floor_of_the_weights_keeps_what_draws_say():
    model = Model(2, mx.Normal, Dirichlet(torch.ones(2)), fixed={"scale": 1.0}, min_weight=0.1)
    found = prior_mass(model.posterior(overlapping()), seeded())
    assert abs(found.log - math.log(0.8)) < 4 * found.error


def test_an_order_and_a_floor_keep_their_shares_both():
    model = Model(2, mx.Normal, Dirichlet(torch.ones(2)), fixed={"scale": 1.0}, ordered="loc", min_weight=0.1)
    found = prior_mass(model.posterior(overlapping()), seeded())
    assert abs(found.log - math.log(0.8 / 2)) < 4 * found.error


def test_components_that_nothing_tells_apart_trade_places():
    x = overlapping()

    def found(model, data=x, **rows):
        posterior, trade = comparable(model, data, rows)
        return posterior.order, trade

    assert found(Model(2, mx.Normal)) == (None, True)
    assert found(Model(2, mx.Normal, ordered="loc")) == (None, True)
    assert found(Model(1, mx.Normal)) == (None, False)
    assert found(Model(2, mx.Normal, fixed={"scale": [1.0, 2.0]})) == (None, False)
    assert found(Model(2, mx.Normal, priors={"loc": Normal(torch.tensor([0.0, 1.0]), 1.0)})) == (None, False)
    assert found(Model(2, mx.Normal, potentials=[ordered("loc")])) == (None, False)
    assert found(Model(2, mx.Normal), labels=torch.cat([torch.zeros(1), -torch.ones(99)]).long()) == (None, False)


def test_many_components_that_nothing_tells_apart_get_an_order():
    x = overlapping()
    assert comparable(Model(6, mx.Normal), x, {})[0].order == ("loc", None)
    assert comparable(Model(6, mx.Normal, ordered="scale"), x, {})[0].order == ("scale", None)
    assert comparable(Model(6, mx.Normal, fixed={"loc": 0.0}), x, {})[0].order == ("scale", None)
    with pytest.raises(mx.errors.MixtureError, match="order them by"):
        comparable(Model(6, mx.Normal, fixed={"loc": 0.0, "scale": 1.0}), x, {})


@pytest.mark.parametrize("family", [mx.Normal, mx.Gaussian, mx.Poisson])
def test_trading_places_changes_neither_density_nor_volumes(family):
    x = mx.datasets.old_faithful()[:50]
    posterior = Model(3, family).posterior({mx.Gaussian: x}.get(family, x[:, 1].round()))
    u = posterior.start(seeded()) + 0.3 * torch.randn(4, posterior.size, generator=seeded(), dtype=torch.float64)
    images = Trade(posterior).images(u)
    assert images.shape == (6, 4, posterior.size) and torch.allclose(images[0], u)
    assert torch.allclose(posterior.log_density(images), posterior.log_density(u).expand(6, 4))
    turn = torch.autograd.functional.jacobian(lambda v: Trade(posterior).images(v.unsqueeze(0))[3, 0], u[0])
    assert float(torch.linalg.slogdet(turn).logabsdet) == pytest.approx(0.0, abs=1e-8)
    mixed = torch.stack([images[i % 6, i % 4] for i in range(40)]).unsqueeze(0)
    again = Trade(posterior).relabelled(mixed)
    assert torch.allclose(posterior.log_density(again[0]), posterior.log_density(mixed[0]))
    assert len(again[0].round(decimals=6).unique(dim=0)) == 4


# -- the evidence, by draws of NUTS

nuts = pytest.mark.skipif(importlib.util.find_spec("nutpie") is None, reason="nutpie is not installed")
SCALE = TransformedDistribution(
    InverseGamma(torch.tensor(3.0).double(), 20.0), PowerTransform(torch.tensor(0.5).double())
)


def galaxies(components, **more):
    """Chib's (1995) model: locations N(20, 10²), variances InverseGamma(3, 20), weights uniform."""
    weights = Dirichlet(torch.ones(components)) if components > 1 else None
    return Model(components, mx.Normal, weights, {"loc": Normal(20.0, 10.0), "scale": SCALE}, **more)


@nuts
def test_one_component_of_galaxies_by_quadrature():
    x = mx.datasets.galaxies()
    found = galaxies(1).evidence(x, draws=1000, tune=500, generator=seeded())
    loc, variance = torch.linspace(10, 30, 801).double().unsqueeze(-1), torch.linspace(5, 60, 1101).double()
    rows = -0.5 * (x.var(correction=0) + (x.mean() - loc).square()) / variance - 0.5 * (2 * math.pi * variance).log()
    prior = Normal(20.0, 10.0).log_prob(loc) + InverseGamma(torch.tensor(3.0).double(), 20.0).log_prob(variance)
    cell = float((loc[1] - loc[0]) * (variance[1] - variance[0]))
    truth = float((len(x) * rows + prior).flatten().logsumexp(0)) + math.log(cell)
    assert abs(found.log_evidence - truth) < 4 * found.error + 1e-4


@nuts
def test_three_components_of_galaxies_as_published():
    """-226.791 (error .09) of Neal (1999), who corrects Chib (1995) by log 3! for the labels that his chain held."""
    found = galaxies(3).evidence(mx.datasets.galaxies(), draws=1000, tune=500, generator=seeded())
    assert found.posterior.order is None
    assert found.log_evidence == pytest.approx(-226.791, abs=0.1) and found.error < 0.05
    assert repr(found).startswith("log-evidence -226.")


@nuts
def test_an_order_that_is_given_changes_no_evidence():
    """Where it is sampled as it is given, beside draws with free labels; scales tell these components apart."""
    x = mx.datasets.galaxies()
    free = galaxies(2).evidence(x, draws=1000, tune=500, generator=seeded())
    model = galaxies(2, ordered="scale")
    posterior, sampler = model.posterior(x), by_nuts(1000, 500, 4, 0.9)
    held = bridge(posterior.log_density, sampler(posterior, seeded()), seeded())
    log_evidence = held.log_evidence - prior_mass(posterior, seeded()).log
    assert abs(free.log_evidence - log_evidence) < 4 * math.hypot(free.error, held.error)


@nuts
@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.slow
def test_evidence_by_going_through_every_labelling(components):
    """Under conjugate priors each labelling has a closed form; labels are free, and all are summed."""
    x, prior = torch.tensor([-2.0, -1.5, 0.9, 1.1, 4.0]).double(), (0.5, 0.4, 1.5, 4.0)
    mean, strength, scale, degrees = prior
    conjugate = mx.NormalInverseWishart(torch.tensor([mean]), strength, torch.tensor([[scale]]), degrees)
    weights = Dirichlet(torch.full((components,), 2.0)) if components > 1 else None
    found = Model(components, mx.Normal, weights, conjugate).evidence(x, draws=1000, tune=500, generator=seeded())
    truth = enumerated.log_evidence(x.numpy(), components, 2.0, prior)
    assert abs(found.log_evidence - truth) < 4 * found.error + 1e-3 and found.error < 0.1


@nuts
def test_mean_field_underestimates_what_nuts_draws():
    x = overlapping()
    narrow = OVERLAPPING.advi(x, generator=seeded()).draws(4000, seeded(1))["loc"].std(0)
    drawn = torch.from_numpy(draw(OVERLAPPING.posterior(x), 1000, 500).values["loc"]).flatten(0, 1).std(0)
    assert narrow.sum() < 0.8 * drawn.sum()
