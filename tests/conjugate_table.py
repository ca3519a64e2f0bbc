"""Families with conjugate priors: one line each, read by `test_conjugate.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import mixtura as mx
from mixtura.components import Component, Statistics
from mixtura.learning import soft
from mixtura.priors import ConjugatePrior


@dataclass
class Case:
    name: str
    prior: ConjugatePrior
    components: Component  # K = 2 components about which sums are taken

    def rows(self, count: int) -> Tensor:
        labels = torch.arange(count) % self.components.batch_shape[-1]
        return self.components.draw(labels, torch.Generator().manual_seed(7))

    def perturb(self, components: Component, size: float, generator: torch.Generator | None = None) -> Component:
        generator = generator or torch.Generator().manual_seed(11)
        return PERTURB.get(type(components), _jiggle)(components, size, generator)


def _jiggle(components: Component, size: float, generator: torch.Generator) -> Component:
    """Moves every positive parameter by a factor near one, and every other one by a little."""

    def moved(t: Tensor) -> Tensor:
        noise = size * torch.randn(t.shape, dtype=t.dtype, generator=generator)
        return t * noise.exp()

    return components.map(moved)


def _jiggle_gaussian(components: Component, size: float, generator: torch.Generator) -> Component:
    def moved(t: Tensor) -> Tensor:
        return t * (1 + size * torch.randn(t.shape, dtype=t.dtype, generator=generator))

    return components.map(moved)


def _jiggle_shares(components: Component, size: float, generator: torch.Generator) -> Component:
    moved = _jiggle_gaussian(components, size, generator)
    return moved._replace(logits=moved.logits.log_softmax(-1))


PERTURB: dict[type, Callable] = {mx.Gaussian: _jiggle_gaussian, mx.Normal: _jiggle_gaussian}
PERTURB |= {mx.Categorical: _jiggle_shares, mx.Multinomial: _jiggle_shares}


def sums(components: Component, x: Tensor) -> Statistics:
    logits = torch.zeros(components.batch_shape, dtype=x.dtype).log_softmax(-1)
    return components.expect(logits, x, None, soft)


def shared(case: Case) -> Statistics:
    return sums(case.components, case.rows(12))


def posterior(case: Case):
    return case.prior.posterior(shared(case), case.components)


NIW = mx.NormalInverseWishart(
    torch.tensor([0.3, -0.5], dtype=torch.float64),
    1.5,
    torch.tensor([[2.0, 0.4], [0.4, 3.0]], dtype=torch.float64),
    6.5,
)


def gaussian(structure, tied: bool = False) -> mx.Gaussian:
    covariance = torch.tensor([[[1.0, 0.3], [0.3, 2.0]], [[0.5, -0.2], [-0.2, 0.7]]], dtype=torch.float64)
    mean = torch.tensor([[0.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
    return mx.Gaussian(mean, structure(tied=tied).with_covariance(covariance[:1] if tied else covariance))


NIW_1 = mx.NormalInverseWishart(torch.tensor([0.3]).double(), 1.5, torch.tensor([[2.0]]).double(), 5.5)
NORMAL = mx.Normal(torch.tensor([0.0, 3.0]).double(), torch.tensor([1.0, 0.6]).double())


def numbers(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


CASES = [
    *(
        Case(f"{shape.__name__}{'-tied' * tied}", NIW, gaussian(shape, tied))
        for shape in (mx.Full, mx.Diagonal, mx.Spherical)
        for tied in (False, True)
    ),
    Case("Normal", NIW_1, NORMAL),
    Case("Poisson", mx.Conjugate(1.5, 2.0), mx.Poisson(numbers([1.5, 5.0]))),
    Case("Poisson-vectors", mx.Conjugate(1.5, 2.0), mx.Poisson(numbers([[1.5, 5.0], [2.0, 0.7]]), vectors=True)),
    Case("Bernoulli", mx.Conjugate.beta(1.5, 2.5), mx.Bernoulli(numbers([0.3, 0.8]))),
    Case("Binomial", mx.Conjugate(1.5, 1.8), mx.Binomial(4, numbers([0.3, 0.8]))),
    Case("Geometric", mx.Conjugate(3.5, 1.2), mx.Geometric(numbers([0.3, 0.8]))),
    Case("Exponential", mx.Conjugate(2.5, 1.2), mx.Exponential(numbers([0.3, 2.0]))),
    Case(
        "Categorical",
        mx.Conjugate.dirichlet(numbers([1.5, 1.0, 2.5])),
        mx.Categorical(numbers([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])),
    ),
    Case(
        "Categorical-vectors",
        mx.Conjugate.dirichlet(numbers([1.5, 1.0, 2.5])),
        mx.Categorical(numbers([[[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]] * 2), vectors=True),
    ),
    Case(
        "Multinomial",
        mx.Conjugate(1.5, numbers([1.0, 1.5, 1.5])),
        mx.Multinomial(numbers([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]), 4),
    ),
    Case(
        "Product",
        mx.priors.JointPrior((NIW, mx.Conjugate.beta(1.5, 2.5))),
        mx.Product((gaussian(mx.Full), mx.Bernoulli(numbers([0.3, 0.8]))), ((0, 2), (1,))),
    ),
    Case("LogNormal", NIW_1, mx.LogNormal(numbers([0.0, 1.0]), numbers([0.3, 0.2]))),
]
