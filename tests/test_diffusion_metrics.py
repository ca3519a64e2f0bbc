"""Metrics against the exact law: closed forms, p-values of exact samples, and defects found."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.diffusion import metrics, problems
from mixtura.errors import MixtureError, NotClosedForm

D = torch.float64
ALL = [
    metrics.SlicedWasserstein(1, 20),
    metrics.SlicedWasserstein(2, 20),
    metrics.SlicedWasserstein(1, 20, largest=True),
    metrics.EnergyDistance(20),
    metrics.MMD(),
    metrics.KernelStein(),
    metrics.ModeWeights(),
    metrics.ModeMeans(),
    metrics.ModeSpreads(),
    metrics.ModeCovariances(),
    metrics.LogDensity(),
]
names = {"ids": lambda metric: metric.name}


@pytest.fixture(scope="module")
def mixture():
    """Three components with full covariances, two of which overlap, in three dimensions."""
    draw = torch.Generator().manual_seed(5)
    root = torch.randn(3, 3, 3, generator=draw, dtype=D)
    means = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [6.0, -4.0, 3.0]], dtype=D)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=D)
    return mx.Mixture(weights, mx.Gaussian(means, root @ root.mT + 0.3 * torch.eye(3, dtype=D)))


@pytest.fixture(scope="module")
def line():
    """Two components on a line."""
    means, variances = torch.tensor([[-1.0], [2.0]], dtype=D), torch.tensor([0.25, 1.5], dtype=D)
    return mx.Mixture(torch.tensor([0.7, 0.3], dtype=D), mx.Gaussian(means, mx.Spherical(variances)))


def draws(law, count, seed):
    return law.sample((count,), torch.Generator().manual_seed(seed))


# -- closed forms


@pytest.mark.parametrize("order", [1, 2])
def test_wasserstein_on_a_line_is_the_integral_over_quantiles(line, order):
    x = draws(line, 7, 0)
    u = (torch.arange(70_000, dtype=D) + 0.5) / 70_000
    gap = (x.sort(0).values.repeat_interleave(10_000, 0) - line.icdf(u.unsqueeze(-1)).reshape(-1, 1)).abs()
    value = metrics.SlicedWasserstein(order).against(line, 7)(x)
    torch.testing.assert_close(value, gap.pow(order).mean() ** (1 / order), rtol=2e-4, atol=0)


def test_slices_are_those_of_scipy_with_many_exact_samples(mixture):
    stats = pytest.importorskip("scipy.stats")
    x, many = draws(mixture, 40, 0) + 1, draws(mixture, 200_000, 1)
    for seed in range(3):
        along = torch.randn(1, 3, generator=torch.Generator().manual_seed(seed), dtype=D)
        along = (along / along.norm()).mT
        wanted = stats.wasserstein_distance((x @ along).flatten().numpy(), (many @ along).flatten().numpy())
        value = metrics.SlicedWasserstein(1, slices=1, seed=seed).against(mixture, 40)(x)
        assert abs(value - wanted) < 0.03, (seed, value, wanted)


def test_largest_slice_is_above_the_mean_and_directions_are_seeded(mixture):
    x = draws(mixture, 50, 0)
    for order in (1, 2):
        mean, again, other, most = (
            metrics.SlicedWasserstein(order, 30, largest, seed).against(mixture, 50)(x)
            for largest, seed in ((False, 0), (False, 0), (False, 1), (True, 0))
        )
        assert mean == again != other and most > mean


def test_energy_distance_on_a_line_is_twice_the_square_of_the_gap(line):
    x = draws(line, 6, 0)
    at = torch.linspace(-15, 15, 300_001, dtype=D)
    share = (at.unsqueeze(-1) >= x.flatten()).double().mean(-1)
    wanted = 2 * torch.trapezoid((share - line.cdf(at.unsqueeze(-1)).flatten()).square(), at)
    torch.testing.assert_close(metrics.EnergyDistance().against(line, 6)(x), wanted, rtol=1e-4, atol=0)


def test_energy_distance_along_slices_is_that_of_norms(mixture):
    """2 E|x - X| - E|X - X'| - E|x - x'| by a million pairs of draws, in three dimensions."""
    x, one, other = draws(mixture, 5, 0) + 2, draws(mixture, 400_000, 1), draws(mixture, 400_000, 2)
    cross = torch.stack([(one - row).norm(dim=-1).mean() for row in x]).mean()
    wanted = 2 * cross - (one - other).norm(dim=-1).mean() - torch.cdist(x, x).mean()
    value = metrics.EnergyDistance(slices=4000).against(mixture, 5)(x)
    assert abs(value / wanted - 1) < 0.02, (value, wanted)


def test_mmd_is_that_of_many_exact_samples(mixture):
    x, one, other = draws(mixture, 5, 0) + 1, draws(mixture, 200_000, 1), draws(mixture, 200_000, 2)

    def kernel(square):
        return torch.exp(-0.5 * square / 1.5**2)

    cross = torch.stack([kernel((one - row).square().sum(-1)).mean() for row in x]).mean()
    wanted = kernel(torch.cdist(x, x).square()).mean() - 2 * cross + kernel((one - other).square().sum(-1)).mean()
    assert abs(metrics.MMD(1.5).against(mixture, 5)(x) - wanted) < 4 / 200_000**0.5


def test_stein_kernel_is_the_derivatives_of_the_kernel(mixture):
    x, scale = draws(mixture, 4, 0), 1.3

    def kernel(a, b):
        return (scale**2 + (a - b).square().sum()) ** -0.5

    first, second = torch.func.grad(kernel, 0), torch.func.grad(kernel, 1)
    mixed = torch.func.jacrev(torch.func.grad(kernel, 0), 1)
    score = mixture.score(x)
    terms = [
        s @ t * kernel(a, b) + s @ second(a, b) + t @ first(a, b) + mixed(a, b).trace()
        for a, s in zip(x, score, strict=True)
        for b, t in zip(x, score, strict=True)
    ]
    torch.testing.assert_close(metrics.KernelStein(scale).against(mixture, 4)(x), torch.stack(terms).mean())


def test_modes_by_their_definitions(mixture):
    """Means, variances and covariances of soft members, one mode at a time."""
    x = 0.5 * draws(mixture, 300, 0) + 0.3
    r, w = mixture.responsibilities(x), mixture.weights
    share, off, spread, matrix = r.mean(0), [], [], []
    for k in range(3):
        weight, mean = r[:, k] / r[:, k].sum(), mixture.components.mean[k]
        centre = weight @ x
        inverse = torch.linalg.inv(torch.linalg.cholesky(mixture.components.covariance[k]))
        whitened = inverse @ torch.cov(x.mT, correction=0, aweights=weight) @ inverse.mT
        off.append((inverse @ (centre - mean)).square().mean())
        spread.append((whitened.trace() / 3 - 1).abs())
        matrix.append((whitened - torch.eye(3, dtype=D)).square().sum() / 3)
    wanted = (
        (metrics.ModeWeights(), 0.5 * (share - w).abs().sum()),
        (metrics.ModeMeans(), (share @ torch.stack(off)).sqrt()),
        (metrics.ModeSpreads(), share @ torch.stack(spread)),
        (metrics.ModeCovariances(), (share @ torch.stack(matrix)).sqrt()),
    )
    for metric, value in wanted:
        torch.testing.assert_close(metric.against(mixture, 300)(x), value, msg=metric.name)


def test_samples_in_a_mode_that_has_no_weight_are_seen():
    """A posterior may give a mode a weight of 1e-300: a sampler that sits there is wrong all the same."""
    components = mx.Gaussian(torch.tensor([[0.0], [60.0]], dtype=D), mx.Spherical(torch.ones(2, dtype=D)))
    only = mx.Mixture(torch.tensor([1.0, 1e-300], dtype=D), components)
    assert metrics.ModeWeights().against(only, 10)(torch.full((10, 1), 59.0, dtype=D)) > 0.99


@pytest.mark.parametrize("metric", ALL, **names)
def test_gradients_are_those_of_differences(mixture, metric):
    measure = metric.against(mixture, 12)
    x = (1.2 * draws(mixture, 12, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(measure(x), x)
    step = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=D)
    with torch.no_grad():
        slope = (measure(x + 1e-6 * step) - measure(x - 1e-6 * step)) / 2e-6
    torch.testing.assert_close((gradient * step).sum(), slope, rtol=2e-4, atol=1e-7)


# -- floors and p-values


@pytest.mark.parametrize("metric", ALL, **names)
@pytest.mark.slow
def test_p_values_of_exact_samples_are_uniform(mixture, metric):
    """Against one set of 39 floors the p-values of 200 exact samples: none of them is special."""
    draw = torch.Generator().manual_seed(1)
    found = []
    for _ in range(40):
        yardstick = metrics.Yardstick(metric, mixture, mixture.sample((19, 20), draw))
        found += [yardstick(mixture.sample((20,), draw)).p_value for _ in range(2)]
    p = torch.tensor(found, dtype=D)
    for level in (0.1, 0.25, 0.5, 0.75):
        below = (p <= level).double().mean()
        assert abs(below - level) < 4 * math.sqrt(level * (1 - level) / 60) + 0.06, (level, below)


@pytest.mark.parametrize("metric", ALL, **names)
def test_a_tenfold_error_of_the_noise_is_found(metric):
    """The reference of a peer's test has errors ten times too small; its own metric does not see it."""
    right = problems.cardoso2023(d=8, d_y=4, seed=2)
    wrong = mx.observation.LinearMeasurement(right.observation.matrix, scale=10 * right.observation.scale)
    x = draws(right.mixture.posterior(wrong, right.y), 300, 0)
    found = metrics.measure(x, right.posterior, metric, 19, torch.Generator().manual_seed(1))
    assert found.p_value == (0.1 if metric.two_sided else 0.05), found


