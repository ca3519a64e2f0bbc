"""The mean of some coordinates given others, by one pass, is that of the conditional mixtures."""

import math

import numpy as np
import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError

D = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0, dtype=D):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def matrices(components, features, dtype=D):
    root = random(components, features, features, seed=1, dtype=dtype)
    return root @ root.mT + 0.3 * torch.eye(features, dtype=dtype)


def joint(components=3, features=5, dtype=D, covariance=None):
    mean, weights = 2 * random(components, features, dtype=dtype), 0.1 + random(components, seed=2, dtype=dtype).abs()
    return mx.Mixture(weights, mx.Gaussian(mean, covariance or mx.Full(matrices(components, features, dtype))))


STRUCTURES = {
    "full": lambda: mx.Full(matrices(3, 5)),
    "tied": lambda: mx.Full(matrices(1, 5), tied=True),
    "diagonal": lambda: mx.Diagonal(0.1 + random(3, 5).abs()),
    "spherical": lambda: mx.Spherical(0.1 + random(3).abs()),
    "low rank": lambda: mx.LowRank.from_loadings(random(3, 5, 2), 0.2 + random(3, 5, seed=3).abs()),
}


@pytest.mark.parametrize("dims", [[0], [3, 1], [4, 2, 0], [0, 1, 2, 3]])
@pytest.mark.parametrize("name", STRUCTURES)
def test_means_are_those_of_the_conditional_mixtures(name, dims):
    mixture = joint(covariance=STRUCTURES[name]())
    values = mixture.sample((301,), seeded(5))[:, dims]
    torch.testing.assert_close(mixture.conditional_mean(dims, values), mixture.condition(dims, values).mean)


@pytest.mark.parametrize("components", [1, 2, 11])
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 1000])
def test_any_number_of_rows_and_components(rows, components):
    mixture = joint(components, 4)
    values = mixture.sample((rows,), seeded(5))[:, [2, 0, 1]]
    torch.testing.assert_close(mixture.conditional_mean([2, 0, 1], values), mixture.condition([2, 0, 1], values).mean)


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (0,)])
def test_values_have_any_shape(shape):
    mixture, values = joint(), random(*shape, 2)
    found = mixture.conditional_mean([1, 4], values)
    assert found.shape == (*shape, 3)
    torch.testing.assert_close(found, mixture.condition([1, 4], values).mean)


def test_a_batch_of_mixtures_has_a_mean_for_each():
    mean, values = random(2, 3, 5), random(40, 2, 2)
    batch = mx.Mixture(torch.ones(2, 3, dtype=D), mx.Gaussian(mean, mx.Full(matrices(3, 5).expand(2, 3, 5, 5))))
    torch.testing.assert_close(batch.conditional_mean([0, 3], values), batch.condition([0, 3], values).mean)


def test_single_precision_stays_and_keeps_its_digits():
    mixture = joint(dtype=torch.float32)
    values = mixture.sample((300,), seeded(5))[:, :3]
    found = mixture.conditional_mean([0, 1, 2], values)
    assert found.dtype == torch.float32
    exact = mixture.to(D).condition([0, 1, 2], values.double()).mean
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [1e6, 1e10])
def test_a_component_a_long_way_off_spoils_no_digits(offset):
    mean = torch.tensor([[0.0, 0.0], [offset, offset]], dtype=D)
    mixture = mx.Mixture(
        torch.ones(2, dtype=D), mx.Gaussian(mean, mx.Full(torch.tensor([[[1.0, 0.9], [0.9, 1.0]]] * 2, dtype=D)))
    )
    near, far = mixture.conditional_mean([0], torch.tensor([[0.5], [offset + 0.5]], dtype=D))[:, 0].tolist()
    assert near == pytest.approx(0.45, rel=1e-13)
    assert far - offset == pytest.approx(0.45, abs=4 * float(np.spacing(offset)))


def test_rows_far_from_all_components_have_a_mean_and_unknown_ones_none():
    mixture = joint(2, 2)
    found = mixture.conditional_mean([0], torch.tensor([[1e4], [math.nan], [0.0]], dtype=D))
    torch.testing.assert_close(found[[0, 2]], mixture.condition([0], torch.tensor([[1e4], [0.0]], dtype=D)).mean)
    assert bool(found[1].isnan())


def test_a_component_without_weight_says_nothing():
    mixture = mx.Mixture(torch.tensor([1.0, 0.0, 2.0], dtype=D), joint().components)
    rest, values = mx.Mixture(torch.tensor([1.0, 2.0], dtype=D), joint().components.take([0, 2])), random(50, 2)
    torch.testing.assert_close(mixture.conditional_mean([0, 1], values), rest.conditional_mean([0, 1], values))


def test_gradients_flow():
    mixture, values = joint(2, 3), random(4, 2)

    def mean(location, values):
        return mx.Mixture._of(mixture.logits, mixture.components._replace(location=location)).conditional_mean(
            [0, 2], values
        )

    location = mixture.components.location.clone().requires_grad_()
    assert torch.autograd.gradcheck(mean, (location, values.requires_grad_()))


def test_threads_change_nothing():
    mixture, before = joint(10, 6), torch.get_num_threads()
    values = mixture.sample((30_000,), seeded())[:, :4]
    try:
        torch.set_num_threads(1)
        alone = mixture.conditional_mean([0, 1, 2, 3], values)
        torch.set_num_threads(2)
        assert torch.equal(mixture.conditional_mean([0, 1, 2, 3], values), alone)
    finally:
        torch.set_num_threads(before)


def test_other_families_answer_by_their_conditional_mixtures():
    mean = random(2, 3)
    student = mx.Mixture(torch.ones(2, dtype=D), mx.StudentT(mean, mx.Full(matrices(2, 3)), 5 + torch.arange(2.0)))
    lines = mx.Mixture(torch.ones(2, dtype=D), mx.PoissonRegression(random(2), 0.3 * random(2, 2, seed=1)))
    for mixture, dims in ((student, [0, 2]), (lines, [0, 1])):
        values = random(30, 2)
        torch.testing.assert_close(mixture.conditional_mean(dims, values), mixture.condition(dims, values).mean)


def test_names_of_columns_and_tables():
    mixture = joint(2, 3).named(["a", "b", "c"])
    table = {"c": [0.5, 1.0], "a": [0.0, -1.0]}
    values = torch.tensor([[0.5, 0.0], [1.0, -1.0]], dtype=D)
    torch.testing.assert_close(mixture.conditional_mean(["c", "a"], table), mixture.condition([2, 0], values).mean)


@pytest.mark.parametrize(
    "dims, values", [([], [[]]), ([0, 1, 2], [[0.0] * 3]), ([0], [[0.0, 1.0]]), ([0, 0], [[0.0] * 2])]
)
def test_what_cannot_be_known_is_refused(dims, values):
    with pytest.raises(MixtureError, match=r"dims|values"):
        joint(2, 3).conditional_mean(dims, values)
