"""The posterior of a Bayesian mixture: its density is what the textbook writes, whatever is known of the rows."""

import numpy as np
import pytest
import torch
from scipy import stats
from test_arguments import FAMILIES
from torch.autograd.functional import jacobian
from torch.distributions import (
    Dirichlet,
    Gamma,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    LKJCholesky,
    LogNormal,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
)

import mixtura as mx
from mixtura.bayes import Model, Posterior
from mixtura.bayes.bijections import Centred, Floored, Ordered, Pinned
from mixtura.bayes.engine.functions import functions
from mixtura.bayes.trade import symmetric
from mixtura.errors import MixtureError, NotClosedForm


def drawn(seed: int = 1, rows: int = 100) -> torch.Tensor:
    """Rows of three overlapping normal laws."""
    law = mx.Mixture(
        torch.tensor([0.43, 0.31, 0.26]), mx.Normal(torch.tensor([-1.83, 0.62, 2.27]).double(), torch.ones(3).double())
    )
    return law.sample((rows,), generator=torch.Generator().manual_seed(seed))


def points(posterior: Posterior, count: int = 3, spread: float = 0.3) -> torch.Tensor:
    """Some real numbers near the fit."""
    generator = torch.Generator().manual_seed(3)
    start = posterior.start(generator)
    return start + spread * torch.randn(count, posterior.size, generator=generator, dtype=torch.float64)


OVERLAPPING = Model(
    3,
    mx.Normal,
    weights=Dirichlet(torch.full((3,), 10.0)),
    priors={"loc": Normal(0.0, 10.0)},
    fixed={"scale": 1.0},
    ordered="loc",
)
SEPARATED = Model(
    3,
    mx.Normal,
    weights=Dirichlet(torch.full((3,), 2.0)),
    priors={"loc": Normal(torch.tensor([0.0, 10.0, 20.0]), 5.0), "scale": HalfCauchy(5.0)},
    potentials=[mx.bayes.min_weight(0.1), mx.bayes.ordered("loc")],
)


# -- bijections

MAPS = {
    "pinned": (Pinned(), (3,), slice(0, 3)),
    "centred": (Centred(), (3,), slice(0, 3)),
    "floored": (Floored(0.1), (3,), slice(0, 3)),
    "floored-pinned": (Floored(0.05, Pinned()), (3,), slice(0, 3)),
    "ordered": (Ordered(), (4,), slice(0, 4)),
    "ordered-coordinate": (Ordered(1), (3, 2), slice(0, 6)),
}


