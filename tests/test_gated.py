"""Weights that hang on covariates: laws, oracles that share no code, every learner, and what follows a fit."""

import shutil
import subprocess

import numpy as np
import pytest
import scipy.stats as st
import torch
from sklearn.linear_model import LogisticRegression
from tables import tensor

import mixtura as mx
from mixtura.components import Statistics
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.testing import ComponentContract, LearnableContract

D = torch.float64
LEVELS, SLOPES = tensor(0.5, 1.5), tensor([0.4], [-1.2])
GATE = tensor(0.3, -0.2), tensor([1.1, -0.4], [-0.7, 0.9])
ONE = tensor([1.1], [-0.7])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def parts():
    mean = tensor([0.0, 1.0], [2.0, -1.0])
    return {
        "linear": mx.LinearRegression(LEVELS, SLOPES, tensor(0.4, 1.7)),
        "poisson": mx.PoissonRegression(LEVELS, SLOPES),
        "logistic": mx.LogisticRegression(LEVELS, SLOPES, total_count=6),
        "gaussian": mx.Gaussian(mean, mx.Full(tensor([[1.0, 0.3], [0.3, 0.5]], [[0.6, -0.1], [-0.1, 0.4]]))),
        "counts": mx.Poisson(tensor(1.0, 6.0)),
    }


def shared(gated):
    """As a mixture of unequal shares keeps it."""
    return mx.Mixture(tensor(1.0, 2.0), gated).components


KINDS = {
    "experts": mx.Gated(parts()["linear"], GATE[0], ONE, on=[0]),
    "linear": mx.Gated(parts()["linear"], *GATE, on=[0, 2]),
    "poisson": mx.Gated(parts()["poisson"], *GATE, on=[3, 2]),
    "logistic": mx.Gated(parts()["logistic"], *GATE, on=[3, 0], columns=[1, 2]),
    "gaussian": mx.Gated(parts()["gaussian"], *GATE, on=[1, 2], columns=[0, 3]),
    "counts": mx.Gated(parts()["counts"], GATE[0], ONE, on=[1]),
}
KINDS = {name: shared(one) for name, one in KINDS.items()}
FAMILIES = {
    "experts": mx.Gated.template(mx.LinearRegression),
    "linear": mx.Gated.template(mx.LinearRegression.template(target=1, features=[0]), on=[0, 2]),
    "poisson": mx.Gated.template(mx.PoissonRegression.template(target=1, features=[0]), on=[3, 2]),
    "logistic": mx.Gated.template(
        mx.LogisticRegression.template(target=2, features=[1], total_count=6), on=[3, 0]
    ),
    "gaussian": mx.Gated.template(mx.Gaussian, on=[1, 2]),
    "counts": mx.Gated.template(mx.Poisson, on=1),
}  # fmt: skip


def given(component):
    """The columns that are given: what weights hang on, and covariates of the components."""
    own = getattr(component.parts, "covariates", [])
    return sorted({*component.on, *(component.columns[c] for c in own)})


def rows_of(component, count, seed=4):
    """Rows whose covariates have unequal scales about other places; labels and targets follow the law."""
    width = component.event_shape.numel()
    x = torch.randn(count, width, generator=seeded(seed), dtype=D) * (0.6 + 0.4 * torch.arange(width)) + 0.2
    known = given(component)
    law = mx.Mixture(tensor(1.0, 2.0), component).condition(known, x[:, known])
    drawn = law.sample(generator=seeded(seed + 1))
    x[:, [c for c in range(width) if c not in known]] = drawn.reshape(count, -1)
    return x


