"""Densities, moments, draws and quantiles of mixtures against torch, scipy, quadrature and finite differences."""

import numpy as np
import pytest
import scipy.stats
import torch
from tables import FAMILIES, GAUSSIANS, NORMALS, STRUCTURES, tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import mixtura as mx
from mixtura.testing import integrate
from mixtura.testing.contract import assert_close, assert_z

WEIGHTS = {2: tensor(0.3, 0.7), 3: tensor(0.2, 0.5, 0.3)}


def mixture_of(components):
    return mx.Mixture(WEIGHTS[components.batch_shape[-1]], components)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=GAUSSIANS)
def gaussian(request):
    return mixture_of(GAUSSIANS[request.param])


@pytest.fixture(params=NORMALS)
def normal(request):
    return mixture_of(NORMALS[request.param])


@pytest.fixture(params=FAMILIES)
def any_mixture(request):
    return mixture_of(FAMILIES[request.param])


# -- density


def as_torch(mixture):
    dense = MultivariateNormal(mixture.components.mean, mixture.components.covariance)
    return MixtureSameFamily(Categorical(logits=mixture.logits), dense)


def test_log_prob_and_gradients_equal_torch(gaussian):
    x = gaussian.sample((50,), generator())
    assert_close(gaussian.log_prob(x), as_torch(gaussian).log_prob(x), 1e-10)
    raw = gaussian.map(lambda t: t.detach().clone().requires_grad_())
    logits = gaussian.logits.clone().requires_grad_()
    slow = raw.log_prob(x).sum()
    (of_mean,) = torch.autograd.grad(slow, [raw.components.location])
    mean = gaussian.components.mean.clone().requires_grad_()
    torch_mixture = MixtureSameFamily(
        Categorical(logits=logits), MultivariateNormal(mean, gaussian.components.covariance)
    )
    (expected,) = torch.autograd.grad(torch_mixture.log_prob(x).sum(), [mean])
    assert_close(of_mean, expected, 1e-9)


def test_log_prob_equals_scipy(gaussian):
    x = gaussian.sample((20,), generator())
    mean, covariance = gaussian.components.mean.numpy(), gaussian.components.covariance.numpy()
    densities = [scipy.stats.multivariate_normal(m, c).pdf(x.numpy()) for m, c in zip(mean, covariance, strict=True)]
    expected = np.log(gaussian.weights.numpy() @ np.array(densities))
    assert_close(gaussian.log_prob(x), torch.from_numpy(expected), 1e-10)


def test_normal_equals_scipy(normal):
    x = torch.linspace(-6, 9, 31, dtype=torch.float64)
    parts = scipy.stats.norm(normal.components.loc.numpy(), normal.components.scale.numpy())
    weights = normal.weights.numpy()
    assert_close(normal.log_prob(x), torch.from_numpy(np.log(parts.pdf(x.numpy()[:, None]) @ weights)), 1e-12)
    assert_close(normal.cdf(x), torch.from_numpy(parts.cdf(x.numpy()[:, None]) @ weights), 1e-12)


def test_responsibilities_are_bayes_rule(any_mixture):
    x = any_mixture.sample((20,), generator())
    joint = any_mixture.weights * any_mixture.components.log_prob(x).exp()
    assert_close(any_mixture.responsibilities(x), joint / joint.sum(-1, keepdim=True), 1e-10)
    assert bool((any_mixture.assign(x) == joint.argmax(-1)).all())
    assert_close(any_mixture.log_joint(x).exp(), joint, 1e-10)


def test_shapes_broadcast_samples_and_batches():
    mean = torch.randn(4, 1, 2, 3, generator=generator(), dtype=torch.float64)
    batch = mx.Mixture(
        torch.ones(4, 5, 2), mx.Gaussian(mean.expand(4, 5, 2, 3), mx.Spherical(torch.ones(4, 5, 2).double()))
    )
    x = torch.randn(7, 1, 5, 3, generator=generator(), dtype=torch.float64)
    assert batch.log_prob(x).shape == (7, 4, 5)
    assert_close(batch.log_prob(x)[:, 2, 3], batch.batch(2).batch(3).log_prob(x[:, 0, 3]), 1e-12)
    assert batch.sample((6,), generator()).shape == (6, 4, 5, 3)
    assert batch.mean.shape == (4, 5, 3) and batch.covariance.shape == (4, 5, 3, 3)
    assert batch.score(x).shape == (7, 4, 5, 3)