def test_collapse_within_modes_is_found_where_it_is_looked_for(mixture):
    """Samples drawn to half their distance from the centre of their mode: as many in each, and at the right place."""
    draw = torch.Generator().manual_seed(0)
    labels = mixture.sample_labels((400,), draw)
    full = mixture.components.draw(labels, draw)
    x = mixture.components.mean[labels] + 0.5 * (full - mixture.components.mean[labels])
    for metric in (metrics.ModeSpreads(), metrics.ModeCovariances(), metrics.KernelStein(), metrics.LogDensity()):
        found = metrics.measure(x, mixture, metric, 19, draw)
        assert found.p_value <= 0.1 and abs(found.value - found.floor) > 5 * found.scale, (metric.name, found)


def test_missing_mode_is_found_by_the_weights(mixture):
    x = draws(mixture, 400, 0)
    kept = x[mixture.assign(x) != 2]
    found = metrics.measure(kept, mixture, metrics.ModeWeights(), 19)
    assert found.p_value == 0.05 and found.value > 0.15


def test_floors_fall_with_the_number_of_samples(mixture):
    few, many = (metrics.measure(draws(mixture, n, 0), mixture, metrics.SlicedWasserstein(), 9) for n in (50, 800))
    assert 2.5 < few.floor / many.floor < 6.5, "four is the square root of sixteen"


