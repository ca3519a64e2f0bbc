"""Mixtures of regressions: laws, oracles that share no code, every learner, and what follows a fit."""

import math
import shutil
import subprocess

import numpy as np
import pytest
import scipy.stats as st
import torch
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from tables import tensor

import mixtura as mx
from mixtura.components import Statistics
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.testing import ComponentContract, LearnableContract

D = torch.float64
SLOPES = tensor([0.4, -1.2], [-0.3, 0.7])
LEVELS = tensor(0.5, 1.5)
KINDS = {
    "linear": mx.LinearRegression(LEVELS, SLOPES, tensor(0.4, 1.7)),
    "linear-first": mx.LinearRegression(LEVELS, SLOPES, tensor(0.4, 1.7), target=0),
    "linear-origin": mx.LinearRegression(None, SLOPES, tensor(0.4, 1.7)),
    "poisson": mx.PoissonRegression(LEVELS, SLOPES),
    "poisson-origin": mx.PoissonRegression(None, SLOPES, target=1),
    "logistic": mx.LogisticRegression(LEVELS, SLOPES, total_count=6),
    "logistic-trials": mx.LogisticRegression(LEVELS, SLOPES, target=2, trials=3),
}
FAMILIES = {
    "linear": mx.LinearRegression,
    "poisson": mx.PoissonRegression,
    "logistic": mx.LogisticRegression.template(total_count=6),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(component, count, seed=4):
    """Rows whose targets come from the components in turn, at covariates of unequal scales about other places."""
    x = torch.randn(count, component.width, generator=seeded(seed), dtype=D)
    x[:, component.covariates] = x[:, component.covariates] * tensor(1.3, 0.6) + tensor(0.2, -0.4)
    if len(component.apart) == 2:
        x[:, component.apart[1]] = 1.0 + torch.arange(count) % 5
    predictor = component.predictor(x)
    mean = torch.zeros(count, dtype=D)
    labels = torch.arange(count) % 2
    for n in range(count):  # one law a row: trials differ
        law, _ = component.condition(
            [c for c in range(component.width) if c != component.target], others(component, x[n])
        )
        mean[n] = law.draw(labels[n], seeded(seed + n))
    assert predictor.shape == (count, 2)
    x[:, component.target] = mean
    return x


def others(component, x):
    return x[..., [c for c in range(component.width) if c != component.target]]


ROWS = {name: rows_of(one, 240) for name, one in KINDS.items()}
WAITING = {  # laws of what needs covariates
    *("test_density_integrates_to_one", "test_moments_are_integrals", "test_draws_have_the_moments"),
    *("test_variance_is_the_diagonal_of_the_covariance", "test_draws_follow_the_generator_and_the_labels"),
    *("test_cumulative_probability_is_the_integral_of_the_density", "test_shapes_of_samples_and_batches"),
    *("test_single_precision_is_kept", "test_take_selects_components", "test_one_component_can_be_repeated"),
    "test_where_chooses_entries",
}


class Of(ComponentContract):
    def __init__(self, name):
        self.name = name

    def make(self):
        return KINDS[self.name]

    def rows(self, component, count):
        return ROWS[self.name][:count].clone() if count <= 240 else rows_of(component, count)


class Learned(LearnableContract):
    def __init__(self, name):
        self.name, self.exact = name, name.startswith("linear")

    def make(self):
        return KINDS[self.name]

    def rows(self):
        return ROWS[self.name]


@pytest.mark.parametrize("law", sorted({*ComponentContract.laws()} - WAITING))
@pytest.mark.parametrize("name", KINDS)
def test_laws_of_regressions(name, law):
    if name.endswith("origin") and law == "test_parameters_counts_what_moves_the_density":
        pytest.skip("the centre stays at the origin, though the density would move with it")
    getattr(Of(name), law)()


@pytest.mark.parametrize("law", LearnableContract.laws())
@pytest.mark.parametrize("name", KINDS)
def test_learning_of_regressions(name, law):
    getattr(Learned(name), law)()


@pytest.mark.parametrize("name", KINDS)
def test_single_precision_and_choosing_components(name):
    component, x = KINDS[name], ROWS[name][:20]
    assert component.to(torch.float32).log_prob(x.float()).dtype == torch.float32
    torch.testing.assert_close(
        component.to(torch.float32).log_prob(x.float()).double(), component.log_prob(x), rtol=1e-4, atol=1e-4
    )
    for index in ([1, 0], [1], [0, 0, 1], slice(1, None)):
        torch.testing.assert_close(component.take(index).log_prob(x), component.log_prob(x)[..., index])


# -- given covariates, a mixture on the target


@pytest.mark.parametrize("name", [name for name in KINDS if name != "logistic-trials"])
def test_conditioning_on_covariates_is_the_law_of_the_target(name):
    component, x = KINDS[name], ROWS[name][:50]
    mixture = mx.Mixture(tensor(0.3, 0.7), component)
    covariates = component.covariates
    given = mixture.condition(covariates, x[:, covariates])
    assert given.batch_shape == (50,) and given.event_shape == ()
    torch.testing.assert_close(given.log_prob(x[:, component.target]), mixture.log_prob(x))
    torch.testing.assert_close(given.weights, mixture.weights.expand(50, 2))
    back = list(reversed(covariates))
    torch.testing.assert_close(mixture.condition(back, x[:, back]).mean, given.mean)


def test_names_of_columns_are_those_of_the_table():
    x = ROWS["linear"]
    table = {"y": x[:, 2].numpy(), "a": x[:, 0].numpy(), "label": np.arange(240), "b": x[:, 1].numpy()}
    family = mx.LinearRegression.template(target="y", features=["a", "b"])
    fit = mx.fit(table, 2, family=family, generator=seeded())
    assert fit.mixture.columns == ("a", "b", "y")
    alone = mx.fit(x, 2, family=mx.LinearRegression, generator=seeded())
    assert fit.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-9)
    given = fit.mixture.condition(["b", "a"], {"a": [0.0, 1.0], "b": [0.5, 0.5]})
    torch.testing.assert_close(given.mean, alone.mixture.condition([0, 1], tensor([0.0, 0.5], [1.0, 0.5])).mean)
    assert given.columns == ("y",)
    both = mx.select(table, (1, 2), family=family, restarts=2, generator=seeded())
    assert both.best.mixture.columns == ("a", "b", "y") and both.best.mixture.weights.shape == (2,)


