"""The compiled M-steps of small tables against those of the classes."""

import numpy as np
import pytest
import torch
from numba import njit

from mixtura.components import structure
from mixtura.kernels.numba.small import covariances as compiled

SHARED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")


@njit(error_model="numpy")
def call(code, degrees, moment, previous, components, features):
    room = np.full(compiled.covariances_room(components, features), np.nan)
    compiled.covariances(code, degrees, moment, previous, 0, components, features, room)


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
