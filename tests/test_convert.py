"""A mixture and torch's MixtureSameFamily are the same distribution, gradients included."""

import pytest
import torch
from torch.distributions import (
    Categorical,
    Gamma,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
)

import mixtura as mx

K, D = 3, 2


def matrices(*batch):
    root = torch.randn(*batch, D, D, dtype=torch.double)
    return root @ root.mT + torch.eye(D, dtype=torch.double)


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.double)


def positive(*shape):
    return torch.rand(*shape, dtype=torch.double) + 0.5


STRUCTURES = {
    "full": lambda *batch: mx.Full(matrices(*batch, K)),
    "tied full": lambda *batch: mx.Full(matrices(*batch, 1), tied=True),
    "diagonal": lambda *batch: mx.Diagonal(positive(*batch, K, D)),
    "tied diagonal": lambda *batch: mx.Diagonal(positive(*batch, 1, D), tied=True),
    "spherical": lambda *batch: mx.Spherical(positive(*batch, K)),
    "tied spherical": lambda *batch: mx.Spherical(positive(*batch, 1), tied=True),
}

TORCH = {
    "multivariate normal": lambda *batch: MultivariateNormal(numbers(*batch, K, D), matrices(*batch, K)),
    "independent normal": lambda *batch: Independent(Normal(numbers(*batch, K, D), positive(*batch, K, D)), 1),
    "normal": lambda *batch: Normal(numbers(*batch, K), positive(*batch, K)),
    "gamma": lambda *batch: Gamma(positive(*batch, K), positive(*batch, K)),
    "independent student": lambda *batch: Independent(StudentT(positive(*batch, K, D) + 3), 1),
}


def same(left, right):
    rows = right.sample((5,))
    torch.testing.assert_close(left.log_prob(rows), right.log_prob(rows), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(left.mean, right.mean)
    torch.testing.assert_close(left.variance, right.variance)
    assert left.batch_shape == right.batch_shape and left.event_shape == right.event_shape


@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("name", STRUCTURES)
def test_gaussian_mixtures_go_to_torch_and_back(name, batch):
    components = mx.Gaussian(torch.randn(*batch, K, D, dtype=torch.double), STRUCTURES[name](*batch))
    mixture = mx.Mixture(positive(*batch, K), components)
    same(mixture.to_torch(), mixture)
    same(mx.Mixture.from_torch(mixture.to_torch()), mixture)


@pytest.mark.parametrize("batch", [(), (4,)])
@pytest.mark.parametrize("name", TORCH)
def test_torch_mixtures_come_and_go_back(name, batch):
    theirs = MixtureSameFamily(Categorical(positive(*batch, K)), TORCH[name](*batch))
    ours = mx.Mixture.from_torch(theirs)
    same(ours, theirs)
    assert type(ours.to_torch().component_distribution) is type(theirs.component_distribution)
    same(ours.to_torch(), theirs)


def test_torch_families_become_the_families_of_mixtura():
    families = {
        name: mx.Mixture.from_torch(MixtureSameFamily(Categorical(positive(K)), TORCH[name]())) for name in TORCH
    }
    assert isinstance(families["multivariate normal"].components.structure, mx.Full)
    assert isinstance(families["independent normal"].components.structure, mx.Diagonal)
    assert isinstance(families["normal"].components, mx.Normal)
    assert isinstance(families["gamma"].components, mx.components.TorchComponent)


def test_gradients_flow_both_ways():
    logits = torch.zeros(K, dtype=torch.double, requires_grad=True)
    mean = torch.randn(K, D, dtype=torch.double, requires_grad=True)
    scale = positive(K, D).requires_grad_()
    theirs = MixtureSameFamily(Categorical(logits=logits), Independent(Normal(mean, scale), 1))
    x = torch.randn(7, D, dtype=torch.double)
    parameters = (logits, mean, scale)
    wanted = torch.autograd.grad(theirs.log_prob(x).sum(), parameters, retain_graph=True)
    through = mx.Mixture.from_torch(theirs)
    for mixture in (through, through.to_torch()):
        for mine, right in zip(
            torch.autograd.grad(mixture.log_prob(x).sum(), parameters, retain_graph=True), wanted, strict=True
        ):
            torch.testing.assert_close(mine, right)


def test_only_mixtures_are_converted():
    with pytest.raises(mx.errors.MixtureError, match="`distribution` must be a torch.distributions.MixtureSameFamily"):
        mx.Mixture.from_torch(Normal(torch.zeros(2), torch.ones(2)))
