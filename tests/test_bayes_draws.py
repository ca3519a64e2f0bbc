"""What follows sampling: groups of ArviZ's data are what they say, over families and observations."""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Dirichlet, Gumbel, HalfNormal, Normal

import mixtura as mx
from mixtura import bayes
from mixtura.bayes.draws.predictive import replicates
from mixtura.bayes.draws.prior import from_prior
from mixtura.errors import MixtureError, NotClosedForm

arviz = pytest.importorskip("arviz")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


ONE = mx.datasets.old_faithful()[:60, 0].double()
TWO = mx.datasets.old_faithful()[:60].double()
COUNTS = torch.cat([torch.poisson(torch.full((30,), rate), generator=seeded()) for rate in (2.0, 9.0)]).double()
SCALES = torch.rand(60, 2, generator=seeded()) + 0.1
GAPS = torch.where(torch.rand(60, 2, generator=seeded()) < 0.2, torch.nan, TWO)
LABELS = torch.full((60,), -1).index_fill(0, torch.arange(5), 0)
Z = torch.randn(60, 2, generator=seeded()).double()
FAR = {"loc": Normal(3.0, 3.0)}

BEHIND = bayes.Hierarchical(Normal, loc=3.0, scale=HalfNormal(5.0))


def unit(x, loc):
    return -0.5 * (x - loc) ** 2 - 0.5 * math.log(2 * math.pi)


CASES = {
    "one component": (ONE, {"components": 1, "family": mx.Normal}, {}),
    "numbers": (ONE, {"components": 2, "family": mx.Normal}, {}),
    "full": (TWO, {"components": 2, "family": mx.Gaussian}, {}),
    "diagonal": (TWO, {"components": 2, "family": mx.Gaussian.template(structure=mx.Diagonal())}, {}),
    "tied": (TWO, {"components": 3, "family": mx.Gaussian.template(structure=mx.Full(tied=True))}, {}),
    "student": (TWO, {"components": 2, "family": mx.StudentT}, {}),
    "poisson": (COUNTS, {"components": 2, "family": mx.Poisson}, {}),
    "binomial": (COUNTS, {"components": 2, "family": mx.Binomial.template(total_count=20)}, {}),
    "gamma": (ONE, {"components": 2, "family": mx.Gamma}, {}),
    "torch": (ONE, {"components": 2, "family": Gumbel}, {}),
    "product": (
        torch.stack([ONE, COUNTS], 1),
        {"components": 2, "family": mx.Product.template((mx.Normal, 0), (mx.Poisson, 1))},
        {},
    ),
    "labels": (ONE, {"components": 2, "family": mx.Normal}, {"labels": LABELS}),
    "weights": (ONE, {"components": 2, "family": mx.Normal}, {"sample_weight": SCALES[:, 0]}),
    "noise": (TWO, {"components": 2, "observation": mx.observation.AdditiveNoise(scale=SCALES)}, {}),
    "gaps": (GAPS, {"components": 2, "observation": mx.observation.Missing()}, {}),
    "censored": (
        ONE.clamp(max=4.0),
        {"components": 2, "family": mx.Normal, "observation": mx.observation.Censored(upper=4.0)},
        {},
    ),
    "truncated": (
        ONE,
        {"components": 2, "family": mx.Normal, "observation": mx.observation.Truncated(lower=1.5)},
        {},
    ),
    "covariates": (
        ONE,
        {"components": 2, "family": mx.Normal, "slopes": {"loc": None, "weights": None}},
        {"covariates": Z},
    ),
    "hierarchical": (
        ONE,
        {
            "components": 2,
            "family": mx.Normal,
            "priors": {"loc": BEHIND},
        },
        {},
    ),
    "walls": (
        ONE,
        {"components": 2, "family": mx.Normal, "potentials": [bayes.min_weight(0.1), bayes.ordered("loc")]},
        {},
    ),
    "held": (ONE, {"components": 2, "family": mx.Normal, "fixed": {"scale": 1.0}, "ordered": "loc"}, {}),
    "by hand": (ONE, {"components": 2, "family": bayes.Density.of(lambda loc: Normal(loc, 1.0)), "priors": FAR}, {}),
}