def test_files_are_read_by_name(tmp_path):
    x = ROWS["poisson"]
    lines = ["n,a,b", *(f"{int(n)},{a!r},{b!r}" for a, b, n in x.tolist())]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    fit = mx.fit(tmp_path / "table.csv", 2, family=mx.PoissonRegression.template(target="n"), generator=seeded())
    fit.save(tmp_path / "model.safetensors")
    again = mx.load(tmp_path / "model.safetensors")
    assert again.columns == ("n", "a", "b")
    assert again.log_prob(tmp_path / "table.csv").sum().item() == pytest.approx(fit.log_likelihood, rel=1e-9)


@pytest.mark.parametrize("ask", [lambda m: m.sample((3,)), lambda m: m.mean, lambda m: m.variance])
def test_what_needs_covariates_says_so(ask):
    with pytest.raises(NotClosedForm, match="condition"):
        ask(mx.Mixture(tensor(0.5, 0.5), KINDS["linear"]))


# -- oracles


def test_one_line_is_least_squares():
    x = ROWS["linear"]
    design = torch.cat([torch.ones(240, 1, dtype=D), x[:, :2]], 1)
    found = torch.linalg.lstsq(design, x[:, 2:]).solution.squeeze(-1)
    left = (x[:, 2] - design @ found).square().mean()
    fit = mx.fit(x, 1, family=mx.LinearRegression)
    line = fit.mixture.components
    torch.testing.assert_close(torch.cat([line.intercept, line.coefficients[0]]), found)
    torch.testing.assert_close(line.scale.square()[0], left)
    assert fit.log_likelihood == pytest.approx(-120 * (1 + math.log(2 * math.pi * left)), rel=1e-12)