ROWS = {name: rows_of(one, 240) for name, one in KINDS.items()}
MIXTURES = {name: mx.Mixture(tensor(1.0, 2.0), one) for name, one in KINDS.items()}
WAITING = {  # laws of what needs covariates, or of components that know nothing of each other
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
    exact = False

    def __init__(self, name):
        self.name = name

    def make(self):
        return KINDS[self.name]

    def rows(self):
        return ROWS[self.name]


@pytest.mark.parametrize("law", sorted({*ComponentContract.laws()} - WAITING))
@pytest.mark.parametrize("name", KINDS)
def test_laws_of_gated_components(name, law):
    getattr(Of(name), law)()


@pytest.mark.parametrize("law", LearnableContract.laws())
@pytest.mark.parametrize("name", KINDS)
def test_learning_of_gated_components(name, law):
    getattr(Learned(name), law)()


# -- the law


@pytest.mark.parametrize("name", KINDS)
def test_the_density_is_that_of_its_definition(name):
    component, x = KINDS[name], ROWS[name]
    gate = component.gate.intercept + x[:, list(component.on)] @ component.gate.coefficients.mT
    own = component.parts.log_prob(x[:, list(component.columns)].squeeze(-1))
    expected = torch.logsumexp(torch.log_softmax(gate, -1) + own, -1)
    torch.testing.assert_close(MIXTURES[name].log_prob(x), expected)
    other = mx.Mixture(tensor(0.9, 0.1), component)
    torch.testing.assert_close(other.log_prob(x), expected)  # which does not hang on shares
    torch.testing.assert_close(other.responsibilities(x), torch.softmax(gate + own, -1))


@pytest.mark.parametrize("name", KINDS)
def test_given_what_weights_hang_on_it_is_a_mixture(name):
    component, x, mixture = KINDS[name], ROWS[name], MIXTURES[name]
    known = given(component)
    free = [c for c in range(x.shape[1]) if c not in known]
    law = mixture.condition(known, x[:, known])
    target = x[:, free] if law.event_shape else x[:, free[0]]
    torch.testing.assert_close(law.log_prob(target), mixture.log_prob(x))
    gate = component.gate.intercept + x[:, list(component.on)] @ component.gate.coefficients.mT
    torch.testing.assert_close(law.weights, torch.softmax(gate, -1))
    back = list(reversed(known))
    torch.testing.assert_close(mixture.condition(back, x[:, back]).mean, law.mean)


def test_some_of_what_is_described_may_be_known_too():
    x, mixture = ROWS["gaussian"], MIXTURES["gaussian"]
    some = mixture.condition([0, 1, 2], x[:, :3])
    step = mixture.condition([1, 2], x[:, 1:3]).condition([0], x[:, :1])
    torch.testing.assert_close(some.log_prob(x[:, 3:]), step.log_prob(x[:, 3:]))
    for dims in ([0, 3], [1], [0, 1]):
        with pytest.raises(MixtureError, match="weights hang on"):
            mixture.condition(dims, x[:, dims])


@pytest.mark.parametrize("ask", [lambda m: m.sample((3,)), lambda m: m.mean, lambda m: m.variance])
def test_what_needs_covariates_says_so(ask):
    with pytest.raises(NotClosedForm, match="condition"):
        ask(MIXTURES["gaussian"])


@pytest.mark.parametrize("name", KINDS)
def test_order_names_files_and_single_precision(name, tmp_path):
    mixture, x = MIXTURES[name], ROWS[name]
    torch.testing.assert_close(mixture.order().log_prob(x), mixture.log_prob(x))
    torch.testing.assert_close(mixture.order().log_joint(x), mixture.log_joint(x).flip(-1))
    names = ["a", "b", "c", "d"][: x.shape[1]]
    mixture.named(names).save(tmp_path / "model.safetensors")
    again = mx.load(tmp_path / "model.safetensors")
    table = dict(zip(reversed(names), reversed(x.mT.numpy()), strict=True))
    torch.testing.assert_close(again.log_prob(table), mixture.log_prob(x))
    torch.testing.assert_close(
        mixture.to(torch.float32).log_prob(x.float()).double(), mixture.log_prob(x), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("name", KINDS)
def test_parameters_counts_what_moves_the_density(name):
    mixture, x = MIXTURES[name], rows_of(KINDS[name], 60)

    def density(effect, *own):
        moved = iter(own)
        part = mixture.components.parts.map(lambda _: next(moved))
        gate = mixture.components.gate._replace(effect=effect)
        return mx.Mixture(tensor(1.0, 2.0), mixture.components._replace(parts=part, gate=gate)).log_prob(x)

    own = [t for t in mixture.components.parts.tensors()]
    inputs = (mixture.components.gate.effect, *own)
    jacobian = torch.autograd.functional.jacobian(density, inputs, vectorize=False)
    centred = hasattr(mixture.components.parts, "centre")  # the centre of regressions moves with the intercept
    assert centred or name in ("gaussian", "counts")
    rank = int(torch.linalg.matrix_rank(torch.cat([j.flatten(1) for j in jacobian], 1)))
    symmetric = name == "gaussian"  # the matrix is a triangle
    assert mixture.parameters == rank or symmetric and mixture.parameters <= rank


# -- the gate's sums and steps


def soft_targets(name, seed=0):
    r = torch.rand(240, 2, generator=seeded(seed), dtype=D)
    return r * torch.rand(240, 1, generator=seeded(seed + 1), dtype=D)  # of rows that count differently


def three():
    return mx.components.Gated(
        mx.Poisson(tensor(1.0, 2.0, 3.0)),
        tensor(0.1, 0.5, -0.6),
        torch.randn(3, 2, generator=seeded(), dtype=D),
        [1, 2],
    )


def test_sums_are_slope_and_curvature_of_the_expected_log_likelihood():
    gate, z = three().gate, torch.randn(50, 2, generator=seeded(3), dtype=D)
    r = torch.rand(50, 3, generator=seeded(4), dtype=D)

    def expected(effect):
        return (r * gate._replace(effect=effect).log_weights(z)).sum()

    slope, curvature, gram = gate.sums(z, r)
    torch.testing.assert_close(slope, torch.autograd.functional.jacobian(expected, gate.effect))
    hessian = torch.autograd.functional.hessian(expected, gate.effect)
    torch.testing.assert_close(curvature.transpose(-3, -2), -hessian)
    apart = torch.eye(3, dtype=D) - 1 / 3
    bound = 0.5 * torch.einsum("kl,ij->kilj", apart, gram[0]).reshape(9, 9)
    assert torch.linalg.eigvalsh(bound - curvature.transpose(-3, -2).reshape(9, 9)).min() > -1e-10


def test_a_sure_step_climbs_from_anywhere_and_updates_reach_the_top():
    z = torch.randn(80, 2, generator=seeded(3), dtype=D)
    for seed in range(30):
        r = torch.rand(80, 3, generator=seeded(seed), dtype=D)
        push = 4 * torch.randn(3, 3, generator=seeded(seed + 1), dtype=D)
        gate = three().gate._replace(effect=push)
        sure = gate.cautious(gate.sums(z, r), r.sum(0))
        before, after = ((r * one.log_weights(z)).sum() for one in (gate, sure))
        assert after > before
        assert sure.effect.sum(0).abs().max() < 1e-12


def test_one_gate_is_scikit_learns_multinomial_regression():
    z, r = torch.randn(80, 2, generator=seeded(3), dtype=D), torch.rand(80, 3, generator=seeded(4), dtype=D)
    gate = three().gate
    for _ in range(20):
        gate = gate.update(gate.sums(z, r), r.sum(0))
    labels = np.repeat(np.arange(3), 80)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000)
    theirs.fit(np.tile(z.numpy(), (3, 1)), labels, r.mT.reshape(-1).numpy())
    np.testing.assert_allclose(gate.coefficients, theirs.coef_ - theirs.coef_.mean(0), atol=1e-5)
    np.testing.assert_allclose(gate.intercept, theirs.intercept_ - theirs.intercept_.mean(), atol=1e-5)


# -- learning


@pytest.mark.parametrize("name", KINDS)
def test_parameters_are_recovered_at_the_statistical_rate(name):
    """Twice the gain of the fitted over the true log-likelihood is chi-squared with p degrees (Wilks, 1938)."""
    truth, x = MIXTURES[name], ROWS[name]
    fit = mx.fit(x, init=truth, family=FAMILIES[name], method=mx.EM(tolerance=1e-10))
    gain = 2 * (fit.log_likelihood - truth.log_prob(x).sum().item())
    assert fit.converged and -1e-6 < gain < st.chi2(fit.parameters).ppf(1 - 1e-6)
    gate = fit.mixture.components.gate.log_weights(x[:, list(fit.mixture.components.on)])
    torch.testing.assert_close(fit.mixture.weights, gate.exp().mean(0), rtol=1e-3, atol=1e-3)  # shares of rows


def concomitant(count=400, seed=0):
    """Two lines that cross; which of them a row follows hangs on another column, by log-odds .5 + 1.5 z."""
    source = seeded(seed)
    x, z = 10 * torch.rand(count, generator=source, dtype=D), torch.randn(count, generator=source, dtype=D)
    label = torch.rand(count, generator=source, dtype=D) < torch.sigmoid(0.5 + 1.5 * z)
    y = torch.where(label, 5 * x, 40 - 4 * x) + 3 * torch.randn(count, generator=source, dtype=D)
    return {"x": x.numpy(), "z": z.numpy(), "y": y.numpy()}


LINES = mx.LinearRegression.template(target="y", features=["x"])
ON_Z = mx.Gated.template(LINES, on="z")

FLEXMIX = """
suppressMessages(library(flexmix)); options(digits = 15); set.seed(1)
d <- read.csv("{0}/rows.csv")
best <- NULL
for (i in 1:5) {{
  m <- flexmix(y ~ x, data = d, k = 2, concomitant = FLXPmultinom(~ z),
               control = list(tolerance = 1e-12, iter.max = 1000))
  if (is.null(best) || logLik(m) > logLik(best)) best <- m
}}
cat(logLik(best), attr(logLik(best), "df"), prior(best), parameters(best), parameters(best, which = "concomitant"),
    sep = "\\n")
"""


def test_flexmix_and_we_agree_on_concomitant_variables(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    if subprocess.run(["Rscript", "-e", "library(flexmix)"], capture_output=True).returncode:
        pytest.skip("R's flexmix is not installed (Debian: r-cran-flexmix), so nothing was compared with it")
    table = concomitant(500)
    np.savetxt(tmp_path / "rows.csv", np.stack([*table.values()], 1), delimiter=",", header="x,z,y", comments="")
    (tmp_path / "run.R").write_text(FLEXMIX.format(tmp_path))
    out = subprocess.run(["Rscript", str(tmp_path / "run.R")], capture_output=True, text=True, check=True).stdout
    total, free, *rest = map(float, out.split())
    weights, numbers, gate = tensor(*rest[:2]), tensor(*rest[2:8]).reshape(2, 3), tensor(*rest[8:]).reshape(2, 2)
    lines = mx.LinearRegression(numbers[:, 0], numbers[:, 1:2], numbers[:, 2])
    theirs = mx.Mixture(weights, mx.Gated(lines, gate[:, 0], gate[:, 1:], on=[1], columns=[0, 2])).named(
        ["x", "z", "y"]
    )
    assert theirs.log_prob(tmp_path / "rows.csv").sum().item() == pytest.approx(total, abs=1e-6)
    fit = mx.fit(tmp_path / "rows.csv", 2, family=ON_Z, generator=seeded(), method=mx.EM(tolerance=1e-10))
    assert total < fit.log_likelihood < total + 0.05  # flexmix divides by rows less coefficients
    assert fit.parameters == free
    order = [0, 1] if numbers[0, 1] < numbers[1, 1] else [1, 0]
    mine = fit.mixture.order(fit.mixture.components.parts.coefficients[:, 0])
    torch.testing.assert_close(
        mine.components.gate.coefficients.diff(dim=0)[0], gate[order, 1:].diff(dim=0)[0], rtol=2e-3, atol=2e-3
    )
    torch.testing.assert_close(mine.weights, weights[order], rtol=1e-3, atol=1e-3)


def test_the_truth_is_found_and_its_errors_told():
    found = mx.select(
        concomitant(), (1, 2, 3), family=[ON_Z, mx.Gated.template(LINES, on=["z", "x"])], generator=seeded()
    )
    best = found.best
    assert best.mixture.weights.shape == (2,) and best.parameters == 8 and "on z)" in found.table[0].covariance
    steep = lambda m: m.components.parts.coefficients[:, 0].argmax()  # noqa: E731
    slope = lambda m: 2 * m.components.gate.coefficients[steep(m), 0]  # noqa: E731
    error = mx.standard_errors(best).of(slope)
    assert (slope(best.mixture) - 1.5).abs() < 4 * error and 0.05 < error < 0.5
    k = int(steep(best.mixture))
    for parametric in (False, True):
        again = mx.bootstrap(best, 12, parametric, seeded())
        assert (again.of(lambda m: 2 * m.components.gate.coefficients[..., k, 0]) / error).log().abs() < np.log(2.5)
        middle = 2 * again.mixtures.components.gate.coefficients[:, k, 0].mean()
        assert (middle - slope(best.mixture)).abs() < 2 * error  # labels that are drawn again hang on z
    with pytest.raises(NotClosedForm, match="condition"):
        _ = mx.standard_errors(best).weights
    at = mx.standard_errors(best).of(lambda m: m.condition(["z", "x"], [[0.0, 5.0]]).weights)
    assert (at > 0.01).all() and (at < 0.1).all()


def test_errors_are_those_of_the_information_by_finite_differences():
    fit = mx.fit(ROWS["counts"], 2, family=FAMILIES["counts"], generator=seeded(), method=mx.EM(tolerance=1e-13))
    mixture, x = fit.mixture, ROWS["counts"]

    def total(free):
        gate = mixture.components.gate._replace(effect=torch.stack([free[:2], -free[:2]]))
        return (
            mx.Mixture(mixture.weights, mixture.components._replace(parts=mx.Poisson(free[2:]), gate=gate))
            .log_prob(x)
            .sum()
        )

    free = torch.cat([mixture.components.gate.effect[0], mixture.components.parts.rate])
    covariance = torch.linalg.inv(-torch.autograd.functional.hessian(total, free))
    found = mx.standard_errors(fit)
    torch.testing.assert_close(
        found.of(lambda m: m.components.parts.rate), covariance.diagonal()[2:].sqrt(), rtol=1e-4, atol=0
    )
    gap = found.of(lambda m: m.components.gate.coefficients[0, 0] - m.components.gate.coefficients[1, 0])
    torch.testing.assert_close(gap, 2 * covariance[1, 1].sqrt(), rtol=1e-4, atol=0)


def test_regressions_without_a_word_are_experts():
    x = ROWS["experts"]
    one = mx.fit(x, 2, family=FAMILIES["experts"], generator=seeded())
    other = mx.fit(x, 2, family=mx.Gated.template(mx.LinearRegression, on=[0]), generator=seeded())
    assert one.log_likelihood == other.log_likelihood and one.mixture.components.on == (0,)
    table = {"y": x[:, 1].numpy(), "spare": x[:, 1].numpy() ** 2, "a": x[:, 0].numpy()}
    lines = mx.LinearRegression.template(target="y", features=["a"])
    named = mx.fit(table, 2, family=mx.Gated.template(lines), generator=seeded())
    assert named.mixture.columns == ("a", "y")
    assert named.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)


def test_files_are_read_block_by_block(tmp_path, monkeypatch):
    table = concomitant(900)
    lines = [
        "y,z,spare,x",
        *(f"{y!r},{z!r},1,{x!r}" for x, z, y in zip(*(t.tolist() for t in table.values()), strict=True)),
    ]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    monkeypatch.setattr(mx.learning.expectation.expect, "block_size", lambda rows: 100)
    fit = mx.fit(tmp_path / "rows.csv", 2, family=ON_Z, generator=seeded())
    assert fit.mixture.columns == ("x", "y", "z")
    whole = mx.fit(table, 2, family=ON_Z, generator=seeded())
    assert fit.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-9)
    fit.save(tmp_path / "model.safetensors")
    assert mx.load(tmp_path / "model.safetensors").log_prob(tmp_path / "rows.csv").sum().item() == pytest.approx(
        fit.log_likelihood, rel=1e-9
    )


