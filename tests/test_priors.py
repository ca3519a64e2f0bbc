"""Priors as densities: they integrate to one, draw what they say, and obey Bayes' rule."""

import math
from dataclasses import dataclass

import conjugate_table as table
import pytest
import scipy.stats
import tables
import torch
from torch import Tensor

import mixtura as mx
from mixtura.priors import DirichletPrior, StickBreaking, WeightsPrior

F64 = torch.float64
DRAWS = 20_000


def numbers(*values) -> Tensor:
    return torch.tensor(values, dtype=F64)


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def z_score(values, expected):
    error = values.std(0) / math.sqrt(len(values))
    return ((values.mean(0) - expected) / error.clamp_min(1e-12)).abs().max().item()


@dataclass
class Weights:
    """A prior on K weights, with the beta laws of its breaks by hand."""

    name: str
    prior: WeightsPrior
    broken: list[float]
    left: list[float]

    @property
    def components(self):
        return len(self.broken) + 1


WEIGHTS = [
    Weights("flat-2", DirichletPrior(1.0), [1.0], [1.0]),
    Weights("sparse-2", DirichletPrior(0.3), [0.3], [0.3]),
    Weights("sparse-3", DirichletPrior(0.3), [0.3, 0.3], [0.6, 0.3]),
    Weights("dense-3", DirichletPrior(2.5), [2.5, 2.5], [5.0, 2.5]),
    Weights("one-each-2", DirichletPrior([0.5, 3.0]), [0.5], [3.0]),
    Weights("one-each-3", DirichletPrior(numbers(0.5, 1.0, 3.0)), [0.5, 1.0], [4.0, 3.0]),
    Weights("sticks-2", StickBreaking(0.7), [1.0], [0.7]),
    Weights("sticks-3", StickBreaking(0.7), [1.0, 1.0], [0.7, 0.7]),
    Weights("long-sticks-3", StickBreaking(2.5), [1.0, 1.0], [2.5, 2.5]),
]
ALL_WEIGHTS = pytest.mark.parametrize("case", WEIGHTS, ids=lambda case: case.name)
ALL_COMPONENTS = pytest.mark.parametrize("case", table.CASES, ids=lambda case: case.name)


def drawn(case, count=DRAWS, seed=0) -> Tensor:
    return case.prior.posterior(torch.zeros(count, case.components, dtype=F64)).draw(seeded(seed))


# -- weights


@ALL_WEIGHTS
def test_weights_integrate_to_one(case):
    """On a grid in the logits u of the breaks: dv = v (1 - v) du, and what is left shrinks the next step."""
    grid = torch.arange(-90.0, 90.0, 0.25, dtype=F64)
    axes = torch.meshgrid(*[grid] * (case.components - 1), indexing="ij")
    log_left, logits, volume = torch.zeros_like(axes[0]), [], torch.zeros_like(axes[0])
    for u in axes:
        taken, kept = -torch.nn.functional.softplus(-u), -torch.nn.functional.softplus(u)
        volume = volume + log_left + taken + kept
        logits.append(log_left + taken)
        log_left = log_left + kept
    density = case.prior.log_prob(torch.stack([*logits, log_left], -1))
    assert ((density + volume).exp().sum() * 0.25 ** len(axes)).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("concentration", [[0.3] * 3, [2.5] * 3, [0.5, 1.0, 3.0]], ids=str)
def test_dirichlet_density_is_scipys(concentration):
    weights = numbers(0.2, 0.7, 0.1)
    found = DirichletPrior(concentration).log_prob(weights.log() + 3.0)  # up to a constant
    assert found.item() == pytest.approx(scipy.stats.dirichlet(concentration).logpdf(weights.numpy()), rel=1e-12)


@ALL_WEIGHTS
def test_weights_drawn_have_the_moments_of_the_breaks(case):
    draws = drawn(case).exp()
    left_once, left_twice, first, second = 1.0, 1.0, [], []
    for a, b in zip(case.broken, case.left, strict=True):
        law = scipy.stats.beta(a, b)
        first.append(left_once * law.mean())
        second.append(left_twice * law.moment(2))
        left_once *= 1 - law.mean()
        left_twice *= law.var() + (1 - law.mean()) ** 2
    assert z_score(draws, numbers(*first, left_once)) < 4.5
    assert z_score(draws.square(), numbers(*second, left_twice)) < 4.5