def test_one_generalised_regression_is_scikit_learns():
    x = ROWS["poisson"].numpy()
    theirs = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(x[:, :2], x[:, 2])
    mine = mx.fit(x, 1, family=mx.PoissonRegression, method=mx.EM(tolerance=1e-12)).mixture.components
    np.testing.assert_allclose(mine.coefficients[0], theirs.coef_, rtol=1e-5)
    np.testing.assert_allclose(mine.intercept[0], theirs.intercept_, rtol=1e-5)
    x = ROWS["logistic-trials"].numpy()
    double, outcome = np.repeat(x[:, :2], 2, 0), np.tile([1, 0], len(x))
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    theirs.fit(double, outcome, np.stack([x[:, 2], x[:, 3] - x[:, 2]], 1).reshape(-1))
    family = mx.LogisticRegression.template(target=2, trials=3)
    mine = mx.fit(x, 1, family=family, method=mx.EM(tolerance=1e-12)).mixture.components
    np.testing.assert_allclose(mine.coefficients, theirs.coef_, rtol=1e-4)


def test_a_column_of_trials_is_a_number_of_trials():
    x = ROWS["logistic"]
    with_trials = torch.cat([x, torch.full((240, 1), 6.0, dtype=D)], 1)
    one = mx.fit(x, 2, family=FAMILIES["logistic"], generator=seeded())
    other = mx.fit(with_trials, 2, family=mx.LogisticRegression.template(target=2, trials=3), generator=seeded())
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-6)
    values = tensor([0.3, 1.0, 6.0])
    torch.testing.assert_close(
        other.mixture.order().condition([0, 1, 3], values).mean,
        one.mixture.order().condition([0, 1], values[:, :2]).mean, rtol=1e-3, atol=1e-3,
    )  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_parameters_are_recovered_at_the_statistical_rate(name):
    """Twice the gain of the fitted over the true log-likelihood is chi-squared with p degrees (Wilks, 1938)."""
    truth, x = mx.Mixture(tensor(0.5, 0.5), KINDS[name]), ROWS[name]
    fit = mx.fit(x, init=truth, family=type(KINDS[name]).template(target=KINDS[name].target, **settings(name)))
    gain = 2 * (fit.log_likelihood - truth.log_prob(x).sum().item())
    assert fit.converged and -1e-6 < gain < st.chi2(fit.parameters).ppf(1 - 1e-6)


def settings(name):
    if name.startswith("logistic"):
        return {"trials": 3} if name.endswith("trials") else {"total_count": 6}
    return {"intercept": not name.endswith("origin")}


def crossing(count=200, seed=0):
    """A line and a parabola that cross, as in flexmix's own example: y is 5 z, or 15 + 10 z - z squared."""
    z = 10 * torch.rand(count, generator=seeded(seed), dtype=D)
    mean = torch.where(torch.arange(count) % 2 == 0, 5 * z, 15 + 10 * z - z**2)
    return torch.stack([z, z**2, mean + 3 * torch.randn(count, generator=seeded(seed + 1), dtype=D)], -1)


def test_a_line_and_a_parabola_that_cross_are_told_apart():
    x = crossing(400)
    found = mx.select(x, (1, 2, 3), family=mx.LinearRegression, generator=seeded())
    assert found.best.mixture.weights.shape == (2,)
    lines = found.best.mixture.order(found.best.mixture.components.intercept).components
    errors = mx.standard_errors(found.best)
    error = errors.of(lambda m: torch.cat([m.components.intercept.unsqueeze(-1), m.components.coefficients], -1))
    error = error[found.best.mixture.components.intercept.argsort()]
    truth = tensor([0.0, 5.0, 0.0], [15.0, 10.0, -1.0])
    estimate = torch.cat([lines.intercept.unsqueeze(-1), lines.coefficients], -1)
    assert ((estimate - truth).abs() < 4 * error).all()
    assert (lines.scale / 3 - 1).abs().max() < 0.2