LEARNERS = {
    "EM": mx.EM(),
    "MAP": mx.EM(prior=mx.Prior(components=mx.priors.JointPrior((None, mx.priors.NormalCoefficients(2.5))))),
    "ClassificationEM": mx.ClassificationEM(),
    "StochasticEM": mx.StochasticEM(draws=20),
    "AnnealedEM": mx.AnnealedEM(),
    "SplitMergeEM": mx.SplitMergeEM(),
    "OnlineEM": mx.OnlineEM(passes=20, block=60),
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.slow
def test_every_learner_finds_what_there_is(name, learner):
    x, family = ROWS[name], FAMILIES[name]
    if learner == "ClassificationEM":
        held = mx.priors.JointPrior((None, mx.priors.NormalCoefficients(2.5)))
        method = mx.ClassificationEM(prior=mx.Prior(components=held))  # labels without doubt may lie apart
    else:
        method = LEARNERS[learner]
    fit = mx.fit(x, 2, family=family, method=method, restarts=4, generator=seeded())
    best = mx.fit(x, 2, family=family, generator=seeded()).log_likelihood
    one = mx.fit(x, 1, family=family).log_likelihood
    share = 1.0 if learner == "ClassificationEM" else 0.2
    assert fit.log_likelihood > best - share * (best - one) and fit.reason.name in ("CONVERGED", "FINISHED")


@pytest.mark.parametrize("name", KINDS)
def test_the_likelihood_never_falls_and_maps_neither(name):
    prior = mx.Prior(components=mx.priors.JointPrior((None, mx.priors.NormalCoefficients(0.5))))
    for method in (mx.EM(), mx.EM(acceleration=False), mx.EM(prior=prior)):
        for seed in range(2):
            fit = mx.fit(ROWS[name], 2, family=FAMILIES[name], method=method, restarts=1, generator=seeded(seed))
            assert fit.converged and fit.trace.diff().min() > -1e-10


def test_a_prior_pulls_coefficients_to_zero():
    free = mx.fit(ROWS["counts"], 2, family=FAMILIES["counts"], generator=seeded())
    sizes = [free.mixture.components.gate.coefficients.norm()]
    for scale in (1.0, 0.1, 1e-3):
        prior = mx.Prior(components=mx.priors.JointPrior((None, mx.priors.NormalCoefficients(scale))))
        fit = mx.fit(ROWS["counts"], 2, family=FAMILIES["counts"], method=mx.EM(prior=prior), generator=seeded())
        sizes.append(fit.mixture.components.gate.coefficients.norm())
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < 1e-3
    plain = mx.fit(ROWS["counts"][:, 0], 2, family=mx.Poisson, generator=seeded())
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-2)  # weights that hang on nothing