@ALL_WEIGHTS
def test_draws_have_the_density_of_the_prior(case):
    """The ratio of any other density to it is one on average: that of the posterior, which is bounded."""
    draws = drawn(case, seed=1)
    counts = torch.linspace(0.5, 2.0, case.components, dtype=F64)
    ratio = case.prior.posterior(counts).log_prob(draws) - case.prior.log_prob(draws)
    assert z_score(ratio.exp(), 1.0) < 4.5


@ALL_WEIGHTS
def test_weights_obey_bayes_rule(case):
    """The posterior is prior times likelihood, whether rows come together or one part after the other."""
    draws = drawn(case, 50)
    one, other = torch.rand(2, case.components, generator=seeded(3), dtype=F64) * 9
    gap = case.prior.posterior(one + other).log_prob(draws) - case.prior.posterior(one).log_prob(draws)
    constant = gap - (other * draws).sum(-1)
    assert constant.std() < 1e-8 and constant.abs().max() > 1e-3
    torch.testing.assert_close(case.prior.posterior(torch.zeros_like(one)).log_prob(draws), case.prior.log_prob(draws))


def test_a_dirichlet_posterior_is_the_next_prior():
    one, other = numbers(4.0, 0.5, 2.0), numbers(1.0, 3.0, 0.0)
    both = DirichletPrior(0.4).posterior(one + other)
    again = DirichletPrior(DirichletPrior(0.4).posterior(one).concentration).posterior(other)
    torch.testing.assert_close(both.concentration, again.concentration)


@ALL_WEIGHTS
def test_density_of_weights_has_its_gradient(case):
    logits = drawn(case, 5)[:, :].clamp_min(-20).requires_grad_()
    assert torch.autograd.gradcheck(case.prior.log_prob, logits)


@ALL_WEIGHTS
def test_a_prior_on_weights_moves_and_follows_the_weights(case):
    logits = drawn(case, 5)
    single = case.prior.to(torch.float32)
    assert {t.dtype for t in single.tensors()} <= {torch.float32}
    torch.testing.assert_close(single.log_prob(logits), case.prior.log_prob(logits), rtol=1e-5, atol=1e-5)
    assert case.prior.log_prob(logits.to("meta")).device.type == "meta"
    assert {t.device.type for t in case.prior.to("meta").tensors()} <= {"meta"}


@ALL_WEIGHTS
def test_divergence_from_any_prior_on_weights_is_the_mean_log_ratio(case):
    law = case.prior.posterior(torch.linspace(3.0, 1.0, case.components, dtype=F64))
    draws = law.map(lambda t: t.expand(DRAWS, *t.shape)).draw(seeded(2))
    for other in (DirichletPrior(1.5), StickBreaking(1.2)):
        ratio = law.log_prob(draws) - other.log_prob(draws)
        assert z_score(ratio, law.divergence(other)) < 4.5
    assert case.prior.posterior(torch.zeros(case.components)).divergence(case.prior).abs() < 1e-12


@ALL_WEIGHTS
def test_nothing_nearby_is_more_probable_than_the_mode_of_weights(case):
    if not case.prior.has_mode:
        pytest.skip("the density is unbounded")
    counts = torch.linspace(4.0, 1.5, case.components, dtype=F64)
    mode, law = case.prior.mode(counts), case.prior.posterior(counts)
    near = mode + 1e-3 * torch.randn(100, case.components, generator=seeded(), dtype=F64)
    assert mode.exp().sum().item() == pytest.approx(1)
    assert (law.log_prob(near) < law.log_prob(mode)).all()


def test_an_empty_component_is_possible_impossible_or_favoured():
    logits = numbers(0.0, -math.inf)
    assert DirichletPrior(1.0).log_prob(logits) == 0
    assert DirichletPrior(2.0).log_prob(logits) == -math.inf
    assert DirichletPrior(0.5).log_prob(logits) == math.inf
    assert StickBreaking(1.0).log_prob(logits) == 0