FLEXMIX = """
suppressMessages(library(flexmix)); data("NPreg"); options(digits = 15); set.seed(1)
write.csv(data.frame(x = NPreg$x, x2 = NPreg$x^2, y = NPreg$yn), "{0}/normal.csv", row.names = FALSE)
write.csv(data.frame(x = NPreg$x, y = NPreg$yp), "{0}/counts.csv", row.names = FALSE)
m <- flexmix(yn ~ x + I(x^2), data = NPreg, k = 2)
p <- flexmix(yp ~ x, data = NPreg, k = 2, model = FLXMRglm(family = "poisson"))
cat(logLik(m), prior(m), parameters(m), logLik(p), prior(p), parameters(p), sep = "\\n")
"""


def test_flexmix_and_we_agree_on_its_own_example(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    if subprocess.run(["Rscript", "-e", "library(flexmix)"], capture_output=True).returncode:
        pytest.skip("R's flexmix is not installed (Debian: r-cran-flexmix), so nothing was compared with it")
    (tmp_path / "run.R").write_text(FLEXMIX.format(tmp_path))
    out = subprocess.run(["Rscript", str(tmp_path / "run.R")], capture_output=True, text=True, check=True).stdout
    total, *rest = map(float, out.split())
    weights, numbers = tensor(*rest[:2]), tensor(*rest[2:10]).reshape(2, 4)
    theirs = mx.Mixture(weights, mx.LinearRegression(numbers[:, 0], numbers[:, 1:3], numbers[:, 3]))
    assert total == pytest.approx(-642.5451, abs=1e-3)
    assert theirs.log_prob(tmp_path / "normal.csv").sum().item() == pytest.approx(total, abs=1e-3)
    fit = mx.fit(tmp_path / "normal.csv", 2, family=mx.LinearRegression, generator=seeded())
    assert total < fit.log_likelihood < total + 0.05  # flexmix divides by rows less coefficients
    mine = fit.mixture.order(fit.mixture.components.intercept).components
    order = numbers[:, 0].argsort()
    torch.testing.assert_close(mine.coefficients, numbers[order, 1:3], rtol=0.02, atol=0.02)
    total, weights, numbers = rest[10], tensor(*rest[11:13]), tensor(*rest[13:]).reshape(2, 2)
    theirs = mx.Mixture(weights, mx.PoissonRegression(numbers[:, 0], numbers[:, 1:]))
    assert theirs.log_prob(tmp_path / "counts.csv").sum().item() == pytest.approx(total, abs=1e-2)
    fit = mx.fit(tmp_path / "counts.csv", 2, family=mx.PoissonRegression, generator=seeded())
    assert total - 1e-6 < fit.log_likelihood < total + 0.05


# -- steps


@pytest.mark.parametrize("name", ["poisson", "logistic", "logistic-trials"])
def test_a_careful_step_climbs_from_anywhere(name):
    x, climbed = ROWS[name], 0
    for seed in range(40):
        push = 3 * torch.randn(KINDS[name].effect.shape, generator=seeded(seed), dtype=D)
        start = KINDS[name]._replace(effect=KINDS[name].effect + push)
        r = torch.rand(240, 2, generator=seeded(seed + 1), dtype=D)
        sums = Statistics(torch.zeros((), dtype=D), r.sum(0), start.statistics(x, r))
        before, after = ((r * one.log_prob(x)).sum(0) for one in (start, start.cautious(sums)))
        assert (after >= before - 1e-9 * before.abs()).all()
        climbed += bool((after > before).all())
    assert climbed == 40


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", FAMILIES)
def test_units_and_origins_of_covariates_do_not_matter(name, dtype):
    x = ROWS[name].clone()
    scale, offset = (
        (tensor(1e-8, 1e8), tensor(0.0, 0.0)) if dtype == torch.float32 else (tensor(1e-8, 1e8), tensor(3.0, -2e5))
    )
    moved = x.clone()
    moved[:, :2] = moved[:, :2] * scale + offset * scale
    assert mx.fit(moved.to(dtype), 2, family=FAMILIES[name], generator=seeded()).log_likelihood == pytest.approx(
        mx.fit(x.to(dtype), 2, family=FAMILIES[name], generator=seeded()).log_likelihood, rel=1e-4
    )


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-6), (torch.float32, 2e-3)])
def test_far_targets_keep_their_digits(dtype, rel):
    x = ROWS["linear"].clone()
    x[:, 2] = (x[:, 2] * 64).round() / 64  # what single precision holds at a million
    plain = mx.fit(x, 2, family=mx.LinearRegression, generator=seeded())
    far = mx.fit((x + tensor(2.0**10, 0.0, 2.0**17)).to(dtype), 2, family=mx.LinearRegression, generator=seeded())
    assert far.log_likelihood == pytest.approx(plain.log_likelihood, rel=rel)