def test_units_and_origins_of_what_weights_hang_on_do_not_matter():
    x = ROWS["gaussian"].clone()
    moved = x.clone()
    moved[:, 1:3] = moved[:, 1:3] * tensor(1e-8, 1e6) + tensor(3e-8, 2e11)
    one, other = (mx.fit(rows, 2, family=FAMILIES["gaussian"], generator=seeded()) for rows in (x, moved))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-5)


def test_weights_groups_labels_and_what_is_frozen():
    x, family = ROWS["linear"], FAMILIES["linear"]
    weight = 1.0 + torch.arange(240) % 3
    one = mx.fit(x, 2, family=family, sample_weight=weight, generator=seeded())
    other = mx.fit(x.repeat_interleave(weight.long(), 0), 2, family=family, generator=seeded())
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-6)
    groups = torch.arange(2).repeat_interleave(240)
    each = mx.fit(torch.cat([x, x + 1]), 2, family=family, groups=groups, generator=seeded())
    assert each.mixture.batch_shape == (2,)
    alone = mx.fit(x + 1, 2, family=family, generator=seeded())
    assert each[1].log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-6)
    torch.testing.assert_close(each.mixture.batch(1).log_prob(x + 1), each[1].mixture.log_prob(x + 1))
    held = mx.fit(x, init=one.mixture, family=family, freeze=mx.Freeze(components=(0,)), method=mx.EM(5, 0))
    torch.testing.assert_close(held.mixture.components.parts.effect[0], one.mixture.components.parts.effect[0])
    assert held.parameters == one.parameters - 3
    assert (held.mixture.components.gate.effect != one.mixture.components.gate.effect).any()
    held = mx.fit(x, init=one.mixture, family=family, freeze=mx.Freeze(weights=True), method=mx.EM(5, 0))
    torch.testing.assert_close(held.mixture.components.gate.effect, one.mixture.components.gate.effect)
    assert held.parameters == one.parameters - 3
    assert (held.mixture.components.parts.effect != one.mixture.components.parts.effect).any()
    still = mx.standard_errors(mx.fit(x, init=one.mixture, family=family, freeze=mx.Freeze(weights=True)))
    assert (still.of(lambda m: m.components.gate.effect) == 0).all()