def test_seeded(mixture):
    x, metric = draws(mixture, 30, 0), metrics.EnergyDistance(5)
    one, same = (metrics.measure(x, mixture, metric, 5, torch.Generator().manual_seed(2)) for _ in range(2))
    assert one == same


# -- calibration


def scaled(factor):
    """A sampler whose samples lie so many times as far from the posterior's mean."""

    def sampler(problem, generator):
        x = problem.posterior.sample((60,), generator)
        return problem.posterior.mean + factor * (x - problem.posterior.mean)

    return sampler


def test_exact_samples_are_calibrated_and_others_are_not():
    problem = problems.cardoso2023(d=8, d_y=4, seed=0)
    covered = {}
    for factor in (0.5, 1.0, 2.0):
        found = metrics.coverage(scaled(factor), problem, 150, torch.Generator().manual_seed(0))
        covered[factor] = found.covered[1]
        assert (found.p_value > 0.01) == (factor == 1.0), (factor, found.p_value)
    assert covered[0.5] < 0.6 and abs(covered[1.0] - 0.8) < 0.13 and covered[2.0] > 0.95


# -- bad input


def test_refusals(mixture, line):
    x = draws(mixture, 5, 0)
    for call, words in (
        (lambda: metrics.SlicedWasserstein(order=3), "`order` must be 1 or 2; got 3"),
        (lambda: metrics.SlicedWasserstein(slices=0), "`slices` must be at least 1"),
        (lambda: metrics.MMD(-1.0), "`scale` must be positive"),
        (lambda: metrics.measure(x, mixture, metrics.MMD(), floors=1), "`floors` must be at least 2"),
        (
            lambda: metrics.measure(x, line, metrics.MMD()),
            r"must be a tensor of one or more rows of shape \(1,\)",
        ),
        (lambda: metrics.measure(x[:0], mixture, metrics.MMD()), "`samples` must be a tensor of one or more rows"),
        (lambda: metrics.coverage(scaled(1), problems.tutorial_2d(), 0), "`simulations` must be at least 1"),
        (lambda: metrics.Yardstick(metrics.MMD(), line, x[None]), "`exact` must be two or more sets"),
        (lambda: metrics.Yardstick(metrics.MMD(), line, line.sample((3, 5)))(x[:4, :1]), "`samples` must be 5 rows"),
    ):
        with pytest.raises(MixtureError, match=words):
            call()
    heavy = mx.Mixture(torch.ones(1), mx.StudentT(torch.zeros(1), torch.ones(1), torch.full((1,), 4.0)))
    with pytest.raises(NotClosedForm, match="StudentT components"):
        metrics.MMD().against(heavy, 3)


def test_numbers_are_vectors_of_one_coordinate():
    numbers = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
    found = metrics.measure(numbers.sample((50,)), numbers, metrics.SlicedWasserstein(), 9)
    assert 0 < found.floor < 1
