"""The compiled pass over rows of regressions says what the composition of density, labels and sums in torch says."""

import math

import pytest
import torch

import mixtura as mx
from mixtura.kernels import soft
from mixtura.kernels.regressions import serves_regressions

D = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def by_torch(joint):
    """Soft labels that no pass is compiled for."""
    return torch.softmax(joint, -1)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=D)


def line(batch, slope, level, **more):
    return mx.LinearRegression(level, slope, 0.3 + random(*slope.shape[:-1], seed=7).abs(), **more)


def counts(batch, slope, level, **more):
    return mx.PoissonRegression(level, slope, **more)


def successes(batch, slope, level, **more):
    return mx.LogisticRegression(level, slope, total_count=6, **more)


def of_trials(batch, slope, level, **more):
    return mx.LogisticRegression(level, slope, target=0, trials=-1, **more)


def made(make, batch, components=3, covariates=2, intercept=True, far=1.0, **more):
    """Components of an unequal scale, about centres of their own, and their log weights."""
    slope, level = far * random(*batch, components, covariates, seed=1), random(*batch, components, seed=2)
    one = make(batch, slope, level if intercept else None, **more)
    if intercept:
        one = one._replace(centre=random(*batch, components, covariates, seed=3))
    return one, torch.log_softmax(random(*batch, components, seed=4), -1)


def rows_of(component, count, seed=5):
    x = 2 * random(count, component.width, seed=seed) + 0.5
    x[:, component.target] = torch.randint(7, (count,), generator=seeded(seed)).to(D)
    if len(component.apart) == 2:
        x[:, component.apart[1]] = 6.0 + torch.randint(900, (count,), generator=seeded(seed + 1)).to(D)
    return x


def agree(component, logits, x, weight=None, rtol=1e-12):
    assert serves_regressions(x, soft), "the pass is not compiled here"
    ours, torchs = (component.expect(logits, x, weight, labels) for labels in (soft, by_torch))
    for one, other in zip(fields(ours), fields(torchs), strict=True):
        assert one.dtype == other.dtype == D
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=0, atol=rtol * max(1.0, other.abs().max().item()))


def fields(statistics):
    return [statistics.log_likelihood, statistics.weight, *statistics.moments]


MAKES = [line, counts, successes, of_trials]


@pytest.mark.parametrize("count", [1, 31, 32, 129, 1000])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 2)])
@pytest.mark.parametrize("make", MAKES)
def test_sums_are_those_of_torch(make, batch, count):
    component, logits = made(make, batch)
    agree(component, logits, rows_of(component, count))


@pytest.mark.parametrize("covariates", [1, 5, 9])
@pytest.mark.parametrize("components", [1, 2, 7])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("make", MAKES)
def test_any_design_and_any_number_of_components(make, intercept, components, covariates):
    component, logits = made(make, (2,), components, covariates, intercept)
    agree(component, logits, rows_of(component, 70))


@pytest.mark.parametrize("target", [0, 1, 2])
@pytest.mark.parametrize("make", [line, counts, successes])
def test_any_column_may_be_the_target(make, target):
    component, logits = made(make, (2,), target=target)
    agree(component, logits, rows_of(component, 70))


@pytest.mark.parametrize("make", MAKES)
def test_rows_count_as_often_as_they_weigh(make):
    component, logits = made(make, (2,))
    x, weight = rows_of(component, 300), torch.arange(300, dtype=D) % 3
    agree(component, logits, x, weight)
    agree(component, logits, x, weight.float())
    whole, some = (component.expect(logits, *each, soft) for each in ((x, weight), (x[weight > 0], weight[weight > 0])))
    for one, other in zip(fields(whole), fields(some), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", MAKES)
def test_a_component_that_is_not_possible_takes_nothing(make):
    component, logits = made(make, (2,))
    logits[:, 1] = -math.inf
    agree(component, logits, rows_of(component, 70))
    assert not bool(component.expect(logits, rows_of(component, 70), None, soft).weight[:, 1].any())


@pytest.mark.parametrize("make", [line, successes, of_trials])
def test_predictors_far_away_neither_overflow_nor_lose_their_digits(make):
    component, logits = made(make, (2,), far=300.0)
    agree(component, logits, rows_of(component, 300))


def test_rates_may_be_as_large_as_numbers_are():
    component, logits = made(counts, (2,), far=40.0)
    x = rows_of(component, 300)
    assert component.predictor(x.unsqueeze(1)).amax() > 200
    agree(component, logits, x)


def test_many_counts_have_their_factorials():
    component, logits = made(counts, (2,))
    x = rows_of(component, 300)
    x[:, 2] = torch.arange(300, dtype=D) * 1e4
    agree(component, logits, x)


@pytest.mark.parametrize("make", MAKES)
def test_single_precision_rows_are_summed_in_double(make):
    component, logits = made(make, (2,))
    agree(component.to(torch.float32), logits.float(), rows_of(component, 300).float(), rtol=1e-6)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.slow
def test_threads_change_nothing(make):
    component, logits = made(make, (40,))
    x, before = rows_of(component, 20_000), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        agree(component, logits, x)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("make", MAKES)
def test_columns_that_lie_apart_in_memory_are_read(make):
    component, logits = made(make, (2,))
    x = rows_of(component, 300)
    agree(component, logits, x.mT.contiguous().mT)
    agree(component, logits, torch.cat([x, x], 1)[::2, : x.shape[1]])
