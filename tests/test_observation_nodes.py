"""Errors of the scale, shifts and noise of any distribution: densities against quadrature, moments, learning."""

import math

import pytest
import torch
from scipy import integrate, stats

import mixtura as mx
from mixtura.errors import MixtureError, NotClosedForm
from mixtura.observation import AdditiveNoise, Noise, ScaleNoise, ShiftNoise


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers():
    components = mx.Normal(torch.tensor([1.0, 5.0, 10.0]), torch.tensor([0.5, 1.0, 0.75]))
    return mx.Mixture(torch.tensor([0.3, 0.5, 0.2]), components)


SEEDS = {
    "scale": ScaleNoise(torch.tensor([0.1, 0.2, 0.15], dtype=torch.float64)),
    "additive": AdditiveNoise(
        torch.tensor([0.05, -0.1, 0.0], dtype=torch.float64), torch.tensor([0.1, 0.2, 0.1], dtype=torch.float64)
    ),
    "shift": ShiftNoise(-2, 3),
}


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.slow
def test_draws_follow_the_exact_density_and_moments(name):
    law = numbers().observed(SEEDS[name])
    y = law.sample((1_000_000,))
    assert ((y.mean() - law.mean).abs() < 5 * (law.variance / len(y)).sqrt()).all()
    fourth = (y - law.mean).pow(4).mean()
    assert ((y.var() - law.variance).abs() < 5 * ((fourth - law.variance**2) / len(y)).sqrt()).all()
    grid = torch.linspace(-7, 18, 50_001)
    density = law.log_prob(grid).exp()
    step = (grid[1] - grid[0]).item()
    cumulative = torch.cat([torch.zeros(1), ((density[1:] + density[:-1]) / 2 * step).cumsum(0)])
    assert cumulative[-1].item() == pytest.approx(1, abs=1e-6)
    position = ((y.sort().values - grid[0]) / step).clamp(0, len(grid) - 2)
    low = position.long()
    expected = cumulative[low] + (position - low) * (cumulative[low + 1] - cumulative[low])
    rank = torch.arange(len(y)) / len(y)
    assert (expected - rank).abs().max().item() < 1.95 / math.sqrt(len(y))  # Kolmogorov-Smirnov at one in a thousand


def scale_density(y, loc, scale, v):
    def integrand(t):
        return 2 * stats.norm.pdf(t) * stats.norm.pdf(y, loc, scale + v * t)

    near = [abs(y - loc) / v, scale / v, 10 * scale / v]
    points = sorted({p for p in near if 0 < p < 38})
    return sum(
        integrate.quad(integrand, a, b, epsabs=0, epsrel=1e-13, limit=500)[0]
        for a, b in zip([0, *points], [*points, 38], strict=True)
    )


@pytest.mark.parametrize("v", [1e-3, 0.2, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("y", [0.0, 0.3, 2.0, 15.0])
def test_the_density_under_an_uncertain_scale_is_the_integral(v, y):
    clean = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([0.1]), torch.tensor([1.0])))
    found = clean.observed(ScaleNoise(v)).log_prob(torch.tensor(y)).item()
    assert found == pytest.approx(math.log(scale_density(y, 0.1, 1.0, v)), abs=2e-10)


def test_an_uncertain_scale_explains_far_outliers():
    clean = mx.Mixture(torch.ones(1), mx.Normal(torch.tensor([0.0]), torch.tensor([1.0])))
    found = clean.observed(ScaleNoise(0.1)).log_prob(torch.tensor(50.0)).item()
    log_terms = [
        -(t**2) / 2 - (50 / (1 + 0.1 * t)) ** 2 / 2 - math.log(1 + 0.1 * t) for t in torch.arange(0, 36, 1e-3).tolist()
    ]
    expected = torch.logsumexp(torch.tensor(log_terms), 0).item() + math.log(1e-3 * 2) - math.log(2 * math.pi)
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_uncertain_scale_of_zero_changes_nothing():
    y = torch.linspace(-2, 12, 50)
    assert torch.allclose(numbers().observed(ScaleNoise(0.0)).log_prob(y), numbers().log_prob(y), atol=1e-12)


def test_shifts_are_a_mixture_of_all_pairs():
    observation = ShiftNoise(shifts=torch.tensor([-1.5, 0.0, 4.0]), probabilities=torch.tensor([0.2, 0.5, 0.3]))
    law, expanded = numbers().observed(observation), observation.expand(numbers())
    y = torch.linspace(-5, 20, 101)
    assert torch.allclose(law.log_prob(y), expanded.log_prob(y))
    assert torch.allclose(law.mean, expanded.mean)
    assert torch.allclose(law.variance, expanded.variance)
    assert expanded.logits.shape == (9,)


