"""What is not checked is not looked at: values made with ``validate_args=False``."""

import pytest
import torch

import mixtura as mx
from mixtura.errors import MixtureError

WRONG = torch.full((2, 3), torch.nan)
MATRIX = torch.diag_embed(torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]))

MAKES = {
    "mean": lambda **how: mx.Gaussian(WRONG, mx.Spherical(torch.ones(2)), **how),
    "matrix of a Gaussian": lambda **how: mx.Gaussian(torch.zeros(2, 3), MATRIX, **how),
    "full": lambda **how: mx.Full(MATRIX, **how),
    "triangle": lambda **how: mx.Full.from_scale_tril(MATRIX, **how),
    "diagonal": lambda **how: mx.Diagonal(-torch.ones(2, 3), **how),
    "spherical": lambda **how: mx.Spherical(-torch.ones(2), **how),
    "spectrum": lambda **how: mx.Eigen(torch.eye(3), -torch.ones(2, 3), **how),
    "axes": lambda **how: mx.Eigen(2 * torch.eye(3), torch.ones(2, 3), **how),
    "noise": lambda **how: mx.LowRank.from_loadings(torch.ones(2, 3, 1), -torch.ones(2, 3), **how),
    "scale": lambda **how: mx.Normal(torch.zeros(2), -torch.ones(2), **how),
    "weights": lambda **how: mx.Mixture(-torch.ones(2), mx.Normal(torch.zeros(2), torch.ones(2)), **how),
    "logits": lambda **how: mx.Mixture(
        logits=torch.full((2,), torch.nan), components=mx.Normal(torch.zeros(2), torch.ones(2)), **how
    ),
}


@pytest.mark.parametrize("what", MAKES)
def test_numbers_are_checked_unless_that_is_turned_off(what):
    with pytest.raises(MixtureError):
        MAKES[what]()
    MAKES[what](validate_args=False)


class Watched(torch.Tensor):
    """A tensor that refuses to be looked at, as one on a device would make the host wait."""

    def __bool__(self):
        raise AssertionError("a number was copied off the device")

    def item(self):
        raise AssertionError("a number was copied off the device")

    def tolist(self):
        raise AssertionError("numbers were copied off the device")


def watched(*shape):
    return (torch.rand(*shape) + 0.5).as_subclass(Watched)


@pytest.mark.parametrize(
    "components",
    [
        lambda: mx.Gaussian(watched(2, 3), mx.Diagonal(watched(2, 3), validate_args=False), validate_args=False),
        lambda: mx.Gaussian(watched(2, 3), torch.eye(3).expand(2, 3, 3).as_subclass(Watched), validate_args=False),
        lambda: mx.Gaussian(watched(2, 3), mx.Spherical(watched(2), validate_args=False), validate_args=False),
        lambda: mx.Normal(watched(2), watched(2), validate_args=False),
    ],
)
def test_nothing_unchecked_makes_the_host_wait(components):
    made = mx.Mixture(watched(2), components(), validate_args=False)
    x = torch.zeros(made.event_shape).as_subclass(Watched)
    made.log_prob(x), made.mean, made.variance, made.score(x)


def test_an_unchecked_mixture_is_the_checked_one():
    mean, root = torch.randn(4, 2, 3), torch.randn(4, 2, 3, 3)
    covariance, weights = root @ root.mT + torch.eye(3), torch.tensor([0.0, 2.0]).expand(4, 2)
    checked = mx.Mixture(weights, mx.Gaussian(mean, covariance))
    free = mx.Mixture(weights, mx.Gaussian(mean, covariance, validate_args=False), validate_args=False)
    assert isinstance(free, torch.distributions.Distribution)
    assert free.batch_shape == (4,) and free.event_shape == (3,)
    x = torch.randn(5, 4, 3)
    assert torch.equal(free.log_prob(x), checked.log_prob(x))


def test_shapes_are_checked_all_the_same():
    with pytest.raises(MixtureError, match="covariance"):
        mx.Gaussian(torch.zeros(2, 3), mx.Spherical(torch.ones(4)), validate_args=False)
