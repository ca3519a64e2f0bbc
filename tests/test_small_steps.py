"""The compiled steps of small tables against those of the classes."""

import numpy as np
import pytest
import torch
from llvmlite import ir

import mixtura as mx
from mixtura.components import structure
from mixtura.kernels.laws import Law
from mixtura.kernels.native.machine import called
from mixtura.kernels.native.panels import PART, WIDTH
from mixtura.kernels.native.values import INT, NUMBERS, REAL
from mixtura.kernels.small_steps import covariances as compiled
from mixtura.kernels.small_steps import exponential_step, exponential_sums
from mixtura.kernels.small_steps.calls import COVARIANCES, pointers

SHARED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")


def call(code, degrees, moment, previous, components, features):
    room = np.full(compiled.covariances_room(components, features), np.nan)
    n, c, p, r = pointers(degrees, moment, previous, room)
    called(compiled.covariances, COVARIANCES)(code, n, c, p, 0, components, features, r)


def both(name, degrees, moment, previous):
    """The covariances that the structure and the compiled step make of moments, from previous members."""
    components, features = moment.shape[:2]
    one = structure(name).with_covariance(previous)
    scatter = one.scatter(moment) * degrees.reshape(-1, *(1,) * one.moment_trailing)
    expected = one.estimate(degrees, moment.new_zeros(components, features), scatter, degrees).dense(features)
    found = moment.flatten().numpy().copy()
    before = one.dense(features).flatten().numpy()
    call(getattr(compiled, name), degrees.numpy(), found, before, components, features)
    return expected, torch.from_numpy(found).reshape(expected.shape)


def moments(generator, components, features, least=1.0):
    root = torch.randn(components, features, features + 3, generator=generator, dtype=torch.float64)
    root = root * torch.logspace(0, np.log10(least), features, dtype=torch.float64).unsqueeze(-1)
    turned = torch.linalg.qr(torch.randn(features, features, generator=generator, dtype=torch.float64)).Q @ root
    return turned @ turned.mT


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize(
    ("components", "features", "least", "precision"),
    [
        (1, 3, 1, 1e-9),
        (3, 1, 1, 1e-12),
        (2, 2, 1, 1e-10),
        (4, 3, 1, 1e-10),
        (3, 5, 1, 1e-10),
        (2, 8, 1, 1e-10),
        (3, 4, 1e-4, 1e-6),
    ],
)
def test_covariances_are_those_of_the_structure(name, components, features, least, precision):
    generator = torch.Generator().manual_seed(components * features)
    for _ in range(5):
        degrees = 5 + 50 * torch.rand(components, generator=generator, dtype=torch.float64)
        moment, previous = moments(generator, components, features, least), moments(generator, components, features)
        expected, found = both(name, degrees, moment, previous)
        torch.testing.assert_close(found, expected, rtol=precision, atol=precision * moment.abs().max().item())


@pytest.mark.parametrize("name", SHARED)
def test_there_are_no_covariances_of_nothing(name):
    generator = torch.Generator().manual_seed(0)
    degrees, moment = torch.tensor([3.0, 4.0], dtype=torch.float64), moments(generator, 2, 3)
    for broken in ((degrees * torch.tensor([0.0, 1.0]), moment), (degrees, moment * torch.nan)):
        expected, found = both(name, *broken, moment)
        assert expected.diagonal(dim1=-2, dim2=-1).isnan().all() and found.isnan().all()


# -- exponential families

ROWS, COMPONENTS = 301, 4


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FAMILIES = {
    "Poisson": mx.Poisson(0.1 + 5 * uniform(COMPONENTS)),
    "Poisson of vectors": mx.Poisson(0.1 + 5 * uniform(COMPONENTS, 3), vectors=True),
    "Exponential": mx.Exponential(0.1 + uniform(COMPONENTS)),
    "Geometric": mx.Geometric(0.1 + 0.8 * uniform(COMPONENTS)),
    "Binomial": mx.Binomial(9, 0.1 + 0.8 * uniform(COMPONENTS)),
    "Bernoulli": mx.Bernoulli(0.1 + 0.8 * uniform(COMPONENTS, 5), vectors=True),
    "Categorical": mx.Categorical(uniform(COMPONENTS, 3)),
    "Categorical of vectors": mx.Categorical(uniform(COMPONENTS, 2, 4), vectors=True),
    "Multinomial": mx.Multinomial(uniform(COMPONENTS, 4), 7),
    "Gamma": mx.Gamma(0.1 + 5 * uniform(COMPONENTS), uniform(COMPONENTS, seed=1)),
    "Gamma of vectors": mx.Gamma(0.1 + 90 * uniform(COMPONENTS, 2), uniform(COMPONENTS, 2, seed=1), vectors=True),
    "InverseGamma": mx.InverseGamma(0.5 + 5 * uniform(COMPONENTS), uniform(COMPONENTS, seed=1)),
    "Beta": mx.Beta(0.1 + 5 * uniform(COMPONENTS), 0.1 + 50 * uniform(COMPONENTS, seed=1)),
    "Beta of vectors": mx.Beta(0.1 + uniform(COMPONENTS, 2), 0.1 + uniform(COMPONENTS, 2, seed=1), vectors=True),
    "Dirichlet": mx.Dirichlet(0.1 + 20 * uniform(COMPONENTS, 4)),
    "VonMises": mx.VonMises(6 * uniform(COMPONENTS), 0.1 + 90 * uniform(COMPONENTS, seed=1)),
    "VonMises of vectors": mx.VonMises(6 * uniform(COMPONENTS, 2), 0.1 + uniform(COMPONENTS, 2, seed=1), vectors=True),
    "VonMisesFisher": mx.VonMisesFisher(uniform(COMPONENTS, 5) - 0.5, 0.1 + 90 * uniform(COMPONENTS, seed=1)),
}