def posterior_of(name):
    x, about, known = CASES[name]
    return bayes.Model(**about).posterior(x, **known)


def near(posterior, chains=2, draws=20, spread=0.01):
    """Draws about a fit, in the place of those of a sampler."""
    generator = seeded(1)
    noise = torch.randn(chains, draws, posterior.size, generator=generator, dtype=torch.float64)
    return posterior.start(generator) + spread * noise


def found(name):
    posterior = posterior_of(name)
    return posterior, bayes.inference_data(posterior, near(posterior), generator=seeded(2))


# -- the groups


@pytest.mark.parametrize("name", CASES)
def test_log_likelihoods_of_rows_add_up_to_that_of_the_posterior(name):
    posterior, idata = found(name)
    each = torch.tensor(idata.log_likelihood["x"].values)
    values = {name: torch.tensor(one.values).flatten(0, 1) for name, one in idata.posterior.items()}
    held = {name: value.expand(40, *value.shape) for name, value in posterior.fixed.items()}
    torch.testing.assert_close(each.flatten(0, 1).sum(-1), posterior.log_likelihood(held | values))


@pytest.mark.parametrize("name", CASES)
def test_predicted_rows_take_the_place_of_those_recorded(name):
    posterior, idata = found(name)
    groups = [idata.posterior_predictive, idata.prior_predictive]
    if posterior.rows.observation.selects:
        groups.pop()  # a prior may put everything where nothing is recorded, which is said when it is drawn from
    for group in groups:
        rows = torch.tensor(group["x"].values)
        assert rows.shape[2:] == posterior.rows.tensor().shape
        assert (rows.isnan() == posterior.rows.tensor().isnan()).all()
        assert not bool(posterior.family.outside(rows[~rows.isnan().reshape(*rows.shape[:3], -1).any(-1)]).any())


@pytest.mark.parametrize("name", ["numbers", "tied", "poisson", "noise", "censored", "by hand"])
def test_predicted_rows_have_the_law_of_what_is_recorded(name):
    """Of one draw, many times: the distribution function of the mixture as observed is uniform on them."""
    posterior = posterior_of(name)
    u = posterior.start(seeded(1)).expand(200, -1)
    values = posterior.constrain(u)
    rows = replicates(posterior, values, seeded(3))
    seen = posterior.mixtures({key: value[:1] for key, value in values.items()}).batch(0).sample((200, 60), seeded(4))
    if name == "noise":
        seen = seen + SCALES * torch.randn(200, 60, 2, generator=seeded(5))
    seen = seen.clamp(max=4.0) if name == "censored" else seen
    columns = [(rows[..., d], seen[..., d]) for d in range(2)] if rows.ndim > 2 else [(rows, seen)]
    for mine, theirs in columns:
        assert stats.ks_2samp(mine.flatten().numpy(), theirs.flatten().numpy()).pvalue > 1e-3


def test_errors_of_each_row_stay_with_the_row():
    """Two rows, one recorded with an error a thousand times wider."""
    scale = torch.full((60, 1), 0.01).index_fill(0, torch.arange(30), 100.0)
    family = mx.Gaussian.template(structure=mx.Diagonal())
    model = bayes.Model(1, family, observation=mx.observation.AdditiveNoise(scale=scale))
    posterior = model.posterior(TWO[:, :1])
    rows = replicates(posterior, posterior.constrain(posterior.start(seeded()).expand(100, -1)), seeded())
    assert rows[:, :30].std() > 30 and rows[:, 30:].std() < 30


def test_covariates_move_what_is_predicted_row_by_row():
    model = bayes.Model(1, mx.Normal, slopes={"loc": None})
    posterior = model.posterior(ONE, covariates=Z[:, 0])
    values = posterior.constrain(posterior.start(seeded()).expand(2000, -1))
    values["loc_slope"] = torch.full_like(values["loc_slope"], 50.0)
    mean = replicates(posterior, values, seeded()).mean(0)
    torch.testing.assert_close(mean, values["loc"][0] + 50.0 * Z[:, 0], atol=0.3, rtol=0)


