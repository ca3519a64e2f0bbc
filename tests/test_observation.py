"""Gaussian observations: the law of what is recorded, the posterior, and learning through them."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import mixtura as mx
from mixtura.components.observation import Frame
from mixtura.errors import MixtureError
from mixtura.learning import soft
from mixtura.learning.expectation.recorded import recorded
from mixtura.observation import AdditiveNoise, LinearMeasurement, Missing


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def matrices(count, features):
    root = torch.randn(count, features, features)
    return root @ root.mT + 0.3 * torch.eye(features)


def mixture(components=3, features=2, structure=None):
    covariance = matrices(components, features) if structure is None else structure
    return mx.Mixture(torch.rand(components) + 0.1, mx.Gaussian(3 * torch.randn(components, features), covariance))


def numbers():
    return mx.Mixture(
        torch.tensor([0.3, 0.5, 0.2]), mx.Normal(torch.tensor([1.0, 5.0, 10.0]), torch.tensor([0.5, 1.0, 0.75]))
    )


def pair(second, variance):
    """Two components, the first at the origin with correlated coordinates."""
    first = torch.tensor([[1.0, 0.7], [0.7, 1.0]])
    covariance = torch.stack([first, torch.diag(torch.tensor(variance))])
    return mx.Mixture(torch.tensor([0.6, 0.4]), mx.Gaussian(torch.tensor([[0.0, 0.0], second]), covariance))


def resolved(observation, rows, features, dtype=torch.float64):
    return observation.resolve(Frame(torch.Size((features,)), None, rows, dtype, torch.device("cpu")))


# -- the law of what is recorded


def test_additive_noise_adds_means_and_variances_per_component():
    noisy = numbers().observed(AdditiveNoise(torch.tensor([0.05, -0.1, 0.0]), torch.tensor([0.1, 0.2, 0.1])))
    assert torch.allclose(noisy.components.loc, torch.tensor([1.05, 4.9, 10.0]))
    assert torch.allclose(noisy.components.variance, torch.tensor([0.26, 1.04, 0.5725]))


def test_the_density_of_numbers_with_noise_is_the_convolution():
    clean, (loc, scale) = numbers(), (0.4, 0.9)
    noisy = clean.observed(AdditiveNoise(loc, scale))
    for y in (-1.0, 3.3, 12.0):

        def integrand(x, y=y):
            return math.exp(clean.log_prob(torch.tensor(x)).item()) * stats.norm.pdf(y, x + loc, scale)

        expected = integrate.quad(integrand, y - 12, y + 12, points=[y - loc], epsabs=1e-13)[0]
        assert noisy.log_prob(torch.tensor(y)).exp().item() == pytest.approx(expected, rel=1e-9)


def test_a_measurement_is_the_affine_image_convolved():
    clean, matrix = mixture(3, 3), torch.randn(2, 3)
    covariance, offset = matrices(1, 2)[0], torch.randn(2)
    one = clean.observed(LinearMeasurement(matrix, covariance, offset))
    other = clean.affine(matrix, offset).convolve(covariance)
    assert torch.allclose(one.components.mean, other.components.mean)
    assert torch.allclose(one.components.covariance, other.components.covariance)


def test_a_sequence_is_one_observation():
    clean, matrix, covariance = mixture(3, 3), torch.randn(2, 3), matrices(1, 2)[0]
    steps = [
        AdditiveNoise(0.3, 0.5),
        LinearMeasurement(matrix, covariance, 1.0),
        AdditiveNoise(scale=torch.tensor([0.1, 2.0])),
    ]
    once = clean.observed(steps)
    by_hand = clean
    for step in steps:
        by_hand = by_hand.observed(step)
    assert torch.allclose(once.components.mean, by_hand.components.mean)
    assert torch.allclose(once.components.covariance, by_hand.components.covariance)


def test_diagonal_components_stay_diagonal_under_independent_errors():
    clean = mixture(3, 2, mx.Diagonal(torch.rand(3, 2) + 0.1))
    noisy = clean.observed(AdditiveNoise(scale=torch.tensor([0.5, 2.0])))
    assert isinstance(noisy.components.structure, mx.Diagonal)
    assert torch.allclose(noisy.components.variance, clean.components.variance + torch.tensor([0.25, 4.0]))


def test_errors_per_row_make_one_mixture_per_row():
    clean, scale = mixture(), torch.rand(7, 2)
    noisy = clean.observed(AdditiveNoise(scale=scale))
    assert noisy.batch_shape == (7,)
    y = torch.randn(7, 2)
    for n in range(7):
        alone = clean.convolve(torch.diag(scale[n].square())).log_prob(y[n])
        assert torch.allclose(noisy.log_prob(y)[n], alone)


def test_per_row_settles_what_a_leading_dimension_counts():
    clean, scale = mixture(3), torch.rand(3, 2)
    assert clean.observed(AdditiveNoise(scale=scale)).batch_shape == ()
    assert clean.observed(AdditiveNoise(scale=scale, per_row=True)).batch_shape == (3,)


def test_draws_have_the_moments_of_the_law():
    clean = mixture(3, 2)
    steps = (
        AdditiveNoise(torch.randn(3, 2), covariance=matrices(3, 2)),
        LinearMeasurement(torch.randn(2, 2), matrices(1, 2)[0], torch.randn(2)),
    )
    for observation in steps:
        law = clean.observed(observation)
        labels = clean.sample_labels((200_000,))
        y = observation.sample(clean.components.draw(labels), labels=labels)
        error = (law.covariance.diagonal() / len(y)).sqrt()
        assert ((y.mean(0) - law.mean).abs() < 5 * error).all()
        assert torch.allclose(y.mT.cov(), law.covariance, rtol=0.05, atol=0.05)


def test_gaps_have_the_marginal_density():
    clean = mixture(4, 3)
    law = clean.observed(Missing())
    y = clean.sample((50,))
    y[:20, 1] = torch.nan
    y[10:30, 0] = torch.nan
    y[40] = torch.nan
    found = law.log_prob(y)
    for n in range(50):
        seen = [d for d in range(3) if not y[n, d].isnan()]
        expected = clean.marginal(seen).log_prob(y[n, seen]) if seen else torch.tensor(0.0)
        assert torch.allclose(found[n], expected, atol=1e-12)


# -- the clean value given what was recorded


@pytest.mark.parametrize("y", [0.5, -3.0, 7.7, 60.0])
def test_the_posterior_of_a_number_is_that_of_quadrature(y):
    clean = numbers()
    posterior = clean.posterior(AdditiveNoise(0.3, 0.8), torch.tensor(y))
    grid = torch.linspace(min(y, 0) - 15, max(y, 10) + 15, 400_001)
    log_joint = clean.log_prob(grid) - 0.5 * ((y - 0.3 - grid) / 0.8) ** 2
    density = torch.softmax(log_joint, 0)
    mean = (density * grid).sum()
    assert torch.allclose(posterior.mean, mean, rtol=0, atol=1e-8)
    assert torch.allclose(posterior.variance, (density * (grid - mean) ** 2).sum(), rtol=0, atol=1e-8)
    assert torch.allclose(posterior.log_prob(grid).exp() * (grid[1] - grid[0]), density, rtol=0, atol=1e-8)


@pytest.mark.parametrize("structure", [None, mx.Diagonal(torch.tensor([[1.0, 2.0], [0.3, 0.1]]))])
def test_the_posterior_of_a_vector_is_that_of_quadrature(structure):
    clean = mixture(2, 2, structure and structure.to(torch.float64))
    matrix, y = torch.tensor([[1.0, 0.4]]), torch.tensor([1.5])
    posterior = clean.posterior(LinearMeasurement(matrix, torch.tensor([[0.5]])), y)
    axis = torch.linspace(-14, 14, 1001)
    grid = torch.cartesian_prod(axis, axis)
    weight = torch.softmax(clean.log_prob(grid) - (y - grid @ matrix.mT).square().squeeze(-1), 0)
    mean = weight @ grid
    covariance = ((grid - mean) * weight[:, None]).mT @ (grid - mean)
    assert torch.allclose(posterior.mean, mean, atol=1e-8)
    assert torch.allclose(posterior.covariance, covariance, atol=1e-8)


def test_the_posterior_goes_to_conditioning_as_noise_goes_to_zero():
    clean, y = mixture(3, 3), torch.tensor([0.7])
    exact = clean.condition([1], y)
    for variance in (1e-6, 1e-12, 1e-24, 0.0):
        posterior = clean.posterior(LinearMeasurement(torch.eye(3)[1:2], torch.tensor([[variance]])), y)
        assert torch.allclose(posterior.weights, exact.weights, atol=2 * variance + 1e-12)
        assert torch.allclose(posterior.mean[[0, 2]], exact.mean, atol=20 * variance + 1e-10)
        assert torch.allclose(
            posterior.covariance[1, 1], torch.tensor(variance), rtol=1e-3, atol=20 * variance**2 + 1e-28
        )


def test_the_posterior_under_tiny_noise_keeps_its_digits():
    clean = numbers()
    posterior = clean.posterior(AdditiveNoise(scale=1e-12), torch.tensor(4.0))
    assert posterior.variance.item() == pytest.approx(1e-24, rel=1e-9)
    exact = clean.posterior(AdditiveNoise(scale=0.0), torch.tensor(4.0))
    assert (exact.components.variance == 0).all() and (exact.components.mean == 4).all()


def test_outliers_fifty_scales_away_keep_their_weights():
    clean = mx.Mixture(torch.tensor([0.5, 0.5]), mx.Normal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])))
    weights = clean.posterior(AdditiveNoise(scale=0.1), torch.tensor([50.0, 500.0])).weights
    odds = torch.tensor([50.0, 500.0]).sub(0.5).div(1.01)
    assert torch.allclose(weights[:, 1].log() - weights[:, 0].log(), odds, rtol=1e-10)


def test_total_expectation_and_covariance_over_what_is_recorded():
    clean = mixture(3, 2)
    observation = LinearMeasurement(torch.tensor([[1.0, -0.5]]), torch.tensor([[0.7]]))
    y = clean.observed(observation).sample((100_000,))
    posterior = clean.posterior(observation, y)
    scale = (posterior.mean.var(0) / len(y)).sqrt()
    assert ((posterior.mean.mean(0) - clean.mean).abs() < 5 * scale).all()
    total = posterior.covariance.mean(0) + posterior.mean.mT.cov()
    assert torch.allclose(total, clean.covariance, rtol=0.03, atol=0.03)


def test_bayes_rule_holds_pointwise():
    clean, x, y = mixture(3, 2), torch.randn(11, 2), torch.randn(11, 2)
    covariance = matrices(1, 2)[0]
    observation = AdditiveNoise(0.5, covariance=covariance)
    likelihood = mx.Mixture(torch.ones(1), mx.Gaussian(0.5 + torch.zeros(1, 2), covariance[None])).log_prob(y - x)
    left = clean.log_prob(x) + likelihood
    right = clean.observed(observation).log_prob(y) + clean.posterior(observation, y).log_prob(x)
    assert torch.allclose(left, right, atol=1e-10)


def test_a_gap_in_a_posterior_is_a_measurement_of_the_rest():
    clean, y = mixture(3, 3), torch.tensor([[1.0, torch.nan, -0.5], [torch.nan, 2.0, 0.1]])
    noise = torch.tensor([0.5, 0.8, 1.2])
    posterior = clean.posterior([AdditiveNoise(scale=noise), Missing()], y)
    for n, seen in enumerate(([0, 2], [1, 2])):
        alone = clean.posterior(LinearMeasurement(torch.eye(3)[seen], scale=noise[seen]), y[n, seen])
        assert torch.allclose(posterior.mean[n], alone.mean)
        assert torch.allclose(posterior.covariance[n], alone.covariance)


def test_a_row_of_gaps_keeps_the_prior():
    clean = mixture(3, 2)
    posterior = clean.posterior(Missing(), torch.full((2,), torch.nan))
    assert torch.allclose(posterior.weights, clean.weights)
    assert torch.allclose(posterior.covariance, clean.covariance)
    scalar = numbers().posterior([AdditiveNoise(scale=1.0), Missing()], torch.tensor([torch.nan, 5.0]))
    assert torch.allclose(scalar.variance[0], numbers().variance)


# -- learning: one step against the published equations


def published_step(weights, means, covariances, y, noise, matrices_=None):
    """One step of Bovy, Hogg and Roweis (2011), equations 14 to 16, row by row."""
    rows, count, features = len(y), len(weights), means.shape[1]
    r, b, bb = np.zeros((rows, count)), np.zeros((rows, count, features)), np.zeros((rows, count, features, features))
    density = np.zeros((rows, count))
    for i in range(rows):
        seen = ~np.isnan(y[i])
        project = (np.eye(features) if matrices_ is None else matrices_[i])[seen]
        for j in range(count):
            total = project @ covariances[j] @ project.T + noise[i][np.ix_(seen, seen)]
            inverse = np.linalg.inv(total)
            gap = y[i][seen] - project @ means[j]
            log = -0.5 * (gap @ inverse @ gap + np.linalg.slogdet(total)[1] + seen.sum() * np.log(2 * np.pi))
            density[i, j] = weights[j] * np.exp(log)
            b[i, j] = means[j] + covariances[j] @ project.T @ inverse @ gap
            bb[i, j] = covariances[j] - covariances[j] @ project.T @ inverse @ project @ covariances[j]
        r[i] = density[i] / density[i].sum()
    total = r.sum(0)
    new_means = np.einsum("ij,ija->ja", r, b) / total[:, None]
    gap = new_means[None] - b
    new = np.einsum("ij,ijab->jab", r, gap[..., :, None] * gap[..., None, :] + bb) / total[:, None, None]
    return np.log(density.sum(1)).sum(), total / rows, new_means, new


def our_step(clean, observation, y):
    rows = recorded(y, observation=observation)
    statistics = mx.learning.expect(clean.map(lambda t: t.unsqueeze(0)), rows, soft)
    updated = mx.EM().update(statistics, clean.map(lambda t: t.unsqueeze(0))).batch(0)
    return statistics.log_likelihood.item(), updated


@pytest.mark.parametrize("features", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [60, 8000])  # torch alone, and the compiled pass
def test_a_step_is_the_published_one(features, rows):
    clean = mixture(3, features)
    noise = matrices(rows, features)
    y = clean.sample((rows,)) + torch.randn(rows, features)
    y[torch.rand(rows, features) < 0.2] = torch.nan
    few = 60
    heavy = torch.zeros(rows)
    heavy[:few] = 1  # rows of no weight let a large pass be compared with a small reference
    observation = [AdditiveNoise(covariance=noise, per_row=True), Missing()]
    data = mx.data.rows(y, weight=heavy)
    likelihood, updated = our_step(clean, observation, data)
    parts = (clean.weights, clean.components.mean, clean.components.covariance, y[:few], noise[:few])
    expected = published_step(*(t.numpy() for t in parts))
    assert likelihood == pytest.approx(expected[0], rel=1e-11)
    for mine, theirs in zip(
        (updated.weights, updated.components.mean, updated.components.covariance), expected[1:], strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("per_row", [True, False])
def test_a_step_through_projections_is_the_published_one(per_row):
    clean, rows = mixture(3, 3), 50
    matrix = torch.randn(rows, 2, 3) if per_row else torch.randn(2, 3)
    noise = matrices(rows, 2) if per_row else matrices(1, 2)[0]
    y = (matrix @ clean.sample((rows,)).unsqueeze(-1)).squeeze(-1) + torch.randn(rows, 2)
    y[::7, 1] = torch.nan
    likelihood, updated = our_step(clean, [LinearMeasurement(matrix, noise), Missing()], y)
    parts = (
        clean.weights,
        clean.components.mean,
        clean.components.covariance,
        y,
        noise.expand(rows, 2, 2),
        matrix.expand(rows, 2, 3),
    )
    expected = published_step(*(t.numpy() for t in parts))
    assert likelihood == pytest.approx(expected[0], rel=1e-11)
    np.testing.assert_allclose(updated.components.mean.numpy(), expected[2], rtol=1e-8)
    np.testing.assert_allclose(updated.components.covariance.numpy(), expected[3], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical", "tied-full", "tied-diagonal", "tied-spherical"])
def test_without_noise_learning_is_ordinary_em(structure):
    y, method = mx.datasets.old_faithful(), mx.EM(max_iterations=25, tolerance=0, acceleration=False)
    init = y[[0, 1, 100]]
    for nothing in (
        AdditiveNoise(scale=0.0),
        AdditiveNoise(scale=torch.zeros(272, 2)),
        Missing(),
        LinearMeasurement(torch.eye(2)),
    ):
        family = mx.Gaussian.template(structure=mx.components.structure(structure))
        nearest = torch.eye(3)[torch.cdist(y, init).argmin(-1)][:, None]
        start = method.start(family, y, nearest).batch(0)
        seen = mx.fit(y, 3, structure, method, init=start, observation=nothing)
        clean = mx.fit(y, 3, structure, method, init=start)
        assert seen.log_likelihood == pytest.approx(clean.log_likelihood, rel=1e-12)
        assert torch.allclose(seen.mixture.components.mean, clean.mixture.components.mean, rtol=1e-9)
        assert torch.allclose(
            seen.mixture.components.covariance, clean.mixture.components.covariance, rtol=1e-9, atol=1e-9
        )


def test_the_sums_are_the_gradient_of_the_likelihood():
    clean = mixture(2, 2)
    y, noise = torch.randn(30, 2), matrices(30, 2)
    mean = clean.components.mean.clone().requires_grad_()
    covariance = clean.components.covariance.clone().requires_grad_()
    total = covariance + noise.unsqueeze(1)
    law = torch.distributions.MultivariateNormal(mean, total)
    torch.logsumexp(clean.logits + law.log_prob(y.unsqueeze(1)), -1).sum().backward()
    observation = resolved(AdditiveNoise(covariance=noise), 30, 2)
    statistics = observation.expect(clean.components, clean.logits, y, None, soft)
    shift, scatter = statistics.moments
    precision = torch.linalg.inv(clean.components.covariance)
    assert torch.allclose((precision @ shift.unsqueeze(-1)).squeeze(-1), mean.grad, rtol=1e-9)
    second = precision @ (scatter - statistics.weight[:, None, None] * clean.components.covariance) @ precision
    assert torch.allclose(second / 2, covariance.grad, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("structure", ["full", "diagonal", "tied-spherical"])
def test_the_likelihood_never_falls(structure):
    clean = mixture(2, 2)
    y = clean.sample((300,)) + 2 * torch.randn(300, 2)
    y[torch.rand(300, 2) < 0.2] = torch.nan
    for observation in (
        [AdditiveNoise(scale=2.0), Missing()],
        [AdditiveNoise(scale=torch.full((300, 2), 2.0)), Missing()],
    ):
        fit = mx.fit(y, 2, structure, mx.EM(max_iterations=60, tolerance=0), observation=observation, restarts=1)
        assert (fit.trace.diff() > -1e-12).all()
        assert fit.log_likelihood == pytest.approx(fit.trace[-1].item() * 300, rel=1e-9)


def test_a_prior_keeps_the_penalised_likelihood_rising():
    y = mixture(2, 2).sample((100,))
    y[::3, 0] = torch.nan
    prior = mx.Prior(2.0, mx.NormalInverseWishart(torch.zeros(2), 0.1, torch.eye(2), 5.0))
    fit = mx.fit(y, 3, method=mx.EM(max_iterations=50, tolerance=0, prior=prior), observation=Missing(), restarts=1)
    assert (fit.trace.diff() > -1e-12).all()


def test_weighted_rows_are_repeated_rows():
    clean = mixture(2, 2)
    y, scale = clean.sample((80,)), torch.rand(80, 2)
    times = torch.randint(0, 4, (80,))
    again = times.repeat_interleave(times) * 0 + torch.arange(80).repeat_interleave(times)
    one = our_step(clean, AdditiveNoise(scale=scale), mx.data.rows(y, weight=times.double()))
    other = our_step(clean, AdditiveNoise(scale=scale[again]), y[again])
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    assert torch.allclose(one[1].components.covariance, other[1].components.covariance)


def test_blocks_carry_what_is_known_of_their_rows(monkeypatch):
    clean, rows = mixture(2, 2), 3000
    y, scale = clean.sample((rows,)), torch.rand(rows, 2)
    whole = our_step(clean, AdditiveNoise(scale=scale), y)
    monkeypatch.setattr("mixtura.learning.expectation.expect.block_size", lambda _: 700)
    pieces = our_step(clean, AdditiveNoise(scale=scale), y)
    assert whole[0] == pytest.approx(pieces[0], rel=1e-12)
    assert torch.allclose(whole[1].components.covariance, pieces[1].components.covariance)


def test_errors_are_undone_where_ignoring_them_is_biased():
    clean = mx.Mixture(
        torch.tensor([0.6, 0.4]),
        mx.Gaussian(
            torch.tensor([[0.0, 0.0], [4.0, 3.0]]), torch.tensor([[[1.0, 0.8], [0.8, 1.0]], [[0.3, 0.0], [0.0, 2.0]]])
        ),
    )
    scale = 2 * torch.rand(20_000, 2)
    y = clean.sample((20_000,)) + scale * torch.randn(20_000, 2)
    found = mx.fit(y, 2, observation=AdditiveNoise(scale=scale), restarts=4).mixture.order()
    naive = mx.fit(y, 2, restarts=4).mixture.order()
    assert torch.allclose(found.components.covariance, clean.components.covariance, atol=0.15)
    assert torch.allclose(found.components.mean, clean.components.mean, atol=0.08)
    assert (naive.components.variance - clean.components.variance > 0.5).all()


def test_projections_of_different_directions_are_put_together():
    clean = mx.Mixture(
        torch.tensor([0.5, 0.5]),
        mx.Gaussian(
            torch.tensor([[0.0, 0.0], [6.0, 3.0]]), torch.tensor([[[1.0, 0.6], [0.6, 1.0]], [[0.5, 0.0], [0.0, 2.0]]])
        ),
    )
    angle = torch.rand(6000) * math.pi
    matrix = torch.stack([angle.cos(), angle.sin()], -1).unsqueeze(1)
    y = (matrix @ clean.sample((6000,)).unsqueeze(-1)).squeeze(-1) + 0.1 * torch.randn(6000, 1)
    fit = mx.fit(y, 2, observation=LinearMeasurement(matrix, scale=0.1), restarts=4)
    found = fit.mixture.order(fit.mixture.components.mean[:, 0])
    assert found.event_shape == (2,)
    assert torch.allclose(found.components.mean, clean.components.mean, atol=0.3)
    assert torch.allclose(found.components.covariance, clean.components.covariance, atol=0.4)


def test_selection_works_through_an_observation():
    clean = mx.Mixture(
        torch.tensor([0.5, 0.5]), mx.Gaussian(torch.tensor([[0.0, 0.0], [6.0, 6.0]]), torch.eye(2).expand(2, 2, 2))
    )
    y = clean.sample((600,)) + torch.randn(600, 2)
    found = mx.select(y, components=(1, 2, 3), covariance=("spherical", "full"), observation=AdditiveNoise(scale=1.0))
    assert (found.table[0].components, found.table[0].covariance) == (2, "spherical")
    assert found.best.mixture.components.variance.mean().item() == pytest.approx(1.0, abs=0.15)


def test_online_blocks_carry_what_is_known_of_their_rows():
    clean = pair([6.0, 3.0], [0.5, 2.0])
    scale = 1.5 * torch.rand(20_000, 2)
    y = clean.sample((20_000,)) + scale * torch.randn(20_000, 2)
    y[torch.rand(20_000, 2) < 0.1] = torch.nan
    method = mx.OnlineEM(block=500, passes=3)
    found = mx.fit(y, 2, method=method, observation=[AdditiveNoise(scale=scale), Missing()], restarts=4).mixture.order()
    assert torch.allclose(found.components.mean, clean.components.mean, atol=0.15)
    assert torch.allclose(found.components.covariance, clean.components.covariance, atol=0.3)


def test_numbers_are_learned_through_errors_of_their_own():
    scale = torch.rand(5000) * 2
    y = numbers().sample((5000,)) + scale * torch.randn(5000)
    found = mx.fit(y, 3, observation=AdditiveNoise(scale=scale), restarts=6).mixture
    found = found.order(found.components.loc)
    assert torch.allclose(found.components.loc, numbers().components.loc, atol=0.25)
    assert torch.allclose(found.components.scale, numbers().components.scale, atol=0.25)


def test_a_row_of_which_nothing_was_recorded_changes_nothing_but_is_counted():
    y = mixture(2, 2).sample((100,))
    more = torch.cat([y, torch.full((5, 2), torch.nan)])
    clean = mixture(2, 2)
    one, other = our_step(clean, Missing(), y), our_step(clean, Missing(), more)
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    expected = (100 * one[1].weights + 5 * clean.weights) / 105
    assert torch.allclose(other[1].weights, expected)


# -- bad input


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_covariances_are_refused_exactly_where_an_eigenvalue_is_negative_beyond_rounding(dtype, scale):
    turn = torch.linalg.qr(torch.randn(50, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).Q
    for least, fine in ((0.0, True), (1e-3, True), (-1e-3, False)):
        values = torch.tensor([1.0, 0.5, 1e-9, least], dtype=torch.float64)
        whole = (turn * (scale * values)) @ turn.mT
        whole = (0.5 * (whole + whole.mT)).to(dtype)
        mixed = torch.cat((torch.eye(4, dtype=dtype).expand(3, 4, 4) * scale, whole, torch.zeros(1, 4, 4, dtype=dtype)))
        for given in (mixed, mixed[:-1]):
            if fine:
                AdditiveNoise(covariance=given)
            else:
                with pytest.raises(MixtureError, match="positive semi-definite"):
                    AdditiveNoise(covariance=given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdditiveNoise(scale=-1.0), "`scale` must be at least zero; got -1"),
        (lambda: AdditiveNoise(variance=torch.tensor([1.0, torch.nan])), "`variance` must be finite"),
        (lambda: AdditiveNoise(covariance=torch.tensor([[1.0, 2.0], [2.0, 1.0]])), "positive semi-definite"),
        (lambda: AdditiveNoise(covariance=torch.tensor([[1.0, 2.0], [0.0, 1.0]])), "symmetric"),
        (lambda: AdditiveNoise(), "one of the three"),
        (lambda: AdditiveNoise(covariance=torch.ones(5, 2)), "For variances use `variance`"),
        (lambda: mixture().observed(LinearMeasurement(torch.ones(1, 3))), r"`matrix` must be of shape \(..., M, 2\)"),
        (lambda: mixture().observed(AdditiveNoise(scale=torch.ones(3))), "`scale` must be"),
        (lambda: mx.fit(torch.randn(9, 2), 1, observation=AdditiveNoise(scale=torch.ones(8, 2))), "9 rows|8"),
        (lambda: mixture().posterior(AdditiveNoise(scale=1.0), torch.tensor([1.0, torch.nan])), "Missing"),
        (lambda: mx.fit(torch.tensor([[1.0, torch.nan], [2.0, torch.nan]]), 1, observation=Missing()), "column 1"),
        (
            lambda: mx.fit(torch.tensor([[1.0, torch.nan], [2.0, 3.0]]), 1, observation=AdditiveNoise(scale=1.0)),
            "Missing",
        ),
        (lambda: mx.fit(torch.randn(9, 2), 1, method=mx.KMeans(), observation=Missing()), "such as `EM`; got KMeans"),
        (lambda: mx.fit(torch.randn(9, 2), 1, observation="noise"), "`observation` must be"),
        (
            lambda: mixture().observed([Missing(), LinearMeasurement(torch.ones(1, 2))]).log_prob(torch.ones(1)),
            "Missing",
        ),
        (
            lambda: mixture().posterior(LinearMeasurement(torch.ones(2, 2)), torch.ones(2)),
            "must be positive definite",
        ),
    ],
)
def test_bad_input_is_refused_with_advice(make, message):
    with pytest.raises(MixtureError, match=message):
        make()