def test_known_labels_are_those_of_a_regression_on_labels():
    x = ROWS["counts"]
    truth = MIXTURES["counts"].assign(x)
    truth[::5] = 1 - truth[::5]
    fit = mx.fit(x, 2, family=FAMILIES["counts"], labels=truth, generator=seeded())
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x[:, 1:].numpy(), truth.numpy())
    np.testing.assert_allclose(fit.mixture.components.gate.coefficients.diff(dim=0), theirs.coef_, rtol=1e-3)
    expected = -np.log(np.where(truth == 1, 1, np.exp(0)))  # of certain labels the likelihood is joint
    gate = fit.mixture.components.gate.log_weights(x[:, 1:])
    joint = (gate + fit.mixture.components.parts.log_prob(x[:, 0])).gather(-1, truth.unsqueeze(-1)).sum()
    assert expected.sum() == 0 and fit.log_likelihood == pytest.approx(joint.item(), rel=1e-12)


def test_noise_beside_regressions_has_a_weight_of_its_own():
    x = ROWS["gaussian"].clone()
    x[:12, [0, 3]] = 40 * torch.rand(12, 2, generator=seeded(), dtype=D) - 20
    fit = mx.fit(x, 2, family=mx.Gated.template(mx.Beside.with_noise(mx.Gaussian), on=[1, 2]), generator=seeded())
    assert fit.converged and (fit.mixture.assign(x)[:12] == 2).double().mean() > 0.7
    assert fit.mixture.components.gate.coefficients.shape == (3, 2)