def test_a_row_of_known_label_is_predicted_from_its_component():
    posterior = posterior_of("labels")
    values = posterior.constrain(posterior.start(seeded()).expand(50, -1))
    values["loc"] = torch.tensor([0.0, 1000.0]).double().expand(50, 2)
    values["weights"] = torch.tensor([0.01, 0.99]).double().expand(50, 2)
    rows = replicates(posterior, values, seeded())
    assert (rows[:, :5] < 500).all() and (rows[:, 5:] > 500).double().mean() > 0.95


def test_what_is_large_is_worked_out_when_it_is_looked_at():
    idata = found("numbers")[1]
    for group in (idata.log_likelihood, idata.posterior_predictive, idata.prior_predictive):
        assert not group["x"].variable._in_memory
    some = idata.log_likelihood["x"].isel(draw=slice(3, 5), row=[4, 2])
    np.testing.assert_array_equal(some.values, idata.log_likelihood["x"].values[:, 3:5][..., [4, 2]])


def test_looking_twice_or_in_another_order_shows_the_same():
    first, second = found("numbers")[1], found("numbers")[1]
    second.prior_predictive["x"].values  # noqa: B018 (it is drawn here)
    for _ in range(2):
        np.testing.assert_array_equal(first.posterior_predictive["x"].values, second.posterior_predictive["x"].values)


def test_columns_have_their_names():
    frame = {"eruptions": TWO[:, 0], "waiting": TWO[:, 1]}
    posterior = bayes.Model(2).posterior(frame)
    idata = bayes.inference_data(posterior, near(posterior))
    assert list(idata.posterior["mean"].coords["feature"].values) == ["eruptions", "waiting"]
    assert list(idata.posterior_predictive["x"].coords["feature"].values) == ["eruptions", "waiting"]


def test_a_density_by_hand_without_a_sampler_says_what_to_pass():
    model = bayes.Model(2, bayes.Density(unit), priors=FAR, ordered="loc")
    idata = bayes.inference_data(model.posterior(ONE), near(model.posterior(ONE)))
    assert np.isfinite(idata.log_likelihood["x"].values).all()
    with pytest.raises(NotClosedForm, match="Pass a sampler"):
        idata.posterior_predictive["x"].values  # noqa: B018


def test_a_density_by_hand_with_a_sampler_is_predicted():
    sampler = lambda generator, loc: loc + torch.randn(loc.shape, generator=generator, dtype=loc.dtype)  # noqa: E731
    model = bayes.Model(2, bayes.Density(unit, sampler), priors=FAR, ordered="loc")
    posterior = model.posterior(ONE)
    rows = bayes.inference_data(posterior, near(posterior)).posterior_predictive["x"].values
    assert stats.ks_2samp(rows.flatten(), ONE.numpy()).statistic < 0.3


def test_draws_of_another_shape_are_refused():
    posterior = posterior_of("numbers")
    with pytest.raises(MixtureError, match=r"`u` must be draws of shape \(chains, draws, 5\)"):
        bayes.inference_data(posterior, near(posterior)[0])


# -- ArviZ


def test_arviz_takes_it_unchanged():
    from matplotlib import pyplot

    posterior, idata = found("held")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arviz.Numba.disable_numba()
        loo, waic = arviz.loo(idata), arviz.waic(idata)
        assert loo.elpd_loo == pytest.approx(waic.elpd_waic, abs=1.0)
        for plot in (arviz.plot_trace, arviz.plot_autocorr, arviz.plot_posterior):
            plot(idata)
        arviz.plot_ppc(idata, num_pp_samples=10)
        arviz.plot_ppc(idata, group="prior", num_pp_samples=10)
    pyplot.close("all")