# -- a mode is another question


@pytest.mark.parametrize("concentration", [0.5, [2.0, 0.5], StickBreaking(2.0)], ids=str)
def test_a_proper_prior_without_a_mode_has_a_density(concentration):
    prior = mx.Prior(concentration)
    mixture = mx.Mixture(numbers(0.3, 0.7), table.NORMAL)
    assert prior.log_prob(mixture).isfinite()
    assert not prior.has_mode
    with pytest.raises(mx.errors.MixtureError, match="a MAP estimate does not exist.*Variational and Gibbs take any"):
        mx.EM(prior=prior)


def test_concentrations_that_are_no_prior_are_refused():
    for wrong in (0.0, -1.0, math.nan, math.inf, [1.0, 0.0], [[1.0, 2.0]]):
        with pytest.raises(mx.errors.MixtureError, match="concentration"):
            mx.Prior(wrong)
    with pytest.raises(mx.errors.MixtureError, match="one number for each of 2 components"):
        mx.Prior([1.0, 2.0, 3.0]).log_prob(mx.Mixture(numbers(0.3, 0.7), table.NORMAL))


# -- components


def sums_of(case, count):
    components = case.components
    x = case.rows(count)
    logits = torch.zeros(components.batch_shape, dtype=F64).log_softmax(-1)
    return components.expect(logits, x, None, mx.learning.soft)


@ALL_COMPONENTS
def test_components_drawn_have_the_density_of_the_prior(case):
    """The posterior given a few rows over the prior, at draws from the prior, is one on average."""
    many = case.components.map(lambda t: t.expand(DRAWS, *t.shape))
    draws = case.prior.sample(many, seeded(5))
    law = case.prior.posterior(sums_of(case, 1), case.components).map(lambda t: t.expand(DRAWS, *t.shape))
    ratio = law.log_prob(draws) - case.prior.log_prob(draws)
    assert z_score(ratio.exp(), 1.0) < 4.5 and ratio.std() > 0.1


@ALL_COMPONENTS
def test_components_obey_bayes_rule(case):
    components, x = case.components, case.rows(7)
    r = torch.rand(7, 2, generator=seeded(4), dtype=F64)

    def given(rows):
        sums = mx.components.Statistics(torch.zeros(()), r[rows].sum(0), components.statistics(x[rows], r[rows]))
        return case.prior.posterior(sums, components)

    def constant(theta):
        likelihood = (r[4:] * theta.log_prob(x[4:])).sum()
        return given(slice(None)).log_prob(theta) - given(slice(4)).log_prob(theta) - likelihood

    values = torch.stack([constant(case.perturb(components, 0.2, seeded(seed))) for seed in range(5)])
    assert values.std() < 1e-8


@ALL_COMPONENTS
def test_density_of_components_has_a_finite_gradient(case):
    inputs = [t.clone().requires_grad_() for t in case.components.tensors()]
    replaced = iter(inputs)
    case.prior.log_prob(case.components.map(lambda _: next(replaced))).backward()
    assert all(t.grad.isfinite().all() for t in inputs) and any(t.grad.abs().max() > 1e-3 for t in inputs)


@ALL_COMPONENTS
def test_priors_move(case):
    exact = case.prior.log_prob(case.components)
    single = case.prior.to(torch.float32)
    assert {t.dtype for t in single.tensors()} <= {torch.float32}
    assert single.log_prob(case.components).item() == pytest.approx(exact.item(), rel=1e-5)
    assert case.prior.to("meta").device.type == "meta"


@ALL_COMPONENTS
def test_a_prior_follows_the_components_to_their_device(case):
    there = case.components.to("meta")
    assert case.prior.log_prob(there).device.type == "meta"


WIDE = mx.NormalInverseWishart(numbers(0.5, -1.0, 2.0), 1.5, torch.diag(numbers(2.0, 3.0, 1.0)) + 0.4, 7.0)


