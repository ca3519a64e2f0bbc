"""Rows that are known up to limits, under a posterior: machine code, and the density that the mixture itself states."""

import math
from functools import lru_cache

import numpy as np
import pytest
import torch

import mixtura as mx
from mixtura.bayes.engine.functions import functions
from mixtura.observation import AdditiveNoise, Binned, Censored, Missing, Rounded, Truncated
from mixtura.observation.interval import interval
from mixtura.observation.log_mass import log_mass

pytest.importorskip("llvmlite")

D, INF = torch.float64, math.inf
DIAGONAL, FULL = mx.Gaussian.template(structure=mx.Diagonal()), mx.Gaussian


def number(*values):
    return torch.tensor(values, dtype=D)


def rows(vectors=False):
    chance = torch.Generator().manual_seed(3)
    z = torch.randn(30, 2, generator=chance, dtype=D) + 4 * (torch.arange(30) % 2)[:, None]
    return z if vectors else z[:, 0]


def gaps(x):
    return torch.where(torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.2, torch.nan, x)


X, Z = rows(), rows(True)
OWN = AdditiveNoise(scale=torch.linspace(0.2, 1.5, 30, dtype=D)[:, None], per_row=True)
ONE = {"lower": number(-1.0, -INF), "upper": number(5.0, INF)}
CASES = {
    "rounded": (mx.Normal, X.round(), [Rounded(1.0)]),
    "finely rounded": (mx.Normal, X, [Rounded(1e-5)]),
    "censored": (mx.Normal, X.clamp(-1, 4), [Censored(-1.0, 4.0)]),
    "censored by row": (mx.Normal, X.clamp_max(3.0), [Censored(upper=torch.full((30, 1), 3.0, dtype=D), per_row=True)]),
    "truncated": (mx.Normal, X + 3, [Truncated(lower=0.0)]),
    "truncated twice": (mx.Normal, X, [Truncated(-4.0, 9.0)]),
    "truncated by row": (mx.Normal, X, [Truncated(lower=X[:, None] - 0.5, per_row=True)]),
    "binned": (mx.Normal, X, [Binned(number(-INF, -1, 0, 1, 2, 4, 5, INF))]),
    "binned within": (mx.Normal, X, [Binned(torch.linspace(-4, 9, 8, dtype=D))]),
    "errors, rounded": (mx.Normal, X.round(), [OWN, Rounded(1.0)]),
    "errors, truncated": (mx.Normal, X + 3, [OWN, Truncated(lower=0.0)]),
    "independent": (DIAGONAL, Z.round(), [Rounded(number(1.0, 0.0))]),
    "independent, gaps": (DIAGONAL, gaps(Z.clamp(-1, 4)), [Censored(-1.0, 4.0), Missing()]),
    "correlated": (FULL, torch.stack([Z[:, 0].clamp(-1, 5), Z[:, 1]], -1), [Censored(**ONE)]),
    "correlated, truncated": (FULL, Z[(Z[:, 0] > -1) & (Z[:, 0] < 5)], [Truncated(**ONE)]),
}  # fmt: skip


@lru_cache
def posterior(name):
    family, x, observation = CASES[name]
    return mx.bayes.Model(2, family, observation=observation).posterior(x)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_limits_have_machine_code(name):
    made = posterior(name)
    found = functions(made)
    assert found.engine == "compiled", found.reason
    (density,) = found.held
    for seed in range(3, 5):
        u = made.start(torch.Generator().manual_seed(seed))
        value, gradient = density(u.numpy())
        expected, slope = made.value_and_gradient(u)
        assert value == pytest.approx(expected.item(), rel=1e-10)
        np.testing.assert_allclose(gradient, slope.numpy(), rtol=1e-9, atol=1e-10 * float(slope.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_the_likelihood_is_the_density_of_what_is_recorded(name):
    _, x, observation = CASES[name]
    made = posterior(name)
    values = made.whole(made.constrain(made.start(torch.Generator().manual_seed(3))))
    expected = made.mixtures(values).observed(observation).log_prob(x)
    assert made.log_likelihood(values).item() == pytest.approx(float(expected.sum()), rel=1e-9)
    torch.testing.assert_close(made.terms[0].log_prob(values, *made.terms[0].data), expected, rtol=1e-8, atol=1e-8)


def test_several_correlated_limits_say_that_torch_serves():
    found = functions(mx.bayes.Model(2, FULL, observation=Rounded(1.0)).posterior(Z.round()))
    assert found.engine == "torch" and found.reason


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.04, 0.3, 2.0, 60.0])
def test_probabilities_of_neighbours_add_up(width):
    ends = torch.linspace(-30, 30, 101, dtype=D)
    left, right = log_mass(ends, ends + width / 2), log_mass(ends + width / 2, ends + width)
    torch.testing.assert_close(log_mass(ends, ends + width), torch.logaddexp(left, right), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("width", [1e-3, 0.049, 0.051, 0.3, 2.0, 20.0])
def test_the_probability_between_limits_is_that_of_its_moments(width):
    low = torch.linspace(-20, 20, 81, dtype=D)
    torch.testing.assert_close(log_mass(low, low + width), interval(low, low + width)[0], rtol=1e-11, atol=1e-9)


def test_the_slope_of_a_probability_is_the_density_at_its_ends():
    low = torch.linspace(-9, 9, 37, dtype=D, requires_grad=True)
    high = (low.detach() + torch.logspace(-4, 1, 37, dtype=D)).requires_grad_()
    found = log_mass(low, high)
    slopes = torch.autograd.grad(found.sum(), (low, high))
    for end, slope, sign in zip((low, high), slopes, (-1, 1), strict=True):
        expected = sign * (-0.5 * end**2 - 0.5 * math.log(2 * math.pi) - found).exp()
        torch.testing.assert_close(slope, expected.detach(), rtol=1e-9, atol=1e-9)