def test_a_file_keeps_all(tmp_path):
    posterior, idata = found("held")
    idata.to_netcdf(str(tmp_path / "draws.nc"))
    again = arviz.from_netcdf(str(tmp_path / "draws.nc"))
    for group in ("posterior", "log_likelihood", "posterior_predictive", "prior", "constant_data", "observed_data"):
        for name in idata[group].data_vars:
            np.testing.assert_array_equal(idata[group][name].values, again[group][name].values)
    assert bayes.summary(again) == bayes.summary(idata)
    assert torch.equal(bayes.to_mixtures(again).components.loc, bayes.to_mixtures(idata).components.loc)


def test_trees_of_later_versions_are_served(monkeypatch):
    """ArviZ 1.0 has no InferenceData: xarray's trees take its place."""
    monkeypatch.delattr(arviz, "InferenceData")
    posterior, tree = found("held")
    assert type(tree).__name__ == "DataTree"
    assert bayes.to_mixtures(tree).batch_shape == (40,)
    assert bayes.summary(tree).startswith("Component 0: weights")
    assert bayes.diagnose(tree).draws == 40
    chances = bayes.recover_labels(tree, ONE, bayes.Model(**CASES["held"][1]))
    torch.testing.assert_close(chances.sum(-1), torch.ones(60).double())


# -- priors


def prior_of(priors=None, draws=4000, rows=ONE, components=2, **about):
    family = mx.Normal
    model = bayes.Model(components, family, priors=priors or {"loc": Normal(0.0, 1.0)}, fixed={"scale": 1.0}, **about)
    return from_prior(model.posterior(rows), draws, seeded(7))


def test_prior_draws_stand_in_order():
    """The larger of two standard normals has the mean 1 / sqrt(pi)."""
    loc = prior_of(ordered="loc")["loc"]
    assert (loc[:, 0] < loc[:, 1]).all()
    torch.testing.assert_close(loc.mean(0), torch.tensor([-1.0, 1.0]).double() / math.sqrt(math.pi), atol=0.06, rtol=0)


