"""The tables of all families and all covariance structures: every parametrised test of the laws reads them.

A new family or structure is one more line here. Scales are unequal and none of them is 1: defects hide at 1.
"""

from __future__ import annotations

import torch

import mixtura as mx
from mixtura.components import Component, Structure, TorchComponent

FEATURES, COMPONENTS = 3, 2


def tensor(*values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def matrices(*shape: int, seed: int = 3) -> torch.Tensor:
    """Covariance matrices of very different scales, correlated."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(*shape, FEATURES, FEATURES, generator=generator, dtype=torch.float64)
    scale = tensor(0.4, 1.7, 3.0)
    covariance = root @ root.mT + 0.5 * torch.eye(FEATURES, dtype=torch.float64)
    return scale[:, None] * covariance * scale


MEAN = tensor([1.0, -2.0, 0.5], [-1.5, 3.0, 2.0])

STRUCTURES: dict[str, Structure] = {
    "full": mx.Full(matrices(2)),
    "diagonal": mx.Diagonal(tensor([0.3, 2.0, 5.0], [4.0, 0.7, 0.2])),
    "spherical": mx.Spherical(tensor(0.4, 3.0)),
    "tied-full": mx.Full(matrices(), tied=True),
    "tied-diagonal": mx.Diagonal(tensor(0.3, 2.0, 5.0), tied=True),
    "tied-spherical": mx.Spherical(tensor(0.4).squeeze(), tied=True),
}

STRUCTURES |= {
    name: mx.components.structure(name).with_covariance(matrices(2))
    for name in ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
}
STRUCTURES["eigen"] = mx.Eigen.of(mx.Full(matrices(2, seed=8)), 3)
STRUCTURES["tied-eigen"] = mx.Eigen.of(mx.Full(matrices(), tied=True), 3)
LOADINGS = tensor([[0.4], [-2.0], [3.0]], [[1.5], [0.6], [1.0]])
STRUCTURES["low-rank-1"] = mx.LowRank.from_loadings(LOADINGS, tensor([0.3, 2.0, 5.0], [4.0, 0.7, 0.2]))
STRUCTURES["tied-low-rank-1"] = mx.LowRank.from_loadings(LOADINGS[0], tensor(0.3, 2.0, 5.0), tied=True)

GAUSSIANS: dict[str, Component] = {name: mx.Gaussian(MEAN, structure) for name, structure in STRUCTURES.items()}

NORMALS: dict[str, Component] = {
    "normal": mx.Normal(tensor(-1.0, 2.0, 2.5), tensor(0.3, 2.0, 0.7)),
    "normal-tied": mx.Normal.of(mx.Gaussian(tensor([-1.0], [2.0]), mx.Spherical(tensor(2.5).squeeze(), tied=True))),
}

COUNTS: dict[str, Component] = {
    "poisson": mx.Poisson(tensor(0.7, 12.0)),
    "poisson-vectors": mx.Poisson(tensor([0.7, 12.0], [3.0, 2.0]), vectors=True),
    "bernoulli": mx.Bernoulli(tensor(0.2, 0.9)),
    "bernoulli-vectors": mx.Bernoulli(tensor([0.2, 0.9, 0.4, 0.1], [0.7, 0.3, 0.8, 0.6]), vectors=True),
    "binomial": mx.Binomial(7, tensor(0.2, 0.7)),
    "geometric": mx.Geometric(tensor(0.2, 0.7)),
    "categorical": mx.Categorical(tensor([0.2, 0.3, 0.5], [0.6, 0.3, 0.1])),
    "categorical-vectors": mx.Categorical(
        tensor([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], [[0.6, 0.3, 0.1], [0.4, 0.5, 0.1]]), vectors=True
    ),
    "multinomial": mx.Multinomial(tensor([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]), total_count=4),
}

POSITIVE: dict[str, Component] = {
    "exponential": mx.Exponential(tensor(0.3, 5.0)),
    "gamma": mx.Gamma(tensor(0.8, 5.0), tensor(0.3, 2.0)),
    "gamma-vectors": mx.Gamma(tensor([4.8, 5.0], [6.0, 9.0]), tensor([0.3, 2.0], [3.0, 1.5]), vectors=True),
    "inverse-gamma": mx.InverseGamma(tensor(9.0, 12.0), tensor(3.0, 40.0)),
    "log-normal": mx.LogNormal(tensor(-0.5, 1.0), tensor(0.5, 0.3)),
    "log-normal-vectors": mx.LogNormal(
        tensor([-0.5, 1.0], [1.0, 0.0]), mx.Full(tensor([[0.3, 0.1], [0.1, 0.2]], [[0.1, -0.05], [-0.05, 0.3]]))
    ),
    "beta": mx.Beta(tensor(2.0, 0.7), tensor(5.0, 1.4)),
    "dirichlet": mx.Dirichlet(tensor([2.0, 3.0, 1.5], [6.0, 1.2, 4.0])),
}

STEPWISE: dict[str, Component] = {
    "weibull": mx.Weibull(tensor(0.5, 3.0), tensor(1.4, 2.5)),
    "laplace": mx.Laplace(tensor(-2.0, 3.0), tensor(0.5, 2.0)),
    "laplace-vectors": mx.Laplace(tensor([-2.0, 3.0], [1.0, 0.0]), tensor([0.5, 2.0], [3.0, 0.3]), vectors=True),
    "negative-binomial": mx.NegativeBinomial(tensor(2.5, 7.0), tensor(0.3, 0.7)),
}

STUDENTS: dict[str, Component] = {
    "student-numbers": mx.StudentT(tensor(-1.0, 2.0), tensor(0.5, 2.0), tensor(9.0, 12.0)),
    **{f"student-{name}": mx.StudentT(MEAN, structure, tensor(9.0, 14.0)) for name, structure in STRUCTURES.items()},
}

COMPOSED: dict[str, Component] = {
    "beside": mx.Beside(mx.Normal(tensor(-1.0, 2.0), tensor(0.3, 2.0)), mx.Laplace(tensor(0.5), tensor(3.0))),
    "product": mx.Product((NORMALS["normal-tied"], mx.Binomial(3, tensor(0.2, 0.7))), ((1,), (0,))),
    "product-vectors": mx.Product(
        (mx.Gaussian(MEAN[:, :2], mx.Full(matrices(2)[:, :2, :2])), mx.Bernoulli(tensor(0.7, 0.2))), ((0, 2), (1,))
    ),
}

TORCH: dict[str, Component] = {
    "torch-gamma": TorchComponent(torch.distributions.Gamma(tensor(0.8, 5.0), tensor(0.3, 2.0))),
    "torch-poisson": TorchComponent(torch.distributions.Poisson(tensor(0.7, 12.0))),
    "torch-laplace": TorchComponent(torch.distributions.Laplace(tensor(-2.0, 3.0), tensor(0.5, 2.0))),
    "torch-lognormal": TorchComponent(torch.distributions.LogNormal(tensor(-0.5, 1.0), tensor(0.5, 0.3))),
    "torch-independent": TorchComponent(
        torch.distributions.Independent(torch.distributions.Gumbel(MEAN[:, :2], tensor([0.5, 2.0], [1.5, 0.3])), 1)
    ),
    "torch-dirichlet": TorchComponent(torch.distributions.Dirichlet(tensor([2.0, 3.0, 1.5], [6.0, 1.2, 4.0]))),
}

# Families with `statistics` and `update`; in `GRADUAL`, those whose update only raises the likelihood.
LEARNABLE: dict[str, Component] = {**NORMALS, **GAUSSIANS, **COUNTS, **POSITIVE, **STUDENTS, **STEPWISE, **COMPOSED}
GRADIENT = {name: TORCH[name] for name in ("torch-gamma", "torch-poisson", "torch-lognormal", "torch-independent")}
LEARNABLE |= GRADIENT
GRADUAL: set[str] = {*STUDENTS, *STEPWISE, *GRADIENT, "beside"}

GRADUAL |= {"low-rank-1", "tied-low-rank-1"}  # a few of Newton's steps
GRADUAL |= {"VEI", "VEE", "EVE", "VVE", "VEV"}  # two steps from the covariances before

FAMILIES: dict[str, Component] = {**LEARNABLE, **TORCH}
