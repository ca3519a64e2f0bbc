"""Divergences between mixtures against quadrature, brute force and finite differences."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm
from torch.distributions import kl_divergence

import mixtura as mx
from mixtura import divergences as dv
from mixtura.errors import MixtureError

F64 = torch.float64


def line(seed, components=3):
    generator = torch.Generator().manual_seed(seed)
    loc = 3 * torch.randn(components, generator=generator, dtype=F64)
    scale = 0.5 + torch.rand(components, generator=generator, dtype=F64)
    return mx.Mixture(torch.rand(components, generator=generator, dtype=F64) + 0.1, mx.Normal(loc, scale))


def plane(seed, components=3, batch=()):
    generator = torch.Generator().manual_seed(seed)
    mean = 2 * torch.randn(*batch, components, 2, generator=generator, dtype=F64)
    root = torch.randn(*batch, components, 2, 2, generator=generator, dtype=F64)
    matrix = root @ root.mT + 0.3 * torch.eye(2, dtype=F64)
    weights = torch.rand(*batch, components, generator=generator, dtype=F64) + 0.1
    return mx.Mixture(weights, mx.Gaussian(mean, mx.Full(matrix)))


def density(mixture):
    weights, loc, scale = (t.numpy() for t in (mixture.weights, mixture.components.loc, mixture.components.scale))
    return lambda x: float((weights * norm.pdf(x, loc, scale)).sum())


def integral(function):
    edges = np.linspace(-16, 16, 33)
    return sum(quad(function, a, b, epsabs=1e-12)[0] for a, b in itertools.pairwise(edges))


PAIRS = [(line(0), line(1)), (line(2, 2), line(3, 4)), (line(4), line(4))]


@pytest.mark.parametrize("pair", PAIRS)
def test_kl_lies_between_its_bounds(pair):
    f, g = map(density, pair)
    exact = integral(lambda x: f(x) * np.log(f(x) / g(x)) if f(x) > 1e-290 else 0.0)
    value, error = dv.kl(*pair, 20_000, torch.Generator().manual_seed(0))
    assert abs(value - exact) <= 5 * error
    assert dv.kl_lower(*pair) <= exact + 1e-9
    assert dv.kl_upper(*pair) >= exact - 1e-9
    if pair[0].logits.shape == pair[1].logits.shape:
        assert dv.kl_matched(*pair) >= dv.kl_upper(*pair) - 1e-9


@pytest.mark.parametrize("pair", PAIRS)
def test_overlaps_are_exact(pair):
    f, g = map(density, pair)
    assert dv.square_l2(*pair).item() == pytest.approx(integral(lambda x: (f(x) - g(x)) ** 2), abs=1e-10)
    own = integral(lambda x: f(x) ** 2) * integral(lambda x: g(x) ** 2)
    expected = -np.log(integral(lambda x: f(x) * g(x)) / np.sqrt(own))
    assert dv.cauchy_schwarz(*pair).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("pair", PAIRS)
def test_bhattacharyya_bounds_hold(pair):
    f, g = map(density, pair)
    exact = integral(lambda x: np.sqrt(f(x) * g(x)))
    lower, upper = dv.bhattacharyya(*pair)
    assert lower - 1e-9 <= exact <= upper + 1e-9


def test_bounds_of_single_components_are_exact():
    p, q = line(0, 1), line(1, 1)
    exact = integral(lambda x: density(p)(x) * np.log(density(p)(x) / density(q)(x)))
    for bound in (dv.kl_upper, dv.kl_matched, dv.kl_variational):
        assert bound(p, q).item() == pytest.approx(exact, rel=1e-8)
    lower, upper = dv.bhattacharyya(p, q)
    assert lower.item() == pytest.approx(upper.item())


def test_equal_mixtures_are_not_apart():
    p = plane(0)
    for distance in (dv.kl_variational, dv.kl_matched, dv.square_l2, dv.cauchy_schwarz):
        assert abs(distance(p, p).item()) < 1e-10
    assert abs(dv.kl_upper(p, p).item()) < 1e-4
    assert dv.wasserstein(p, p).square.item() < 1e-9


def test_transport_between_gaussians_is_the_bures_distance():
    p, q = plane(0, 1), plane(1, 1)
    a, b = (m.components.covariance[0].numpy() for m in (p, q))
    root = sqrtm(a)
    gap = (p.mean - q.mean).square().sum().item()
    expected = gap + np.trace(a + b - 2 * np.real(sqrtm(root @ b @ root)))
    assert dv.wasserstein(p, q).square.item() == pytest.approx(expected)


def test_transport_is_the_best_of_all_matchings_at_equal_weights():
    p, q = (mx.Mixture(torch.ones(4, dtype=F64), plane(seed, 4).components) for seed in (0, 1))
    alone = [[mx.Mixture(torch.ones(1, dtype=F64), m.components.take([k])) for k in range(4)] for m in (p, q)]
    costs = torch.stack([torch.stack([dv.wasserstein(one, other).square for other in alone[1]]) for one in alone[0]])
    best = min(costs[range(4), list(order)].mean() for order in itertools.permutations(range(4)))
    square, plan = dv.wasserstein(p, q)
    assert square.item() == pytest.approx(best.item())
    torch.testing.assert_close(plan.sum(-1), p.weights)
    torch.testing.assert_close(plan.sum(-2), q.weights)


def test_transport_on_the_line_exceeds_the_quantile_distance():
    p, q = line(0), line(1)
    u = (torch.arange(4000, dtype=F64) + 0.5) / 4000
    quantiles = (p.icdf(u) - q.icdf(u)).square().mean()
    assert dv.wasserstein(p, q).square >= quantiles - 1e-3


DISTANCES = {
    "kl_lower": dv.kl_lower,
    "kl_upper": dv.kl_upper,
    "kl_matched": dv.kl_matched,
    "kl_variational": dv.kl_variational,
    "square_l2": dv.square_l2,
    "cauchy_schwarz": dv.cauchy_schwarz,
    "bhattacharyya lower": lambda p, q: dv.bhattacharyya(p, q).lower,
    "wasserstein": lambda p, q: dv.wasserstein(p, q).square,
}


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_are_those_of_finite_differences(name):
    q = plane(1)

    def distance(logits, mean, factor):
        components = mx.Gaussian._of(location=mean, structure=mx.Full._of(factor=factor.tril(), tied=False))
        return DISTANCES[name](mx.Mixture._of(torch.log_softmax(logits, -1), components), q)

    p = plane(0)
    inputs = [p.logits, p.components.location, p.components.structure.factor]
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(distance, inputs, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", DISTANCES)
def test_batches_are_taken_one_by_one(name):
    p, q = plane(0, batch=(4,)), plane(1, batch=(4,))
    together = DISTANCES[name](p, q)
    alone = torch.stack([DISTANCES[name](p.batch(b), q.batch(b)) for b in range(4)])
    torch.testing.assert_close(together, alone)


def test_monte_carlo_gradients_are_right_on_both_paths():
    loc = torch.tensor([0.3], dtype=F64, requires_grad=True)
    q = mx.Mixture(torch.ones(1, dtype=F64), mx.Normal(torch.zeros(1, dtype=F64), torch.ones(1, dtype=F64)))
    p = mx.Mixture(torch.ones(1, dtype=F64), mx.Normal(loc, torch.ones(1, dtype=F64)))
    (pathwise,) = torch.autograd.grad(dv.kl(p, q, 100_000).value, loc)
    torch.testing.assert_close(pathwise, torch.tensor([0.3], dtype=F64), atol=0.02, rtol=0)
    rate = torch.tensor([2.0], dtype=F64, requires_grad=True)
    counts = mx.Mixture(torch.ones(1, dtype=F64), mx.Poisson(rate))
    other = mx.Mixture(torch.ones(1, dtype=F64), mx.Poisson(torch.tensor([3.0], dtype=F64)))
    (scored,) = torch.autograd.grad(dv.kl(counts, other, 200_000).value, rate)
    torch.testing.assert_close(scored, (torch.tensor([2 / 3], dtype=F64)).log(), atol=0.02, rtol=0)


def test_torch_knows_the_divergence():
    p, q = line(0), line(1)
    torch.manual_seed(0)
    value = kl_divergence(p, q)
    exact, error = dv.kl(p, q, 50_000)
    assert abs(value - exact) < 10 * error


def test_matching_needs_as_many_components():
    with pytest.raises(MixtureError, match="kl_upper"):
        dv.kl_matched(line(0, 2), line(1, 3))