@pytest.mark.parametrize("walls", [{"potentials": [bayes.ordered("loc")]}, {"ordered": "loc"}])
def test_priors_that_differ_are_cut_off_by_an_order_not_sorted(walls):
    """N(0, 1) and N(1, 1) given that they ascend: the difference is a normal law N(1, 2) cut off at zero."""
    loc = prior_of({"loc": Normal(torch.tensor([0.0, 1.0]), 1.0)}, **walls)["loc"]
    law = stats.truncnorm(-1 / math.sqrt(2), math.inf, loc=1, scale=math.sqrt(2))
    assert stats.kstest((loc[:, 1] - loc[:, 0]).numpy(), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("floor", [{"potentials": [bayes.min_weight(0.1)]}, {"min_weight": 0.1}])
def test_prior_weights_stay_above_a_floor(floor):
    weights = prior_of(weights=Dirichlet(torch.ones(2)), **floor)["weights"]
    assert stats.kstest(weights[:, 0].numpy(), stats.uniform(0.1, 0.8).cdf).pvalue > 1e-3


def test_soft_potentials_count_in_the_prior():
    """exp(-x^2/2) times a standard normal density is a normal law of variance one half."""
    loc = prior_of(components=1, potentials=[lambda loc: -0.5 * loc.square().sum()])["loc"]
    assert stats.kstest(loc[:, 0].numpy()[::4], stats.norm(0, math.sqrt(0.5)).cdf).pvalue > 1e-3


def test_potentials_that_leave_nothing_are_refused_in_words():
    with pytest.raises(
        MixtureError, match="`potentials` must be such that .* draws of the priors or more are possible"
    ):
        prior_of(potentials=[lambda loc: torch.where(loc.sum() > 50.0, 0.0, -torch.inf)], draws=100)


# -- labels


def test_labels_agree_over_draws_where_nothing_else_tells():
    posterior = posterior_of("numbers")
    values = posterior.constrain(near(posterior, 1, 40)[0])
    turned = {name: torch.where(torch.arange(40)[:, None] % 2 == 0, one, one.flip(1)) for name, one in values.items()}
    idata = bayes.inference_data(posterior, posterior.unconstrain(turned).unsqueeze(0))
    loc = torch.tensor(idata.posterior["loc"].values[0])
    assert (loc.std(0) < 0.3).all() and (loc.mean(0).diff().abs() > 1).all()


def test_labels_are_left_as_they_are_where_something_tells():
    posterior = posterior_of("labels")
    values = posterior.constrain(near(posterior, 1, 40)[0])
    turned = {name: torch.where(torch.arange(40)[:, None] % 2 == 0, one, one.flip(1)) for name, one in values.items()}
    idata = bayes.inference_data(posterior, posterior.unconstrain(turned).unsqueeze(0))
    torch.testing.assert_close(torch.tensor(idata.posterior["loc"].values[0]), turned["loc"])


@pytest.mark.parametrize("name", ["numbers", "full", "poisson", "noise", "by hand"])
def test_recovered_labels_are_the_mean_responsibilities_of_the_draws(name):
    posterior, idata = found(name)
    x, about, known = CASES[name]
    model = bayes.Model(**about)
    chances = bayes.recover_labels(idata, x, model, **known)
    mixtures = bayes.to_mixtures(idata, posterior)
    observation = posterior.rows.observation
    each = [observation.log_joint(mixtures.batch(s), x).softmax(-1) for s in range(40)]
    torch.testing.assert_close(chances, torch.stack(each).mean(0))


def test_a_known_label_is_recovered():
    posterior, idata = found("labels")
    chances = bayes.recover_labels(idata, ONE, bayes.Model(2, mx.Normal), labels=LABELS)
    torch.testing.assert_close(chances[:5], torch.tensor([1.0, 0.0]).double().expand(5, 2))


def test_components_without_rows_are_not_occupied():
    model = bayes.Model(3, mx.Normal, ordered="loc", fixed={"scale": 0.3})
    posterior = model.posterior(ONE)
    values = posterior.constrain(near(posterior, 1, 40)[0])
    values["weights"] = torch.tensor([0.5, 0.5 - 1e-9, 1e-9]).double().expand(40, 3)
    values["loc"] = torch.tensor([2.0, 4.5, 50.0]).double().expand(40, 3)
    idata = bayes.inference_data(posterior, posterior.unconstrain(values).unsqueeze(0))
    assert (bayes.occupied(idata, ONE, model, seeded()) == 2).all()


# -- mixtures


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("torch", "product", "by hand")])
def test_draws_become_the_mixtures_that_the_posterior_means(name):
    posterior, idata = found(name)
    mine, theirs = bayes.to_mixtures(idata), bayes.to_mixtures(idata, posterior)
    x = theirs.batch(0).sample((5,), seeded())
    torch.testing.assert_close(mine.log_prob(x.unsqueeze(1)), theirs.log_prob(x.unsqueeze(1)))
    assert mine.batch_shape == (40,)


@pytest.mark.parametrize("name", ["product", "by hand"])
def test_families_that_text_cannot_hold_ask_for_the_posterior(name):
    posterior, idata = found(name)
    with pytest.raises(MixtureError, match="Pass `posterior=`"):
        bayes.to_mixtures(idata)
    assert bayes.to_mixtures(idata, posterior).batch_shape == (40,)


def test_bands_hold_so_much_of_the_densities():
    posterior, idata = found("numbers")
    x = torch.linspace(1.0, 6.0, 7).double()
    density = bayes.to_mixtures(idata).log_prob(x.unsqueeze(1)).exp()
    low, middle, high = bayes.density_bands(idata, x, 0.5)
    for value, share in ((low, 0.25), (middle, 0.5), (high, 0.75)):
        torch.testing.assert_close(value, torch.quantile(density, share, dim=1))


# -- words


def test_the_summary_names_each_component():
    said = bayes.summary(found("full")[1]).split("\n")
    assert [line.split(":")[0] for line in said] == ["Component 0", "Component 1"]
    assert "weights" in said[0] and "mean[0]" in said[0] and "covariance[0, 1]" in said[0]