def test_shifts_of_vectors_and_of_other_families():
    gaussians = mx.Mixture(torch.ones(2), mx.Gaussian(torch.randn(2, 2), torch.eye(2).expand(2, 2, 2)))
    observation = ShiftNoise(shifts=torch.tensor([[0.0, 1.0], [2.0, -1.0]]))
    y = torch.randn(20, 2)
    assert torch.allclose(gaussians.observed(observation).log_prob(y), observation.expand(gaussians).log_prob(y))
    gammas = mx.Mixture(
        torch.ones(2), torch.distributions.Gamma(torch.tensor([2.0, 5.0]), torch.ones(2), validate_args=False)
    )
    found = gammas.observed(ShiftNoise(0, 2)).log_prob(torch.tensor(3.0)).exp()
    expected = (gammas.log_prob(torch.tensor(3.0)).exp() + gammas.log_prob(torch.tensor(2.0)).exp()) / 2
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("name", ["scale", "shift"])
def test_the_posterior_obeys_total_expectation_and_variance(name):
    y = numbers().observed(SEEDS[name]).sample((6000,))
    posterior = numbers().posterior(SEEDS[name], y)
    error = (posterior.mean.var() / len(y)).sqrt()
    assert (posterior.mean.mean() - numbers().mean).abs() < 5 * error
    total = posterior.variance.mean() + posterior.mean.var()
    assert torch.allclose(total, numbers().variance, rtol=0.06)


def test_the_posterior_under_shifts_is_on_the_points_it_can_be_on():
    posterior = numbers().posterior(ShiftNoise(-2, 3), torch.tensor(3.0))
    draws = posterior.sample((1000,))
    assert set(draws.tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    weights = torch.stack([posterior.weights[posterior.components.mean == x].sum() for x in (1.0, 5.0)])
    prior = numbers().log_prob(torch.tensor([1.0, 5.0])).exp()
    assert torch.allclose(weights[0] / weights[1], prior[0] / prior[1])


NOISES = {
    "laplace": (torch.distributions.Laplace, (0.3, 0.8), stats.laplace(0.3, 0.8)),
    "uniform": (torch.distributions.Uniform, (-1.0, 2.0), stats.uniform(-1, 3)),
    "narrow": (torch.distributions.Uniform, (0.0, 1e-3), stats.uniform(0, 1e-3)),
    "exponential": (torch.distributions.Exponential, (2.0,), stats.expon(scale=0.5)),
    "student": (torch.distributions.StudentT, (3.0, 0.0, 0.7), stats.t(3, 0, 0.7)),
    "cauchy": (torch.distributions.Cauchy, (0.0, 0.5), stats.cauchy(0, 0.5)),
    "gamma": (torch.distributions.Gamma, (0.7, 1.0), stats.gamma(0.7)),
}


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("y", [-2.0, 0.7, 6.0])
def test_noise_of_any_distribution_has_the_convolved_density(name, y):
    family, parameters, oracle = NOISES[name]
    observation = Noise(family(*(torch.tensor(value) for value in parameters)))
    law = numbers().observed(observation)
    expected = 0.0
    for w, m, s in zip((0.3, 0.5, 0.2), (1.0, 5.0, 10.0), (0.5, 1.0, 0.75), strict=True):
        low, high = max(oracle.support()[0], y - m - 40 * s), min(oracle.support()[1], y - m + 40 * s)
        if low < high:
            inside = [p for p in (oracle.median(), y - m, low + 1e-6, low + 1e-2) if low < p < high]

            def integrand(e, m=m, s=s):
                return oracle.pdf(e) * stats.norm.pdf(y - e, m, s)

            ends = sorted({low, *inside, high})
            pieces = zip(ends[:-1], ends[1:], strict=True)
            expected += w * sum(
                integrate.quad(integrand, a, b, epsabs=1e-16, epsrel=1e-12, limit=200)[0] for a, b in pieces
            )
    found = law.log_prob(torch.tensor(y)).exp().item()
    tolerance = 1e-6 if name == "gamma" else 1e-9
    assert found == pytest.approx(expected, rel=tolerance, abs=1e-15)
    assert observation.relative_error(numbers(), torch.tensor(y)).item() < 1e-3


def test_gaussian_and_discrete_noise_are_exact():
    y = torch.linspace(-3, 14, 40)
    gaussian = Noise(torch.distributions.Normal(torch.tensor(0.2), torch.tensor(0.5)))
    assert torch.allclose(
        numbers().observed(gaussian).log_prob(y), numbers().observed(AdditiveNoise(0.2, 0.5)).log_prob(y)
    )
    binomial = Noise(torch.distributions.Binomial(3, torch.tensor(0.3)))
    expected = numbers().observed(ShiftNoise(shifts=torch.arange(4.0), probabilities=stats.binom(3, 0.3).pmf(range(4))))
    assert torch.allclose(numbers().observed(binomial).log_prob(y), expected.log_prob(y))
    poisson = numbers().observed(Noise(torch.distributions.Poisson(torch.tensor(1.3))))
    expected = numbers().observed(
        ShiftNoise(shifts=torch.arange(30.0), probabilities=stats.poisson(1.3).pmf(range(30)))
    )
    assert torch.allclose(poisson.log_prob(y), expected.log_prob(y))


def test_noise_without_a_density_still_draws_and_says_so():
    clean = mx.Mixture(torch.ones(1), mx.Gaussian(torch.zeros(1, 2), torch.eye(2)[None]))
    noise = Noise(torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1))
    y = clean.observed(noise).sample((100_000,))
    assert torch.allclose(y.var(0), torch.tensor([3.0, 3.0]), rtol=0.05)
    with pytest.raises(NotClosedForm, match="no density"):
        clean.observed(noise).log_prob(y[:3])