@pytest.mark.parametrize("name", MAPS)
def test_jacobians_are_autograds(name: str) -> None:
    map, shape, free = MAPS[name]
    u = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = jacobian(lambda flat: map(flat.reshape(shape)).reshape(-1)[free], u.reshape(-1))
    expected = torch.linalg.slogdet(matrix).logabsdet
    torch.testing.assert_close(map.log_abs_det_jacobian(u, map(u)).sum(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MAPS)
def test_maps_can_be_undone(name: str) -> None:
    map, shape, _ = MAPS[name]
    u = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(map.inv(map(u)), u, rtol=1e-9, atol=1e-9)


def test_where_maps_lead() -> None:
    u = 3 * torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for map in (Pinned(), Centred(), Floored(0.1)):
        torch.testing.assert_close(map(u).sum(-1), torch.ones(100).double())
    assert bool((Floored(0.1)(u) > 0.1).all())
    assert bool((Ordered()(u).diff(dim=-1) >= 0).all()) and bool((Ordered()(u / 3).diff(dim=-1) > 0).all())


def test_components_that_are_apart_are_free_of_each_other_under_an_order() -> None:
    u = torch.tensor([-3.0, 0.0, 4.0, 9.0], dtype=torch.float64)
    torch.testing.assert_close(Ordered()(u), u, atol=1e-5, rtol=0)
    torch.testing.assert_close(jacobian(Ordered(), u), torch.eye(4).double(), atol=1e-4, rtol=0)


def test_starts_name_components_as_priors_do() -> None:
    x = torch.cat([torch.linspace(-1, 1, n) + 10 * k for k, n in enumerate((20, 60, 30))]).double()
    for middle in ([0.0, 10.0, 20.0], [20.0, 0.0, 10.0]):
        model = mx.bayes.Model(3, mx.Normal, priors={"loc": Normal(torch.tensor(middle), 5.0)})
        loc = model.posterior(x).constrain(model.posterior(x).centre)["loc"]
        torch.testing.assert_close(loc, torch.tensor(middle).double(), atol=0.5, rtol=0)


def test_starts_leave_narrow_components_with_their_rows() -> None:
    x = torch.cat([torch.linspace(-1, 1, 50) + 1000 * k for k in range(4)]).double()
    posterior = mx.bayes.Model(4, mx.Normal, ordered="loc").posterior(x)
    for seed in range(8):
        loc = posterior.constrain(posterior.start(torch.Generator().manual_seed(seed)))["loc"]
        torch.testing.assert_close(loc, 1000.0 * torch.arange(4).double(), atol=100.0, rtol=0)


# -- the density

NUMPY = {"weights": np.array([0.5, 0.2, 0.3]), "loc": np.array([-1.5, 0.4, 2.0]), "scale": np.array([1.2, 0.7, 0.9])}


def volume(posterior: Posterior, u: torch.Tensor) -> float:
    """The log-determinant of all parameters' derivatives in u, by autograd; of weights all but the last are free."""

    def free(u: torch.Tensor) -> torch.Tensor:
        values = posterior.constrain(u)
        return torch.cat([values[n][:-1] if n == "weights" else values[n].reshape(-1) for n in posterior.names])

    return torch.linalg.slogdet(jacobian(free, u)).logabsdet.item()


def test_the_overlapping_model_by_hand() -> None:
    x, posterior = drawn(), OVERLAPPING.posterior(drawn())
    w, loc = NUMPY["weights"], NUMPY["loc"]
    likelihood = np.log((w * stats.norm.pdf(x.numpy()[:, None], loc, 1.0)).sum(-1)).sum()
    prior = stats.dirichlet.logpdf(w, [10.0] * 3) + stats.norm.logpdf(loc, 0, 10).sum()
    u = posterior.unconstrain({"weights": torch.tensor(w), "loc": torch.tensor(loc)})
    expected = likelihood + prior + volume(posterior, u)
    assert posterior.log_density(u).item() == pytest.approx(expected, rel=1e-12)


def test_the_separated_model_by_hand() -> None:
    x = 5 * drawn() + 10
    w, loc, scale = NUMPY["weights"], 5 * NUMPY["loc"] + 10, NUMPY["scale"]
    posterior = SEPARATED.posterior(x)
    likelihood = np.log((w * stats.norm.pdf(x.numpy()[:, None], loc, scale)).sum(-1)).sum()
    prior = stats.dirichlet.logpdf(w, [2.0] * 3) + stats.norm.logpdf(loc, [0, 10, 20], 5).sum()
    prior += stats.halfcauchy.logpdf(scale, scale=5).sum()
    values = {"weights": torch.tensor(w), "loc": torch.tensor(loc), "scale": torch.tensor(scale)}
    u = posterior.unconstrain(values)
    assert posterior.log_density(u).item() == pytest.approx(likelihood + prior + volume(posterior, u), rel=1e-12)
    walled = values | {"loc": values["loc"].flip(0)}
    assert posterior.log_density(posterior.unconstrain(walled)).item() == -np.inf
    walled = values | {"weights": torch.tensor([0.05, 0.45, 0.5], dtype=torch.float64)}
    assert posterior.log_density(posterior.unconstrain(walled)).item() == -np.inf


def rows_of(name: str) -> torch.Tensor:
    """Rows that a family can have drawn."""
    from test_arguments import values

    family, features = FAMILIES[name]
    components = family.made(values(family, features), features)
    return components.draw(torch.arange(2).repeat(20), torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_posterior(name: str) -> None:
    """Its density is that of the priors, the Jacobian and the mixture's rows, each asked by itself."""
    x, (family, _) = rows_of(name), FAMILIES[name]
    posterior = Model(2, family).posterior(x)
    u = points(posterior, 2, 0.1)
    values, prior = posterior.prepared(u)
    rows = posterior.mixtures(values).log_prob(x.unsqueeze(1)).sum(0)
    value, gradient = posterior.value_and_gradient(u)
    torch.testing.assert_close(value, prior + rows, rtol=1e-9, atol=1e-9)
    assert gradient.isfinite().all() and value.isfinite().all()
    alone = torch.stack([posterior.log_density(one) for one in u])
    torch.testing.assert_close(value, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
def test_values_and_real_numbers_are_one(name: str) -> None:
    posterior = Model(2, FAMILIES[name][0]).posterior(rows_of(name))
    u = points(posterior, 4)
    torch.testing.assert_close(posterior.unconstrain(posterior.constrain(u)), u, rtol=1e-6, atol=1e-6)


PRIORS = {
    "half-normal": HalfNormal(2.0),
    "gamma": Gamma(2.0, 0.1),
    "inverse-gamma": InverseGamma(3.0, 2.0),
    "log-normal": LogNormal(0.1, 0.5),
    "uniform": Uniform(0.1, 30.0),
}


@pytest.mark.parametrize("name", PRIORS)
def test_priors_of_scales_keep_their_density(name: str) -> None:
    """Integrated over u with its Jacobian, a prior has mass one."""
    posterior = Model(1, mx.Normal, priors={"scale": PRIORS[name]}, fixed={"loc": 0.0}).posterior(drawn())
    u = torch.linspace(-14, 14, 40001, dtype=torch.float64).unsqueeze(-1)
    mass = torch.trapezoid(posterior.prepared(u)[1].exp(), u.squeeze(-1))
    assert mass.item() == pytest.approx(1.0, abs=2e-5)


def test_numbers_are_taken_as_typed() -> None:
    """torch keeps 0.1 in single precision; the prior is that of 0.1."""
    posterior = Model(1, mx.Normal, priors={"loc": Normal(0.1, 0.3)}, fixed={"scale": 1.0}).posterior(drawn())
    values = {"weights": torch.ones(1).double(), "loc": torch.tensor([0.7], dtype=torch.float64)}
    assert posterior.log_prior(values).item() == pytest.approx(stats.norm.logpdf(0.7, 0.1, 0.3), rel=1e-14)


def test_correlated_gaussians_take_priors_of_scales_and_correlations() -> None:
    x = mx.datasets.old_faithful().double()
    given = {
        "mean": MultivariateNormal(torch.tensor([3.0, 70.0]), torch.diag(torch.tensor([4.0, 400.0]))),
        "scale": HalfNormal(torch.tensor([2.0, 20.0])),
        "correlation": LKJCholesky(2, 3.0),
    }
    posterior = Model(2, mx.Gaussian, priors=given).posterior(x)
    u = points(posterior, 2, 0.1)
    values, _ = posterior.prepared(u)
    assert posterior.constrain(u)["covariance"].shape == (2, 2, 2, 2)
    rows = posterior.mixtures(values).log_prob(x.unsqueeze(1)).sum(0)
    torch.testing.assert_close(posterior.log_likelihood(values), rows)


def test_units_change_nothing() -> None:
    """Rows in other units have the same posterior of the same real numbers, but for a constant."""
    x, unit = drawn(), 1e6
    here, there = (Model(2, mx.Normal, ordered="loc").posterior(rows) for rows in (x, x * unit + 1e8))
    assert here.centre is not None and there.centre is not None
    step = points(here, 2) - here.centre
    values, others = here.constrain(here.centre + step), there.constrain(there.centre + step)
    torch.testing.assert_close(others["loc"], values["loc"] * unit + 1e8)
    mine, theirs = here.value_and_gradient(here.centre + step), there.value_and_gradient(there.centre + step)
    torch.testing.assert_close(mine[0].diff(), theirs[0].diff(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine[1], theirs[1], rtol=1e-4, atol=1e-4)


def test_hyper_priors_are_learned_with_what_they_stand_behind() -> None:
    prior = mx.bayes.Hierarchical(StudentT, df=4.0, loc=Normal(0.0, 10.0), scale=HalfNormal(5.0))
    posterior = Model(2, mx.Normal, priors={"loc": prior}, fixed={"scale": 1.0}).posterior(drawn())
    assert posterior.names == ("weights", "loc_loc", "loc_scale", "loc")
    u = points(posterior, 2)
    values, _ = posterior.prepared(u)
    found = {name: value.numpy() for name, value in values.items()}
    w, centre, spread, loc = (found[name] for name in posterior.names)
    expected = [
        stats.dirichlet.logpdf(w[s], [2.0, 2.0])
        + stats.norm.logpdf(centre[s], 0, 10)
        + stats.halfnorm.logpdf(spread[s], scale=5)
        + stats.t.logpdf(loc[s], 4, centre[s], spread[s]).sum()
        for s in range(2)
    ]
    np.testing.assert_allclose(posterior.log_prior(values).numpy(), expected, rtol=1e-12)


# -- what is known of rows


def test_weighted_rows_are_repeated_rows() -> None:
    x = drawn(rows=12)
    weight = torch.arange(12).double() % 3
    weighted = OVERLAPPING.posterior(x, sample_weight=weight)
    u = points(OVERLAPPING.posterior(x))
    repeated = OVERLAPPING.posterior(x.repeat_interleave(weight.long()))
    torch.testing.assert_close(weighted.log_density(u), repeated.log_density(u))


def test_a_known_label_leaves_one_component() -> None:
    x = drawn(rows=10)
    labels = torch.tensor([0, -1, 2, 1, -1, 0, 2, -1, 1, 0])
    posterior = OVERLAPPING.posterior(x, labels=labels)
    u = points(posterior)
    values, prior = posterior.prepared(u)
    mixture = posterior.mixtures(values)
    joint = mixture.logits + mixture.components.log_prob(x.unsqueeze(1))
    known = torch.stack([joint[n].logsumexp(-1) if k < 0 else joint[n][:, k] for n, k in enumerate(labels.tolist())])
    torch.testing.assert_close(posterior.log_density(u), prior + known.sum(0))


def test_rows_with_errors_and_gaps_are_read_through_them() -> None:
    """The density of a row with errors is that of components widened by its own noise; of a gap, the marginal."""
    x = mx.datasets.old_faithful().double()[:40]
    errors = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    seen = [mx.observation.AdditiveNoise(scale=errors, per_row=True), mx.observation.Missing()]
    gaps = x.clone()
    gaps[::5, 0] = torch.nan
    posterior = Model(2, mx.Gaussian, observation=seen).posterior(gaps)
    u = points(posterior, 3, 0.1)
    values, prior = posterior.prepared(u)
    mixture = posterior.mixtures(values)
    total = torch.zeros(3, dtype=torch.float64)
    for n in range(40):
        noisy = mixture.convolve(torch.diag(errors[n].square()))
        kept = [d for d in range(2) if not bool(gaps[n, d].isnan())]
        total = total + noisy.marginal(kept).log_prob(gaps[n, kept])
    torch.testing.assert_close(posterior.log_density(u), prior + total)
    whole = sum(term.log_prob(values, *term.data).sum(0) for term in posterior.terms)
    torch.testing.assert_close(posterior.log_density(u), prior + whole)
    assert len(posterior.alike) == 2  # with and without the first column


def test_rows_of_which_nothing_was_recorded_say_nothing() -> None:
    x = torch.tensor([[1.0, 2.0], [torch.nan, 4.0], [torch.nan, torch.nan], [3.0, torch.nan], [0.0, 1.0]]).double()
    missing = mx.observation.Missing()
    model = Model(
        1, mx.Gaussian, observation=missing, priors=mx.NormalInverseWishart(torch.zeros(2), 1.0, torch.eye(2), 4.0)
    )
    posterior, fewer = model.posterior(x), model.posterior(x[[0, 1, 3, 4]])
    u = points(fewer)
    torch.testing.assert_close(posterior.log_density(u), fewer.log_density(u))
    assert len(posterior.alike) == 3


def test_truncated_rows_are_told_from_what_was_left_out() -> None:
    """Of rows that were recorded only between limits the density is divided by the chance to be recorded."""
    x = drawn(rows=50)
    x = x[(x > -2) & (x < 2)]
    posterior = Model(2, mx.Normal, observation=mx.observation.Truncated(-2.0, 2.0)).posterior(x)
    u = points(posterior)
    values, prior = posterior.prepared(u)
    mixture = posterior.mixtures(values)
    ends = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
    low, high = mixture.cdf(ends)
    expected = mixture.log_prob(x.unsqueeze(1)).sum(0) - len(x) * (high - low).log()
    torch.testing.assert_close(posterior.log_density(u), prior + expected)


def test_covariates_move_locations_and_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    x, z = drawn(rows=30), torch.randn(30, 2, generator=generator, dtype=torch.float64)
    model = Model(2, mx.Normal, slopes={"loc": Normal(0.0, 2.0), "weights": None})
    posterior = model.posterior(x, covariates=z)
    assert posterior.dims["loc_slope"] == ("component", "covariate")
    u = points(posterior, 3)
    values, prior = posterior.prepared(u)
    loc = values["loc"] + torch.einsum("nq,skq->nsk", z, values["loc_slope"])
    logits = values["weights"].log() + torch.einsum("nq,skq->nsk", z, values["weights_slope"])
    each = Normal(loc, values["scale"]).log_prob(x[:, None, None])
    expected = torch.logsumexp(logits.log_softmax(-1) + each, -1).sum(0)
    torch.testing.assert_close(posterior.log_density(u), prior + expected)


def test_covariates_move_rates_by_their_logarithm() -> None:
    z = torch.linspace(-1, 1, 30, dtype=torch.float64)
    x = torch.poisson(torch.exp(1 + z), generator=torch.Generator().manual_seed(0))
    posterior = Model(1, mx.Poisson, slopes={"rate": None}).posterior(x, covariates=z)
    u = points(posterior, 2)
    values, prior = posterior.prepared(u)
    rate = (values["rate"].log() + z[:, None, None] * values["rate_slope"][..., 0]).exp()
    expected = torch.distributions.Poisson(rate).log_prob(x[:, None, None]).sum((0, -1))
    torch.testing.assert_close(posterior.log_density(u), prior + expected)


# -- by hand


def normal(x: torch.Tensor, mus: torch.Tensor) -> torch.Tensor:
    return -0.5 * (x - mus) ** 2 - 0.5 * np.log(2 * np.pi)


def test_a_density_by_hand_is_the_familys() -> None:
    by_hand = mx.bayes.Density(normal)
    model = Model(
        3, by_hand, weights=Dirichlet(torch.full((3,), 10.0)), priors={"mus": Normal(0.0, 10.0)}, ordered="mus"
    )
    posterior, family = model.posterior(drawn()), OVERLAPPING.posterior(drawn())
    u = points(posterior)
    values, _ = posterior.prepared(u)
    named = {**values, "loc": values["mus"], "scale": torch.ones_like(values["mus"])}
    torch.testing.assert_close(posterior.log_likelihood(values), family.log_likelihood(named))
    torch.testing.assert_close(posterior.log_prior(values), family.log_prior(named))
    assert posterior.start().isfinite().all()
    with pytest.raises(NotClosedForm, match="sampler"):
        posterior.mixtures(posterior.constrain(u)).sample((2,))
    of_torch = mx.bayes.Density.of(lambda mus: Normal(mus, 1.0))
    same = Model(3, of_torch, weights=model.weights, priors=model.priors, ordered="mus").posterior(drawn())
    torch.testing.assert_close(same.log_density(u), posterior.log_density(u))
    assert same.mixtures(same.constrain(u)).sample((5,)).shape == (5, 3)


# -- order and copies


def test_an_order_leaves_one_of_many_copies() -> None:
    assert OVERLAPPING.posterior(drawn()).one_of_copies
    given = {"loc": Normal(torch.tensor([0.0, 10.0, 20.0]), 5.0)}
    uneven = Model(3, mx.Normal, priors=given, ordered="loc").posterior(drawn())
    assert not uneven.one_of_copies


def test_what_stands_behind_a_prior_belongs_to_no_component() -> None:
    """Of as many features as components, the centre of a prior has one number a feature, and keeps its place."""
    centre = Normal(torch.tensor([3.5, 70.0]), torch.tensor([1.0, 10.0]))
    prior = mx.bayes.Hierarchical(Normal, loc=centre, scale=torch.tensor([1.0, 10.0]))
    x, z = mx.datasets.old_faithful(), torch.randn(272, 2, generator=torch.Generator().manual_seed(0))
    model = Model(2, mx.Gaussian, priors={"mean": prior}, ordered=("mean", 1), slopes={"weights": None})
    posterior = model.posterior(x, covariates=z)
    assert posterior.dims["mean_loc"] == ("feature",)
    assert posterior.dims["mean"] == posterior.dims["scale"] == ("component", "feature")
    assert posterior.dims["weights_slope"] == ("component", "covariate")
    assert posterior.one_of_copies
    draws = mx.bayes.prior_draws(posterior.variables, posterior.together, 50, torch.Generator().manual_seed(0))
    ordered = posterior.in_order(draws)
    assert torch.equal(ordered["mean_loc"], draws["mean_loc"]) and bool((ordered["mean"][..., 1].diff() > 0).all())
    assert not torch.equal(ordered["weights"], draws["weights"])


def test_priors_that_only_take_turns_are_not_those_that_may_trade() -> None:
    """Three components whose weights' prior is the same under turns, and not under an exchange of two."""
    turning = Model(3, mx.Normal, potentials=[lambda weights: 9 * (weights * weights.roll(1) ** 2).sum()])
    assert not symmetric(turning.posterior(drawn()))
    assert symmetric(Model(3, mx.Normal, potentials=[lambda weights: 9 * weights.prod()]).posterior(drawn()))


def test_vectors_are_ordered_by_one_coordinate() -> None:
    posterior = Model(3, mx.Gaussian, ordered=("mean", 1)).posterior(mx.datasets.old_faithful())
    mean = posterior.constrain(points(posterior, 20))["mean"]
    assert bool((mean[..., 1].diff(dim=-1) > 0).all())
    assert not bool((mean[..., 0].diff(dim=-1) > 0).all())


# -- bad input

BAD = {
    "gaps": (lambda: OVERLAPPING.posterior(torch.tensor([1.0, torch.nan, 2.0])), "Missing"),
    "order": (lambda: Model(2, mx.Poisson, ordered="loc").posterior(torch.tensor([1.0, 2.0, 5.0])), "rate, weights"),
    "name": (lambda: Model(2, mx.Normal, priors={"sd": HalfNormal(1.0)}).posterior(drawn()), "loc, scale"),
    "support": (lambda: Model(2, mx.Normal, priors={"scale": Normal(1.0, 1.0)}).posterior(drawn()), "HalfNormal"),
    "shape": (
        lambda: Model(2, mx.Normal, priors={"loc": Normal(torch.zeros(3), 1.0)}).posterior(drawn()),
        "broadcasts",
    ),
    "number": (lambda: Model(2, mx.Normal, priors={"loc": 1.0}).posterior(drawn()), "fixed"),
    "order of what is held": (
        lambda: Model(2, mx.Normal, fixed={"loc": 0.0}, ordered="loc").posterior(drawn()),
        "fixed",
    ),
    "held": (lambda: Model(2, mx.Normal, fixed={"scale": -1.0}).posterior(drawn()), "positive"),
    "twice": (lambda: Model(2, mx.Normal, fixed={"loc": 0.0}, priors={"loc": Normal(0.0, 1.0)}), "both"),
    "weights": (lambda: Model(2, mx.Normal, weights=Normal(0.0, 1.0)).posterior(drawn()), "weights"),
    "method": (lambda: Model(2, mx.Normal).sample(drawn(), method="gibbs"), "one of nuts"),
    "components": (lambda: Model(0, mx.Normal), "at least 1"),
    "floor": (lambda: Model(3, mx.Normal, min_weight=0.5), "below 1/3"),
    "potential": (lambda: Model(2, mx.Normal, potentials=[lambda sd: sd]).posterior(drawn()), "weights, loc, scale"),
    "covariates": (lambda: Model(2, mx.Normal).posterior(drawn(), covariates=drawn()), "slopes"),
    "structure": (
        lambda: Model(2, mx.Gaussian.template(structure=mx.LowRank(1))).posterior(mx.datasets.old_faithful()),
        "free to move",
    ),
    "directions": (lambda: Model(2, mx.VonMisesFisher).posterior(torch.eye(3)), "vectors of length one"),
    "walls": (
        lambda: (
            Model(2, mx.Normal, potentials=[lambda loc: torch.where(loc[0] > 1e9, 0.0, -torch.inf)])
            .posterior(drawn())
            .start()
        ),
        "the potential",
    ),
    "by hand": (lambda: Model(2, mx.bayes.Density(normal)).posterior(drawn()), "mus"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name: str) -> None:
    build, words = BAD[name]
    with pytest.raises((MixtureError, NotClosedForm), match=words):
        build()


# -- conjugate priors on all parameters at once

CONJUGATE = {
    "normal": (mx.Normal, mx.NormalInverseWishart(torch.zeros(1), 2.0, torch.eye(1), 4.0), None),
    "poisson": (mx.Poisson, mx.Conjugate.gamma(3.0, 2.0), Gamma(3.0, 2.0)),
    "bernoulli": (mx.Bernoulli, mx.Conjugate.beta(2.0, 3.0), torch.distributions.Beta(2.0, 3.0)),
    "exponential": (mx.Exponential, mx.Conjugate(2.0, 1.5), Gamma(3.0, 3.0)),
    "geometric": (mx.Geometric, mx.Conjugate(3.0, 0.5), torch.distributions.Beta(4.0, 1.5)),
    "categorical": (
        mx.Categorical.template(categories=3),
        mx.Conjugate.dirichlet(torch.tensor([1.0, 2.0, 3.0])),
        Dirichlet(torch.tensor([1.0, 2.0, 3.0])),
    ),
}


@pytest.mark.parametrize("name", [name for name in CONJUGATE if name != "normal"])
def test_conjugate_priors_are_the_usual_laws(name: str) -> None:
    """In the usual parameter a conjugate prior is a gamma, beta or Dirichlet law, constant and all."""
    family, prior, law = CONJUGATE[name]
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]) + (0.5 if name == "exponential" else 0.0)
    posterior = Model(2, family, priors=prior).posterior(x)
    own = next(iter(posterior.family.arguments(None)))
    same = Model(2, family, priors={own: law}).posterior(x)
    u = points(same)
    torch.testing.assert_close(posterior.log_density(u), same.log_density(u))


@pytest.mark.parametrize("structure", [mx.Full(), mx.Diagonal(), mx.Spherical(), mx.Full(tied=True)])
def test_a_wishart_prior_keeps_its_density_in_scales_and_correlations(structure: mx.components.Structure) -> None:
    """Its density in u is that in means and matrices' entries, by a change of variables that autograd makes."""
    prior = mx.NormalInverseWishart(torch.zeros(2), 2.0, torch.eye(2), 5.0)
    family = mx.Gaussian.template(structure=structure)
    posterior = Model(2, family, priors=prior, fixed={"weights": [0.5, 0.5]}).posterior(mx.datasets.old_faithful())
    u = points(posterior, 1)[0]

    def coordinates(flat: torch.Tensor) -> torch.Tensor:
        components = posterior.mixtures(posterior.constrain(flat)).components
        matrix = components.gaussian.structure.dense(2)
        own = {0: matrix[..., 0, 0], 1: matrix.diagonal(dim1=-2, dim2=-1)}.get(structure.trailing)
        lower = matrix[..., [0, 1, 1], [0, 0, 1]] if own is None else own
        return torch.cat([components.mean.reshape(-1), lower.reshape(-1)])

    components = posterior.mixtures(posterior.constrain(u)).components
    volume = torch.linalg.slogdet(jacobian(coordinates, u)).logabsdet
    torch.testing.assert_close(posterior.prepared(u)[1], prior.log_prob(components) + volume)


def test_conjugate_priors_can_be_drawn_from() -> None:
    prior = mx.NormalInverseWishart(torch.tensor([3.0]), 2.0, torch.eye(1), 12.0)
    posterior = Model(2, mx.Normal, priors=prior, ordered="loc").posterior(drawn())
    assert posterior.one_of_copies
    draws = mx.bayes.prior_draws(posterior.variables, posterior.together, 4000, torch.Generator().manual_seed(0))
    assert draws["loc"].mean().item() == pytest.approx(3.0, abs=0.05)
    assert draws["scale"].square().mean().item() == pytest.approx(0.1, abs=0.01)


READ = {
    "errors": lambda x: (x, mx.observation.AdditiveNoise(scale=torch.rand(*x.shape).double() + 0.1, per_row=True)),
    "gaps": lambda x: (x.where(torch.arange(2 * len(x)).reshape(-1, 2) % 5 > 0, torch.nan), mx.observation.Missing()),
    "projection": lambda x: (x.sum(-1, keepdim=True), mx.observation.LinearMeasurement(torch.ones(1, 2).double(), 0.1)),
}


@pytest.mark.parametrize("structure", [mx.Full(), mx.Diagonal(tied=True), mx.Spherical()])
@pytest.mark.parametrize("name", READ)
def test_what_stands_before_rows_is_machine_code_as_well(name: str, structure: mx.components.Structure) -> None:
    """The engine compares with autograd before it serves, and says so where it does not."""
    x, observation = READ[name](mx.datasets.old_faithful().double()[:60])
    family = mx.Gaussian.template(structure=structure)
    prior = {"mean": Normal(torch.tensor([3.5, 70.0]), torch.tensor([2.0, 20.0])), "scale": HalfNormal(10.0)}
    posterior = Model(2, family, observation=observation, priors=prior).posterior(x)
    served = functions(posterior)
    assert (served.engine, served.reason) == ("compiled", "")


def test_slopes_of_parameters_beside_errors_of_each_row_are_refused() -> None:
    errors = mx.observation.AdditiveNoise(scale=torch.ones(7, 1), per_row=True)
    with pytest.raises(MixtureError, match="slopes.*weights alone"):
        Model(2, mx.Normal, slopes={"loc": None}, observation=errors).posterior(
            torch.randn(7), covariates=torch.randn(7)
        )


def test_why_torch_serves_is_said() -> None:
    def by_a_look(loc: torch.Tensor) -> torch.Tensor:
        return -loc.abs().sum() * (1.0 if loc.sum().item() > 0 else 2.0)

    quick = Model(2, mx.Normal, potentials=[by_a_look]).posterior(drawn()).quickened()
    assert quick.machine is None and quick.slow and quick.slow in str(quick)
    assert functions(quick).reason == quick.slow
    assert not OVERLAPPING.posterior(drawn()).quickened().slow


def test_machine_code_serves_torch_with_values_gradients_and_curvature() -> None:
    posterior = OVERLAPPING.posterior(drawn())
    quick = posterior.quickened()
    assert quick.machine is not None and posterior.machine is None
    u = points(posterior)
    for mine, theirs in zip(quick.value_and_gradient(u), posterior.value_and_gradient(u), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    curvature = torch.autograd.functional.hessian(quick.log_density, u[0])
    torch.testing.assert_close(curvature, torch.autograd.functional.hessian(posterior.log_density, u[0]))