def test_rows_not_seen_and_the_number_of_components():
    table = concomitant(150)
    found = mx.cross_validate(table, (1, 2), folds=3, family=ON_Z, restarts=4, generator=seeded())
    assert found.best == 2
    test = mx.likelihood_ratio_test(table, 1, replicates=4, family=ON_Z, restarts=2, generator=seeded())
    assert test.p_value == pytest.approx(0.2)
    fit = mx.fit(table, 2, family=ON_Z, generator=seeded())
    assert mx.held_out(fit.mixture, table).log_density == pytest.approx(fit.log_likelihood / 150)


# -- what cannot be learned


def test_weights_without_doubt_are_a_collapse_and_a_prior_bounds_them():
    z = torch.linspace(-1, 1, 100, dtype=D)
    y = torch.where(z > 0.1, 30.0, 0.0) + torch.randn(100, generator=seeded(), dtype=D)
    x, family = torch.stack([y, z], -1), mx.Gated.template(mx.Normal, on=1)
    fit = mx.fit(x, 2, family=family, generator=seeded())
    assert fit.reason is mx.Reason.COLLAPSED and "prior" in fit.advice
    method = mx.EM(prior=mx.Prior(components=mx.priors.JointPrior((None, mx.priors.NormalCoefficients(10.0)))))
    held = mx.fit(x, 2, family=family, method=method, generator=seeded())
    assert held.converged
    weights = held.mixture.condition([1], tensor([-1.0], [1.0])).weights
    assert (weights.amax(-1) > 0.99).all()