# -- every learner, and what follows a fit


LEARNERS = {
    "EM": mx.EM(),
    "MAP": mx.EM(prior=mx.Prior(2.0)),
    "ClassificationEM": mx.ClassificationEM(),
    "StochasticEM": mx.StochasticEM(draws=20),
    "AnnealedEM": mx.AnnealedEM(),
    "SplitMergeEM": mx.SplitMergeEM(),
    "OnlineEM": mx.OnlineEM(passes=20, block=40),
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_learner_finds_what_there_is(name, learner):
    x = ROWS[name]
    fit = mx.fit(x, 2, family=FAMILIES[name], method=LEARNERS[learner], restarts=4, generator=seeded())
    best = mx.fit(x, 2, family=FAMILIES[name], generator=seeded()).log_likelihood
    one = mx.fit(x, 1, family=FAMILIES[name]).log_likelihood
    share = 1.0 if learner == "ClassificationEM" else 0.2  # lines that cross are not told apart by the nearest
    assert fit.log_likelihood > best - share * (best - one)


@pytest.mark.parametrize("name", FAMILIES)
def test_kmeans_is_refused_with_what_to_do(name):
    with pytest.raises(MixtureError, match="ClassificationEM"):
        mx.fit(ROWS[name], 2, family=FAMILIES[name], method=mx.KMeans())


def test_standard_errors_of_one_line_are_those_of_least_squares():
    x = ROWS["linear"]
    fit = mx.fit(x, 1, family=mx.LinearRegression)
    design = torch.cat([torch.ones(240, 1, dtype=D), x[:, :2]], 1)
    expected = fit.mixture.components.scale * torch.linalg.inv(design.mT @ design).diagonal().sqrt()
    errors = mx.standard_errors(fit)
    torch.testing.assert_close(errors.of(lambda m: m.components.coefficients[0]), expected[1:])
    torch.testing.assert_close(errors.of(lambda m: m.components.intercept), expected[:1])


def test_the_bootstrap_draws_in_as_many_trials_as_each_row_has():
    family = mx.LogisticRegression.template(target=2, trials=3)
    fit = mx.fit(ROWS["logistic-trials"], 1, family=family)
    expected = mx.standard_errors(fit).of(lambda m: m.components.coefficients)
    found = mx.bootstrap(fit, 20, True, seeded()).of(lambda m: m.components.coefficients)
    assert ((found / expected).log().abs() < math.log(2)).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_bootstrap_keeps_covariates_and_agrees_with_standard_errors(name):
    fit = mx.fit(ROWS[name], 2, family=FAMILIES[name], generator=seeded())
    expected = mx.standard_errors(fit).of(lambda m: m.components.coefficients)
    for parametric in (False, True):
        found = mx.bootstrap(fit, 8, parametric, seeded()).of(lambda m: m.components.coefficients)
        assert ((found / expected).log().abs() < math.log(4)).all()


def test_weights_groups_labels_and_what_is_frozen():
    x, family = ROWS["linear"], mx.LinearRegression
    weight = 1.0 + torch.arange(240) % 3
    one = mx.fit(x, 2, family=family, sample_weight=weight, generator=seeded())
    other = mx.fit(x.repeat_interleave(weight.long(), 0), 2, family=family, generator=seeded())
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-6)
    each = mx.fit(
        torch.cat([x, x + 1]), 2, family=family, groups=torch.arange(2).repeat_interleave(240), generator=seeded()
    )
    assert each.mixture.batch_shape == (2,)
    labels = (torch.arange(240) % 2).where(torch.arange(240) < 60, -1)
    known = mx.fit(x, 2, family=family, labels=labels, generator=seeded())
    assert (known.mixture.assign(x)[60:] == (torch.arange(240) % 2)[60:]).double().mean() > 0.7
    held = mx.fit(x, init=one.mixture, family=family, freeze=mx.Freeze(components=(0,)), method=mx.EM(5, 0))
    torch.testing.assert_close(held.mixture.components.effect[0], one.mixture.components.effect[0])
    assert held.parameters == one.parameters - 4