@pytest.mark.parametrize("name", tables.STRUCTURES)
def test_density_of_any_structure_is_that_of_its_matrices(name):
    gaussian = tables.GAUSSIANS[name]
    plain = type(gaussian.structure.unconstrained)(tied=gaussian.structure.tied)
    matrices = gaussian.covariance[:1] if plain.tied else gaussian.covariance
    twin = mx.Gaussian(gaussian.mean, plain.with_covariance(matrices))
    torch.testing.assert_close(WIDE.log_prob(gaussian), WIDE.log_prob(twin))


@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
@pytest.mark.parametrize("structure", [mx.Full, mx.Diagonal, mx.Spherical])
def test_gaussian_prior_is_scipys(structure, tied):
    """One factor for each matrix, and a normal one for each mean."""
    components, prior = table.gaussian(structure, tied), table.NIW
    expected = 0.0
    for matrix in components.covariance[: 1 if tied else 2].numpy():
        if structure is mx.Full:
            expected += scipy.stats.invwishart(prior.degrees, prior.scale.numpy()).logpdf(matrix)
        elif structure is mx.Diagonal:
            shape = (prior.degrees + 1) / 2
            for rate, variance in zip(prior.scale.diagonal() / 2, matrix.diagonal(), strict=True):
                expected += scipy.stats.invgamma(shape, scale=rate.item()).logpdf(variance)
        else:
            shape, rate = prior.degrees + 2, prior.scale.trace().item() / 2
            expected += scipy.stats.invgamma(shape, scale=rate).logpdf(matrix[0, 0])
    for mean, matrix in zip(components.mean, components.covariance, strict=True):
        expected += scipy.stats.multivariate_normal(prior.mean, matrix / prior.strength).logpdf(mean.numpy())
    assert prior.log_prob(components).item() == pytest.approx(expected, rel=1e-12)


def test_normal_inverse_gamma_integrates_to_one():
    mean, log_variance = torch.meshgrid(
        torch.linspace(-150, 150, 1501, dtype=F64), torch.linspace(-4, 12, 161, dtype=F64), indexing="ij"
    )
    components = mx.Normal(mean.reshape(-1, 1), (0.5 * log_variance).exp().reshape(-1, 1))
    density = (table.NIW_1.log_prob(components) + log_variance.flatten()).exp()
    assert (density.sum() * 0.2 * 0.1).item() == pytest.approx(1, abs=1e-5)


def test_inverse_wishart_integrates_to_one():
    """By scipy's draws from another one, of heavier tails."""
    other = scipy.stats.invwishart(4.0, [[1.5, 0.0], [0.0, 2.0]], seed=0)
    matrices = other.rvs(DRAWS)
    means = table.NIW.mean + 3 * torch.randn(DRAWS, 2, generator=seeded(), dtype=F64)
    wide = scipy.stats.multivariate_normal(table.NIW.mean, [[9.0, 0.0], [0.0, 9.0]])
    proposal = other.logpdf(matrices.transpose(1, 2, 0)) + wide.logpdf(means.numpy())
    components = mx.Gaussian(means.unsqueeze(1), mx.Full(torch.from_numpy(matrices).unsqueeze(1)))
    ratio = (table.NIW.log_prob(components) - torch.from_numpy(proposal)).exp()
    assert z_score(ratio, 1.0) < 4.5 and ratio.std() / DRAWS**0.5 < 0.05


def total_and_strength(case):
    prior = case.prior
    return prior.strength * prior.mean_statistics.numpy(), prior.strength


def logpdf(law, values):
    return torch.as_tensor(law.logpdf(values.numpy()))


def poisson(case, rate):
    total, strength = total_and_strength(case)
    return logpdf(scipy.stats.gamma(total, scale=1 / strength), rate) + rate.log()


def geometric(case, probs):
    total, strength = total_and_strength(case)
    return logpdf(scipy.stats.beta(strength + 1, total), probs) + (1 - probs).log()


def exponential(case, rate):
    total, strength = total_and_strength(case)
    return logpdf(scipy.stats.gamma(strength + 1, scale=1 / total), rate)


def bernoulli(case, probs, count=1):
    total, strength = total_and_strength(case)
    return logpdf(scipy.stats.beta(total, strength * count - total), probs) + (probs * (1 - probs)).log()


def shares(case, probs):
    total, _ = total_and_strength(case)
    return torch.stack([scipy.stats.dirichlet(total).logpdf(p.numpy()) + p.log().sum() for p in probs.reshape(-1, 3)])