def table(**columns):
    return {name: np.asarray(column, float) for name, column in columns.items()}


Z = np.linspace(-1, 1, 30)
NOISE = np.random.default_rng(0).normal(size=30)
NORMAL, GAUSSIAN, COUNTS = mx.Normal, mx.Gaussian, mx.Poisson
TABLE, LINE = table(y=NOISE, a=Z), mx.LinearRegression.template(target=0, features=[1])
BAD = {
    "collinear": (mx.Gated.template(NORMAL, on=["a", "b"]), table(y=NOISE, a=Z, b=3 * Z + 1), "`on`.*'a', 'b', which"),
    "constant": (mx.Gated.template(NORMAL, on=["a"]), table(y=NOISE, a=Z * 0 + 2), "varied in every column"),
    "no doubt": (mx.Gated.template(COUNTS, on=["a"]), table(y=abs(NOISE).round(), a=Z * 0 + 2), "`on`.*'a', the same"),
    "nothing": (mx.Gated.template(GAUSSIAN), TABLE, "`on`"),
    "everything": (mx.Gated.template(GAUSSIAN, on=["y", "a"]), TABLE, "left for the components"),
    "unknown name": (mx.Gated.template(NORMAL, on=["c"]), TABLE, "among y, a"),
    "beyond": (mx.Gated.template(NORMAL, on=[2]), TABLE, "between 0 and 1"),
    "twice": (mx.Gated.template(NORMAL, on=["a", 1]), TABLE, "each once"),
    "left over": (mx.Gated.template(LINE, on=[1]), table(y=NOISE, a=Z, b=Z**2), "none for 'b'"),
    "no counts": (mx.Gated.template(COUNTS, on="a"), TABLE, "whole numbers"),
    "one column": (mx.Gated.template(NORMAL, on=0), NOISE, "table of columns"),
    "gaps": (mx.Gated.template(NORMAL, on="a"), table(a=np.where(Z > 0.9, np.nan, Z), y=NOISE), "finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_refused_in_words(name):
    family, rows, words = BAD[name]
    with pytest.raises(MixtureError, match=words):
        mx.fit(rows, 2, family=family)


UNKNOWING = {
    "variational": mx.Variational(),
    "gibbs": mx.Gibbs(),
    "kmeans": mx.KMeans(),
    "prior on weights": mx.EM(prior=mx.Prior(2.0)),
    "online": mx.OnlineEM(prior=mx.Prior(2.0)),
    "prior of components alone": mx.EM(prior=mx.Prior(components=mx.Conjugate.gamma(1.0, 1.0))),
}


@pytest.mark.parametrize("name", UNKNOWING)
def test_methods_that_do_not_know_what_weights_hang_on_are_refused(name):
    with pytest.raises((MixtureError, NotClosedForm)):
        mx.fit(ROWS["counts"], 2, family=FAMILIES["counts"], method=UNKNOWING[name])


@pytest.mark.parametrize(
    "make",
    [
        lambda: mx.fit(ROWS["counts"], 2, family=FAMILIES["counts"], observation=mx.observation.Missing()),
        lambda: mx.Product.template((FAMILIES["counts"], [0, 1])),
        lambda: mx.Beside.with_noise(FAMILIES["counts"]),
        lambda: mx.Gated.template(FAMILIES["counts"], on=0),
        lambda: mx.Gated.template(),
        lambda: mx.Gated(KINDS["counts"], GATE[0], ONE, on=[2]),
        lambda: mx.Product((KINDS["counts"],), ((0, 1),)),
        lambda: mx.Beside(KINDS["counts"], KINDS["counts"]),
        lambda: mx.Gated(parts()["counts"], GATE[0], ONE, on=[2]),
        lambda: mx.Gated(parts()["counts"], GATE[0], ONE, on=[1, 2]),
        lambda: mx.Gated(parts()["counts"], GATE[0], ONE, on=[1], columns=[0, 2]),
        lambda: mx.Gated(parts()["gaussian"], *GATE, on=[1, 2], columns=[3, 0]),
        lambda: mx.Gated(parts()["counts"], GATE[0][:1], ONE, on=[1]),
        lambda: mx.Gated(parts()["counts"], GATE[0], ONE * torch.inf, on=[1]),
    ],
)
def test_bad_components_are_refused(make):
    with pytest.raises(MixtureError):
        make()


def test_sums_about_other_effects_are_the_sums_restated():
    """By a gap that shrinks with its square."""
    gate, z = three().gate, torch.randn(80, 2, generator=seeded(3), dtype=D)
    r, push = torch.rand(80, 3, generator=seeded(4), dtype=D), torch.randn(3, 3, generator=seeded(5), dtype=D)
    wrong = []
    for size in (1e-2, 1e-3):
        other = gate._replace(effect=gate.effect + size * push)
        wrong.append((other.restated(gate.sums(z, r), gate)[0] - other.sums(z, r)[0]).abs().max().item())
    assert wrong[1] < 0.03 * wrong[0]


def test_statistics_of_gated_components_are_those_of_both():
    component, x, r = KINDS["linear"], ROWS["linear"], soft_targets("linear")
    sums = component.statistics(x, r)
    own = component.parts.statistics(x[:, list(component.columns)], r)
    for mine, theirs in zip(sums, (*own, *component.gate.sums(x[:, list(component.on)], r)), strict=True):
        torch.testing.assert_close(mine, theirs)
    after = component.update(Statistics(torch.zeros((), dtype=D), r.sum(0), sums))
    torch.testing.assert_close(after.gate.share.exp(), r.sum(0) / r.sum())