def test_what_components_share_is_said_once():
    assert bayes.summary(found("tied")[1]).split("\n")[0].startswith("All components: scale[0]")


def sound(chains=4, draws=400, spread=0.05, name="held"):
    posterior = posterior_of(name)
    return posterior, near(posterior, chains, draws, spread)


def test_nothing_stands_against_independent_draws():
    posterior, u = sound()
    said = bayes.diagnose(bayes.inference_data(posterior, u, {"diverging": torch.zeros(4, 400, dtype=torch.bool)}))
    assert said.sound and said.r_hat[0] < 1.01 and said.effective[0] > 1000


def test_divergences_are_said():
    posterior, u = sound()
    diverging = torch.zeros(4, 400, dtype=torch.bool).index_fill(1, torch.arange(3), True)
    said = bayes.diagnose(bayes.inference_data(posterior, u, {"diverging": diverging}))
    assert said.divergences == 12 and "12 of 1,600 trajectories diverged" in str(said)


def test_chains_in_different_places_are_said():
    posterior, u = sound()
    u[0] += 0.5
    said = str(bayes.diagnose(bayes.inference_data(posterior, u)))
    assert "R-hat" in said and "different places" in said


def test_draws_worth_little_are_said():
    posterior, u = sound()
    said = str(bayes.diagnose(bayes.inference_data(posterior, u[:, :1] + 0.001 * u.cumsum(1))))
    assert "fewer than 100 a chain" in said


def test_labels_that_trade_places_are_said():
    """Under a potential that tells components apart nothing is matched."""
    model = bayes.Model(2, mx.Normal, potentials=[lambda loc: -1e-3 * loc[0].square()])
    posterior = model.posterior(ONE)
    values = posterior.constrain(near(posterior, 4, 100))
    turned = {name: torch.where(torch.arange(100)[:, None] % 4 == 0, one.flip(-1), one) for name, one in values.items()}
    said = str(bayes.diagnose(bayes.inference_data(posterior, posterior.unconstrain(turned))))
    assert "Labels trade places in 25 % of the draws" in said


def test_a_weight_at_zero_is_said():
    posterior, u = sound()
    values = posterior.constrain(u)
    values["weights"] = torch.tensor([1e-4, 1 - 1e-4]).double().expand(4, 400, 2)
    said = str(bayes.diagnose(bayes.inference_data(posterior, posterior.unconstrain(values))))
    assert "component 0 in 100 % of the draws" in said


def test_slow_energy_is_said():
    posterior, u = sound()
    energy = torch.randn(4, 400, generator=seeded()).cumsum(1)
    assert "energy moves little" in str(bayes.diagnose(bayes.inference_data(posterior, u, {"energy": energy})))


def test_an_approximation_far_from_the_posterior_is_said():
    posterior, u = sound()
    idata = bayes.inference_data(posterior, u)
    idata.posterior.attrs["pareto_k"] = 1.2
    assert "k-hat 1.20, over 0.7" in str(bayes.diagnose(idata))


# -- figures


def test_the_predictive_figure_shows_the_rows():
    ax = bayes.pictures.predictive(found("numbers")[1])
    drawn = ax.patches[-1].get_data()
    np.testing.assert_allclose(drawn.values, np.histogram(ONE.numpy(), drawn.edges, density=True)[0])
    assert (drawn.values * np.diff(drawn.edges)).sum() == pytest.approx(1)


def test_whole_numbers_have_a_bar_each():
    ax = bayes.pictures.predictive(found("poisson")[1])
    assert (ax.patches[-1].get_data().edges % 1 == 0.5).all()


def test_bands_are_of_one_column():
    with pytest.raises(MixtureError, match="2 columns"):
        bayes.pictures.bands(found("full")[1])


def test_traces_of_a_parameter_that_is_not_there_are_refused():
    with pytest.raises(MixtureError, match="among weights, loc, scale"):
        bayes.pictures.traces(found("numbers")[1], ["mean"])