BY_SCIPY = {
    "Poisson": lambda case, c: poisson(case, c.rate),
    "Poisson-vectors": lambda case, c: poisson(case, c.rate),
    "Geometric": lambda case, c: geometric(case, c.probs),
    "Exponential": lambda case, c: exponential(case, c.rate),
    "Bernoulli": lambda case, c: bernoulli(case, c.probs),
    "Binomial": lambda case, c: bernoulli(case, c.probs, 4),
    "Categorical": lambda case, c: shares(case, c.probs),
    "Categorical-vectors": lambda case, c: shares(case, c.probs),
    "Multinomial": lambda case, c: shares(case, c.probs),
}


@pytest.mark.parametrize("name", BY_SCIPY)
def test_densities_in_natural_parameters_are_scipys(name):
    """The law of the usual parameter times what its units change by: of a log-rate, a log-odds, log-ratios."""
    case = next(case for case in table.CASES if case.name == name)
    expected = BY_SCIPY[name](case, case.components).sum()
    assert case.prior.log_prob(case.components).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("structure", [mx.Full, mx.Diagonal, mx.Spherical])
def test_a_student_has_the_prior_of_its_gaussian_part(structure):
    gaussian = table.gaussian(structure)
    many = mx.StudentT(gaussian.mean, gaussian.structure, numbers(4.0, 9.0)).map(lambda t: t.expand(300, *t.shape))
    draws, plain = table.NIW.sample(many, seeded()), table.NIW.sample(many.gaussian, seeded())
    torch.testing.assert_close(draws.gaussian.covariance, plain.covariance)
    assert torch.equal(draws.dof, many.dof)
    torch.testing.assert_close(table.NIW.log_prob(draws), table.NIW.log_prob(plain))


def test_a_joint_prior_is_the_sum_of_its_parts_even_around_a_student():
    student = mx.StudentT(numbers(0.0, 1.0), numbers(1.0, 2.0), 5.0)
    product = mx.Product((student, mx.Bernoulli(numbers(0.3, 0.8))), ((0,), (1,)))
    parts = table.NIW_1, mx.Conjugate.beta(1.5, 2.5)
    draws = mx.priors.JointPrior(parts).sample(product, seeded())
    expected = parts[0].log_prob(draws.parts[0]) + parts[1].log_prob(draws.parts[1])
    torch.testing.assert_close(mx.priors.JointPrior(parts).log_prob(draws), expected)
    only = mx.priors.JointPrior((None, parts[1]))
    torch.testing.assert_close(only.log_prob(draws), parts[1].log_prob(draws.parts[1]))


def test_a_family_without_a_closed_law_has_a_density_up_to_a_constant():
    """Its differences are those of the pseudo-rows' log-likelihood."""
    prior = mx.Conjugate(3.0, numbers(2.0, 0.4))
    one, other = mx.Gamma(numbers(2.0), numbers(1.0)), mx.Gamma(numbers(5.0), numbers(2.5))

    def by_hand(c):
        return 3 * (
            0.4 * (c.concentration - 1) - 2.0 * c.rate - c.concentration.lgamma() + c.concentration * c.rate.log()
        )

    difference = prior.log_prob(one) - prior.log_prob(other)
    torch.testing.assert_close(difference, (by_hand(one) - by_hand(other)).sum())
    with pytest.raises(mx.errors.NotClosedForm):
        prior.sample(one)


# -- whole mixtures


def test_a_prior_is_the_sum_of_its_parts():
    prior = mx.Prior([0.5, 2.0], table.NIW_1)
    draws = prior.sample(table.NORMAL.map(lambda t: t.expand(7, *t.shape)), seeded())
    expected = prior.weights.log_prob(draws.logits) + table.NIW_1.log_prob(draws.components)
    assert draws.batch_shape == (7,)
    torch.testing.assert_close(prior.log_prob(draws), expected)