def test_rows_are_taken_in_the_type_of_the_components():
    single = mixture_of(GAUSSIANS["full"]).to(torch.float32)
    x = torch.zeros(4, 3, dtype=torch.float64)
    assert single.log_prob(x).dtype == single.score(x).dtype == torch.float32
    assert_close(single.log_prob(x).double(), mixture_of(GAUSSIANS["full"]).log_prob(x), 1e-5)
    whole = torch.zeros(4, 3, dtype=torch.int64)
    assert_close(single.log_prob(whole), single.log_prob(x), 1e-6)


# -- moments


def test_moments_are_those_of_the_draws(any_mixture):
    x = any_mixture.sample((40_000,), generator())
    gap = x - any_mixture.mean
    assert_z(x, any_mixture.mean, "the mean")
    assert_z(gap.square(), any_mixture.variance, "the variance")
    outer = gap.unsqueeze(-1) * gap.unsqueeze(-2) if any_mixture.event_shape else gap.square()
    assert_z(outer, any_mixture.covariance, "the covariance")


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("draws", [3, 4000])
def test_every_entry_of_a_batch_draws_from_its_own(name, draws):
    """Few draws of each component and many take different ways."""
    one = GAUSSIANS[name]
    wide = one._replace(location=one.location + 5, structure=one.structure.map(lambda factor: 3 * factor))
    batch = one.map(lambda t: t.unsqueeze(0).expand(400 // draws + 2, *t.shape).clone())
    batch = batch.where(torch.arange(400 // draws + 2) > 0, wide.map(lambda t: t.unsqueeze(0)))
    x = batch.draw(torch.zeros(draws, 400 // draws + 2, dtype=torch.long), generator())
    assert_z(x[:, 1:].reshape(-1, 3), one.mean[0], "the other entries' mean")
    gap = x[:, 1:].reshape(-1, 3) - one.mean[0]
    assert_z(gap.square(), one.variance[0], "the other entries' variance")
    if draws > 3:
        assert_z((x[:, 0] - wide.mean[0]).square(), wide.variance[0], "the first entry's variance")


def test_labels_come_by_weight():
    mixture = mx.Mixture(tensor(0.1, 0.0, 0.6, 0.3), mx.Normal(torch.zeros(4).double(), tensor(1.0, 2.0, 3.0, 4.0)))
    counts = torch.bincount(mixture.sample_labels((50_000,), generator()), minlength=4)
    assert counts[1] == 0
    kept = counts[[0, 2, 3]].numpy()
    assert scipy.stats.chisquare(kept, np.array([0.1, 0.6, 0.3]) * kept.sum()).pvalue > 1e-6


def test_draws_follow_the_distribution(normal):
    u = normal.cdf(normal.sample((20_000,), generator()))
    assert scipy.stats.kstest(u.numpy(), "uniform").pvalue > 1e-6


# -- quantiles


def test_quantiles_invert_the_cumulative_probability(normal):
    q = torch.linspace(0.001, 0.999, 201, dtype=torch.float64)
    assert_close(normal.cdf(normal.icdf(q)), q, 1e-13)
    x = torch.linspace(-3, 6, 50, dtype=torch.float64)
    assert_close(normal.icdf(normal.cdf(x)), x, 1e-10)


def test_quantiles_of_the_tails_keep_their_digits():
    one = mx.Mixture(torch.ones(1), mx.Normal(tensor(2.0), tensor(3.0)))
    q = tensor(1e-300, 1e-100, 1e-20, 1e-5)
    assert_close(one.icdf(q), torch.from_numpy(scipy.stats.norm(2, 3).ppf(q.numpy())), 1e-12)


def test_quantiles_at_the_ends():
    normal = mixture_of(NORMALS["normal"])
    assert normal.icdf(tensor(0.0, 1.0)).tolist() == [-torch.inf, torch.inf]
    gamma = mixture_of(FAMILIES["torch-gamma"])
    assert gamma.icdf(tensor(0.0, 1.0)).tolist() == [0.0, torch.inf]


def test_quantiles_of_other_families():
    gamma = mixture_of(FAMILIES["torch-gamma"])
    q = torch.linspace(0.01, 0.99, 33, dtype=torch.float64)
    assert_close(gamma.cdf(gamma.icdf(q)), q, 1e-12)
    cauchy = mx.Mixture(torch.ones(1), torch.distributions.Cauchy(tensor(2.0), tensor(0.5)))
    assert_close(cauchy.icdf(q), torch.from_numpy(scipy.stats.cauchy(2, 0.5).ppf(q.numpy())), 1e-9)


def test_quantile_gradients_are_those_of_the_implicit_function(normal):
    q = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    values = [t.detach().clone() for t in (normal.logits, *normal.components.tensors())]

    def quantiles(q, *moved):
        logits, *rest = moved
        replaced = iter(rest)
        return mx.Mixture(logits=logits, components=normal.components.map(lambda _: next(replaced))).icdf(q)

    inputs = [t.requires_grad_() for t in (q, *values)]
    assert torch.autograd.gradcheck(quantiles, inputs, eps=1e-6, atol=1e-6)


def test_quantile_gradients_stay_finite_at_the_ends():
    loc = tensor(0.0, 1.0).requires_grad_()
    mx.Mixture(torch.ones(2), mx.Normal(loc, torch.ones(2).double())).icdf(tensor(0.0, 0.5, 1.0))[1].backward()
    assert_close(loc.grad.sum(), tensor(1.0).squeeze(), 1e-9, "a shift of all means shifts the median")


def test_quantiles_of_vectors_and_bad_probabilities_are_refused():
    with pytest.raises(NotImplementedError, match="Quantiles exist for numbers"):
        mixture_of(GAUSSIANS["full"]).icdf(tensor(0.5))
    with pytest.raises(ValueError, match="`value` must be probabilities between 0 and 1"):
        mixture_of(NORMALS["normal"]).icdf(tensor(1.5))


# -- score


@pytest.mark.parametrize("name", [*GAUSSIANS, *NORMALS])
def test_score_equals_autograd_and_can_be_differentiated(name):
    mixture = mixture_of({**GAUSSIANS, **NORMALS}[name])
    x = mixture.sample((6,), generator()).requires_grad_()
    (expected,) = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    assert_close(mixture.score(x).detach(), expected, 1e-10)
    assert torch.autograd.gradcheck(mixture.score, [x], atol=1e-7)


def test_score_of_other_families_has_gradients_in_the_parameters():
    rate = tensor(0.5, 2.0).requires_grad_()
    mixture = mx.Mixture(tensor(0.3, 0.7), torch.distributions.Gamma(tensor(2.0, 3.0), rate))
    x = tensor(0.7, 1.9)

    def score(rate):
        return mx.Mixture(tensor(0.3, 0.7), torch.distributions.Gamma(tensor(2.0, 3.0), rate)).score(x)

    assert torch.autograd.gradcheck(score, [rate], atol=1e-7)
    assert not mixture.score(x).isnan().any()


# -- entropy


def test_entropy_bounds_hold_and_one_component_is_exact(gaussian):
    found = gaussian.entropy_estimate(20_000, generator())
    assert found.lower - 5 * found.standard_error <= found.value <= found.upper + 5 * found.standard_error
    assert found.lower <= found.upper
    alone = mx.Mixture(torch.ones(1), gaussian.components.take([0])).entropy_estimate(10, generator())
    exact = MultivariateNormal(gaussian.components.mean[0], gaussian.components.covariance[0]).entropy()
    assert_close(alone.lower, exact, 1e-10)
    assert_close(alone.upper, exact, 1e-10)


def test_entropy_needs_two_draws(normal):
    with pytest.raises(ValueError, match="`samples` must be at least 2"):
        normal.entropy(1)


def test_entropy_of_numbers_equals_quadrature(normal):
    exact = integrate(
        lambda x: -normal.log_prob(x) * normal.log_prob(x).exp(), normal.support, normal.mean, normal.variance.sqrt()
    )
    found = normal.entropy_estimate(40_000, generator())
    assert abs(found.value - exact) < 5 * found.standard_error
    assert found.lower <= exact <= found.upper


def test_entropy_of_far_components_meets_its_bounds():
    far = mx.Mixture(tensor(0.25, 0.75), mx.Normal(tensor(-1e4, 1e4), tensor(0.5, 2.0)))
    found = far.entropy_estimate(100, generator())
    exact = (far.weights * (mx.components.gaussian_pairs.entropy(far.components.gaussian) - far.logits)).sum()
    assert_close(found.lower, exact, 1e-10)
    assert_close(found.upper, exact, 1e-10)


# -- tails and zero weights


def test_float32_far_tails_have_finite_densities_and_gradients():
    components = mx.Gaussian(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), mx.Full(torch.eye(2).expand(2, 2, 2)))
    logits = torch.zeros(2, requires_grad=True)
    x = torch.tensor([[1e3, -1e3]])
    mixture = mx.Mixture(logits=logits, components=components)
    exact = -1e6 - np.log(2 * np.pi) - np.log(2)  # the component at the origin is nearer by 25 nats
    value = mixture.log_prob(x)
    assert abs(value.item() / exact - 1) < 1e-5
    value.sum().backward()
    assert logits.grad.isfinite().all()
    assert_close(mixture.score(x).detach(), torch.tensor([[-1e3, 1e3]]), 1e-6)


@pytest.mark.parametrize("name", [*STRUCTURES, *NORMALS])
def test_zero_weights_are_inert_and_have_finite_gradients(name):
    components = {**GAUSSIANS, **NORMALS}[name]
    weights = WEIGHTS[components.batch_shape[-1]].clone()
    weights[0] = 0
    weights.requires_grad_()
    components = components.map(lambda t: t.detach().clone().requires_grad_())
    mixture = mx.Mixture(weights, components)
    others = mx.Mixture(weights.detach()[1:], components.detach().take(slice(1, None)))
    x = others.sample((9,), generator())
    assert_close(mixture.log_prob(x).detach(), others.log_prob(x), 1e-12)
    assert bool((mixture.responsibilities(x)[:, 0] == 0).all())
    outputs = [mixture.log_prob(x), mixture.mean, mixture.covariance, mixture.rsample((3,), generator())]
    total = sum(output.sum() for output in outputs) + mixture.score(x).sum()
    grads = torch.autograd.grad(total, [weights, *components.tensors()])
    assert all(bool(g.isfinite().all()) for g in grads)


def test_two_backward_passes_through_one_mixture():
    loc = tensor(0.0, 1.0).requires_grad_()
    mixture = mx.Mixture(tensor(0.4, 0.6), mx.Normal(loc, tensor(1.0, 2.0)))
    first = torch.autograd.grad(mixture.log_prob(tensor(0.3)).sum(), loc)[0]
    second = torch.autograd.grad(mixture.log_prob(tensor(0.3)).sum(), loc)[0]
    assert bool((first == second).all())
    torch.autograd.grad(mixture.rsample((2,)).sum(), loc)
    torch.autograd.grad(mixture.mean.sum(), loc)


# -- published


def test_published_moments():
    components = mx.Gaussian(tensor([-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]), mx.Spherical(tensor(0.3, 0.6, 0.7).square()))
    mixture = mx.Mixture(tensor(0.2, 0.4, 0.4), components)
    assert_close(mixture.mean, tensor(0.6, 0.2), 1e-12)
    assert_close(mixture.covariance, tensor([0.998, -0.32], [-0.32, 1.318]), 1e-12)


@pytest.mark.parametrize(
    ("covariance", "count"),
    [("spherical", 13), ("diagonal", 21), ("tied-full", 26), ("full", 41)],
)
def test_published_parameter_counts(covariance, count):
    x = torch.randn(40, 5, generator=generator(), dtype=torch.float64)
    fit = mx.fit(x, 2, covariance, mx.EM(max_iterations=1), generator=generator())
    assert fit.parameters == fit.mixture.parameters == count
