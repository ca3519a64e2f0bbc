"""Families with conjugate priors: one line each, read by `test_conjugate.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import mixtura as mx
from mixtura.components import Component, ConjugatePrior, Statistics
from mixtura.learning import soft


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


PERTURB: dict[type, Callable] = {mx.Gaussian: _jiggle_gaussian, mx.Normal: _jiggle_gaussian}


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

CASES = [
    *(
        Case(f"{shape.__name__}{'-tied' * tied}", NIW, gaussian(shape, tied))
        for shape in (mx.Full, mx.Diagonal, mx.Spherical)
        for tied in (False, True)
    ),
    Case("Normal", NIW_1, NORMAL),
]