def observations_to_undo():
    return {
        "scale": ScaleNoise(0.6),
        "shift": ShiftNoise(-2, 3),
        "laplace": Noise(torch.distributions.Laplace(torch.tensor(0.5), torch.tensor(0.5))),
        "chain": [AdditiveNoise(scale=0.5), ShiftNoise(shifts=torch.tensor([-1.0, 2.0]))],
    }


@pytest.mark.parametrize("name", ["scale", "shift", "laplace", "chain"])
@pytest.mark.slow
def test_learning_never_lowers_the_likelihood_and_undoes_the_errors(name):
    observation = observations_to_undo()[name]
    clean = mx.Mixture(torch.tensor([0.4, 0.6]), mx.Normal(torch.tensor([0.0, 8.0]), torch.tensor([0.7, 1.2])))
    y = clean.observed(observation).sample((500 if name == "laplace" else 1500,))
    fit = mx.fit(y, 2, method=mx.EM(max_iterations=20, tolerance=0), observation=observation, restarts=1)
    assert (fit.trace.diff() > -1e-10).all()
    law = fit.mixture.observed(observation)
    assert fit.log_likelihood == pytest.approx(law.log_prob(y).sum().item(), rel=1e-9)
    found = fit.mixture.order(fit.mixture.components.loc)
    assert torch.allclose(found.components.loc, clean.components.loc, atol=0.25)
    assert torch.allclose(found.components.scale, clean.components.scale, atol=0.3)


@pytest.mark.parametrize("name", ["scale", "shift", "laplace", "chain"])
def test_a_fit_ends_where_the_gradient_is_zero(name):
    observation = observations_to_undo()[name]
    clean = mx.Mixture(torch.tensor([0.4, 0.6]), mx.Normal(torch.tensor([0.0, 8.0]), torch.tensor([0.7, 1.2])))
    y = clean.observed(observation).sample((100,))
    fit = mx.fit(y, 2, method=mx.EM(max_iterations=500, tolerance=1e-11), observation=observation, init=clean)
    loc = fit.mixture.components.loc.clone().requires_grad_()
    scale = fit.mixture.components.scale.clone().requires_grad_()
    logits = fit.mixture.logits.clone().requires_grad_()
    best = mx.Mixture(components=mx.Normal(loc, scale), logits=logits)
    best.observed(observation).log_prob(y).mean().backward()
    for gradient in (loc.grad, scale.grad, logits.grad):
        assert gradient.abs().max() < 1e-3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ShiftNoise(3, -2), MixtureError, "exclusive"),
        (lambda: ShiftNoise(0, 1.5), MixtureError, "whole"),
        (lambda: ShiftNoise(0), MixtureError, "together with `high`"),
        (lambda: ShiftNoise(0, 2, probabilities=[0.5, 0.2, 0.3]), MixtureError, "one per shift"),
        (lambda: ShiftNoise(0, 2, probabilities=[-0.5, 1.5]), MixtureError, "at least zero"),
        (lambda: ScaleNoise(-0.5), MixtureError, "at least zero"),
        (lambda: Noise("laplace"), MixtureError, "torch distribution"),
        (lambda: numbers().observed(Noise(torch.distributions.Laplace(torch.zeros(2), 1.0))), MixtureError, r"\(3,\)"),
        (
            lambda: numbers().posterior(ShiftNoise(0, 1000), torch.zeros(1_000_000)),
            MixtureError,
            r"3 x 1000 components each; got 1000000 rows, which would take .* GiB",
        ),
    ],
)
def test_bad_input_is_refused_with_advice(make, error, message):
    with pytest.raises(error, match=message):
        make()