def test_rows_not_seen_and_the_number_of_components():
    x, family = crossing(120), mx.LinearRegression
    found = mx.cross_validate(x, (1, 2), folds=3, family=family, restarts=4, generator=seeded())
    assert found.best == 2
    test = mx.likelihood_ratio_test(x, 1, replicates=4, family=family, restarts=2, generator=seeded())
    assert test.p_value == pytest.approx(0.2)
    fit = mx.fit(x, 2, family=family, generator=seeded())
    assert mx.held_out(fit.mixture, x).log_density == pytest.approx(fit.log_likelihood / 120)


# -- what cannot be learned


def table(**columns):
    return {name: np.asarray(column, float) for name, column in columns.items()}


Z = np.linspace(-1, 1, 30)
NOISE = np.random.default_rng(0).normal(size=30)
OUT_OF = mx.LogisticRegression.template(target="y", trials="n")
BAD = {
    "collinear": (mx.LinearRegression, table(a=Z, b=3 * Z + 1, y=NOISE), "'a', 'b', which satisfy a linear equation"),
    "constant": (mx.PoissonRegression, table(a=Z, b=Z * 0 + 2, y=abs(NOISE).round()), "'b', the same in every row"),
    "constant target": (mx.LinearRegression, table(a=Z, y=Z * 0 + 2), "varied in every column"),
    "exact": (mx.LinearRegression, table(a=Z, y=2 * Z + 5), "'y', which is linear in the covariates"),
    "few": (mx.LinearRegression, table(a=Z[:3], b=Z[:3] ** 2, y=NOISE[:3]), "at least 4 rows"),
    "one column": (mx.LinearRegression, table(y=NOISE), "covariates and a target"),
    "no counts": (mx.PoissonRegression, table(a=Z, y=NOISE), "whole numbers"),
    "too many": (mx.LogisticRegression, table(a=Z, y=(Z > 0) * 2), "0 or 1"),
    "more successes": (OUT_OF, table(a=Z, y=Z * 0 + 5, n=Z * 0 + 4), "column 'y'"),
    "unknown name": (mx.LinearRegression.template(target="z"), table(a=Z, y=NOISE), "among a, y"),
    "left over": (mx.LinearRegression.template(target=1, features=[0]), table(a=Z, y=NOISE, b=Z**2), "columns="),
    "gaps": (mx.LinearRegression, table(a=Z, y=np.where(Z > 0.9, np.nan, NOISE)), "finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_refused_in_words(name):
    family, rows, words = BAD[name]
    with pytest.raises(MixtureError, match=words):
        mx.fit(rows, 2, family=family)


def test_gaps_and_errors_are_refused():
    with pytest.raises(MixtureError, match="none for LinearRegression"):
        mx.fit(ROWS["linear"], 2, family=mx.LinearRegression, observation=mx.observation.Missing())


def test_separation_is_a_collapse_with_advice():
    z = torch.linspace(-1, 1, 80, dtype=D)
    fit = mx.fit(torch.stack([z, (z > 0.1).double()], -1), 1, family=mx.LogisticRegression)
    assert fit.reason is mx.Reason.COLLAPSED and "prior" in fit.advice
    some = (z > 0.1).double()
    some[[5, 60]] = 1 - some[[5, 60]]
    assert mx.fit(torch.stack([z, some], -1), 1, family=mx.LogisticRegression).converged


def test_an_optimum_on_a_handful_of_rows_is_spurious():
    x = crossing(60)
    start = torch.zeros(60, dtype=torch.long)
    start[:3] = 1
    x[:3, 2] = 100 + 3 * x[:3, 0] + 1e-3 * tensor(1.0, -1.0, 0.5)
    fit = mx.fit(x, 2, family=mx.LinearRegression, init=start)
    assert fit.reason is mx.Reason.COLLAPSED or fit.spurious == [1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: mx.LinearRegression(LEVELS, SLOPES, tensor(0.0, 1.0)),
        lambda: mx.LinearRegression(LEVELS, SLOPES[:, 0], 1.0),
        lambda: mx.LinearRegression(LEVELS[:1], SLOPES, 1.0),
        lambda: mx.LinearRegression(LEVELS, SLOPES, 1.0, target=3),
        lambda: mx.PoissonRegression(LEVELS * torch.nan, SLOPES),
        lambda: mx.LogisticRegression(LEVELS, SLOPES, total_count=0),
        lambda: mx.LogisticRegression(LEVELS, SLOPES, target=1, trials=1),
        lambda: mx.Mixture(tensor(0.5, 0.5), KINDS["linear"]).condition([0], [1.0]),
    ],
)
def test_bad_components_are_refused(make):
    with pytest.raises(MixtureError):
        make()


@pytest.mark.parametrize("name", KINDS)
def test_parameters_by_name_make_the_same_components(name):
    component, x = KINDS[name], ROWS[name]
    family = type(component).template(target=component.target, **settings(name))
    found = family.read(component)
    shapes = {key: one.shape for key, one in family.arguments(component.width).items()}
    assert {key: tuple(value.shape[1:]) for key, value in found.items()} == shapes
    torch.testing.assert_close(family.made(found, component.width).log_prob(x), component.log_prob(x))


@pytest.mark.parametrize("name", KINDS)
def test_sums_about_other_effects_are_the_sums_restated(name):
    """Exactly for lines; for the others as far as the curvature tells, so by a gap that shrinks with its square."""
    component, x = KINDS[name], ROWS[name]
    r, push = torch.rand(240, 2, generator=seeded(), dtype=D), torch.randn(component.effect.shape, generator=seeded(1))
    wrong = []
    for size in (1e-2, 1e-3):
        other = component._replace(effect=component.effect + size * push.double())
        sums = Statistics(torch.zeros((), dtype=D), r.sum(0), component.statistics(x, r))
        pairs = zip(other.restated(sums, component).moments, other.statistics(x, r), strict=True)
        slope = 1 if not name.startswith("linear") else slice(None)
        gaps = [(mine - theirs).abs().max().item() / theirs.abs().max().item() for mine, theirs in pairs]
        wrong.append(max(gaps[slope]) if name.startswith("linear") else gaps[slope])
    assert wrong[1] < (1e-12 if name.startswith("linear") else max(0.03 * wrong[0], 1e-12)), wrong