EXPECT = ir.FunctionType(REAL, [NUMBERS, NUMBERS, INT, INT, NUMBERS, INT, INT, INT, NUMBERS, NUMBERS])
UPDATE = ir.FunctionType(INT, [INT, NUMBERS, INT, INT, INT, INT, NUMBERS, NUMBERS, NUMBERS])


def expected(columns, weight, panels, state, components, features, width, by_lane):
    joint = np.empty(components * width)
    x, w, at, log_joint, lanes = pointers(columns, weight, state, joint, by_lane)
    return called(exponential_sums.expect, EXPECT)(x, w, 0, panels, at, components, features, width, log_joint, lanes)


def updated(law, sums, components, features, size, trials, state, floor):
    room = np.full(exponential_step.size_of_room(size), np.nan)
    s, at, least, scratch = pointers(sums, state, floor, room)
    update = called(exponential_step.update, UPDATE)
    return update(law, s, components, features, size, trials, at, least, scratch)


def state_of(logits, components):
    """Log weights, constants and natural parameters, one behind the other."""
    natural = components.natural
    normaliser = components.log_normaliser(natural).reshape(len(logits), -1).sum(-1)
    return torch.cat([logits, logits - normaliser, natural.flatten()])


def panelled(values, width):
    """Rows (N, F) in panels, number by number, filled up with zeros."""
    panels = -(-len(values) // width)
    filled = np.zeros((panels * width, values.shape[1]))
    filled[: len(values)] = values
    return np.ascontiguousarray(filled.reshape(panels, width, -1).swapaxes(1, 2)).reshape(-1)


def rows_of(components):
    labels = torch.arange(ROWS) % COMPONENTS
    return torch.stack([components.draw(label, torch.Generator().manual_seed(n)) for n, label in enumerate(labels)])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_update_is_that_of_the_family(name):
    components, weight = FAMILIES[name], uniform(ROWS, seed=2)
    x, logits, width = rows_of(components), uniform(COMPONENTS, seed=3).log_softmax(-1), WIDTH
    expectation = components.expect(logits, x, weight, mx.kernels.soft)

    statistics = components.sufficient(x).reshape(ROWS, -1)
    features = statistics.shape[1]
    columns, shares = panelled(statistics.numpy(), width), panelled(weight.numpy()[:, None], width)
    state, by_lane = state_of(logits, components).numpy(), np.empty(COMPONENTS * (1 + features) * PART)
    found = expected(columns, shares, len(shares) // width, state, COMPONENTS, features, width, by_lane)
    base = weight @ components.base(x).reshape(ROWS, -1).sum(-1)
    assert found + base == pytest.approx(expectation.log_likelihood.item(), rel=1e-12)
    sums = by_lane.reshape(-1, PART).sum(1)
    theirs = torch.cat([expectation.weight, expectation.moments[0].flatten()])
    torch.testing.assert_close(torch.from_numpy(sums), theirs, rtol=1e-12, atol=1e-9)

    law, size, trials = components.matching
    broken = updated(int(law), sums, COMPONENTS, features, size, trials, state, np.zeros(features))
    new = components.update(expectation)
    assert broken == -1
    there = state_of((expectation.weight / expectation.weight.sum()).log(), new)
    torch.testing.assert_close(torch.from_numpy(state), there, rtol=1e-8, atol=1e-10)
    natural = torch.from_numpy(state[2 * COMPONENTS :]).reshape(components.natural.shape)
    for one, other in zip(components.at_natural(natural).tensors(), new.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_component_that_is_too_narrow_or_empty_is_named(name):
    components = FAMILIES[name]
    law, size, trials = components.matching
    features = components.natural[0].numel()
    state = state_of(uniform(COMPONENTS).log_softmax(-1), components).numpy()
    means = components.sufficient(rows_of(components)).reshape(ROWS, -1).mean(0).numpy()
    sums = np.concatenate([np.ones(COMPONENTS), np.tile(means, COMPONENTS)])

    def broken(floor=0.0):
        return updated(int(law), sums, COMPONENTS, features, size, trials, state.copy(), np.full(features, floor))

    assert broken() == -1
    counted = law in (Law.POISSON, Law.GEOMETRIC, Law.BINOMIAL, Law.SHARES, Law.DIRECTION)
    assert broken(1e9) == (-1 if counted else 0)  # counts have no least variance, and directions no variance
    sums[2] = 0.0
    assert broken() == 2
    sums[2], sums[COMPONENTS + features + size - 1] = 1.0, np.nan
    assert broken() == 1