def test_a_whole_prior_moves():
    prior = mx.Prior(numbers(0.5, 2.0), table.NIW_1)
    assert {t.dtype for t in prior.to(torch.float32).tensors()} == {torch.float32}
    assert prior.to("meta").components.mean.device.type == "meta"
    mixture = mx.Mixture(numbers(0.3, 0.7), table.NORMAL)
    moved = prior.to(torch.float32).log_prob(mixture)
    assert moved.item() == pytest.approx(prior.log_prob(mixture).item(), rel=1e-6)


def apart(rows=200):
    x = torch.randn(rows, generator=seeded(), dtype=F64)
    x[: rows // 4] += 1e3
    return x, torch.arange(rows) >= rows // 4


COUNTS = numbers(50.0, 150.0)
EACH = numbers(41.0, 11.0)


def test_map_weights_count_the_pseudo_rows_of_each_component():
    x, labels = apart()
    fit = mx.fit(x, init=labels.long(), method=mx.EM(prior=mx.Prior(EACH)))
    torch.testing.assert_close(fit.mixture.weights, (COUNTS + EACH - 1) / (COUNTS + EACH - 1).sum())
    assert (fit.trace.diff() > -1e-10).all()


def test_variational_weights_count_the_pseudo_rows_of_each_component():
    x, labels = apart()
    fit = mx.fit(x, init=labels.long(), method=mx.Variational(prior=mx.Prior(EACH)))
    torch.testing.assert_close(fit.posterior.weights.mean, (COUNTS + EACH) / (COUNTS + EACH).sum())


def test_gibbs_weights_count_the_pseudo_rows_of_each_component():
    x, labels = apart()
    method = mx.Gibbs(500, 5, 1, mx.Prior(EACH))
    fit = mx.fit(x, init=labels.long(), method=method, generator=seeded())
    assert z_score(fit.draws.weights, (COUNTS + EACH) / (COUNTS + EACH).sum()) < 5


def test_the_objective_of_map_is_log_likelihood_plus_log_density():
    x, labels = apart()
    prior = mx.Prior(EACH, table.NIW_1)
    fit = mx.fit(x, init=labels.long(), method=mx.EM(prior=prior))
    expected = fit.log_likelihood + prior.log_prob(fit.mixture).item()
    assert fit.trace[-1].item() * len(x) == pytest.approx(expected, rel=1e-10)


def test_noise_beside_a_family_has_no_prior():
    x, _ = apart()
    rows = torch.stack([x, torch.randn(len(x), generator=seeded(1), dtype=F64)], -1)
    prior = mx.Prior.weak(rows, 2)
    method = mx.EM(prior=prior)
    fit = mx.fit(rows, 2, family=mx.Beside.with_noise(mx.Gaussian), method=method, generator=seeded())
    expected = prior.weights.log_prob(fit.mixture.logits) + prior.components.log_prob(fit.mixture.components.first)
    assert fit.trace[-1].item() * len(x) == pytest.approx(fit.log_likelihood + expected.item(), rel=1e-10)
    assert (fit.trace.diff() > -1e-10).all()


# -- a structure of one's own


class Ours(mx.Diagonal):
    """A structure that the library does not know."""


def test_a_structure_without_a_law_says_so_and_a_law_is_added_in_one_line():
    components = mx.Gaussian(numbers([0.0, 0.0], [1.0, 1.0]), Ours(numbers([1.0, 2.0], [3.0, 4.0])))
    with pytest.raises(mx.errors.NotClosedForm, match="Ours covariances have no conjugate law.*add_law"):
        table.NIW.log_prob(components)
    mx.priors.add_law(Ours, mx.priors.law(mx.Diagonal()))
    plain = components._replace(structure=mx.Diagonal(numbers([1.0, 2.0], [3.0, 4.0])))
    torch.testing.assert_close(table.NIW.log_prob(components), table.NIW.log_prob(plain))


def test_a_ridge_has_no_density_and_may_let_the_objective_fall():
    ridge = mx.priors.Ridge(0.1)
    assert not mx.Prior(components=ridge).monotone and mx.Prior(components=table.NIW_1).monotone
    assert not mx.priors.JointPrior((table.NIW_1, ridge)).monotone
    with pytest.raises(mx.errors.MixtureError, match="conjugate"):
        mx.Prior(components=ridge).sample(table.NORMAL)
