"""A family of one's own is one class and how it starts: nothing of ours is edited, and everything serves it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import constraints

import mixtura as mx
from mixtura.components import Component, Family, Statistics
from mixtura.errors import MixtureError
from mixtura.testing import ComponentContract, LearnableContract

# ---------------------------------------------------------------- the whole of the new family


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Rayleigh(Component):
    """Lengths of normal vectors in the plane: p(x) = x / s^2 exp(-x^2 / 2 s^2) for x > 0."""

    scale: Tensor
    domain = constraints.positive

    def __init__(self, scale: Tensor) -> None:
        object.__setattr__(self, "scale", scale)

    @property
    def batch_shape(self) -> torch.Size:
        return self.scale.shape

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size()

    @property
    def support(self):
        return constraints.positive

    @property
    def parameters(self) -> int:
        return self.batch_shape[-1]

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(math.pi / 2)

    @property
    def variance(self) -> Tensor:
        return (2 - math.pi / 2) * self.scale.square()

    def log_prob(self, x: Tensor) -> Tensor:
        z = x.unsqueeze(-1) / self.scale
        return z.log() - self.scale.log() - 0.5 * z.square()

    def draw(self, labels: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chosen = self.chosen(labels).scale
        waiting = torch.rand(chosen.shape, dtype=chosen.dtype, device=chosen.device, generator=generator)
        return chosen * (-2 * torch.log1p(-waiting)).sqrt()

    def statistics(self, x: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        return (torch.einsum("n,n...->...", x.square().double(), r.double()),)

    def update(self, statistics: Statistics, prior=None) -> Rayleigh:
        (squares,) = statistics.moments
        return Rayleigh((0.5 * squares / statistics.weight).sqrt().to(self.dtype))


@dataclass(frozen=True, eq=False, repr=False)
class RayleighFamily(Family, of=[Rayleigh]):
    """How Rayleigh components start; a floor under the first scales is its one setting."""

    least: float = 0.0

    def start(self, x: Tensor, r: Tensor) -> Rayleigh:
        scale = (0.5 * torch.einsum("n,nbk->bk", x.square(), r) / r.sum(0).clamp_min(1e-9)).sqrt()
        return Rayleigh(scale.clamp_min(max(self.least, 1e-3)))


# ---------------------------------------------------------------- and what serves it

TRUTH = mx.Mixture(
    torch.tensor([0.4, 0.6], dtype=torch.float64), Rayleigh(torch.tensor([0.5, 6.0], dtype=torch.float64))
)


def lengths(rows: int = 2000) -> Tensor:
    return TRUTH.sample((rows,), torch.Generator().manual_seed(0))


class TestLaws(ComponentContract):
    def make(self) -> Component:
        return TRUTH.components


class TestLearning(LearnableContract):
    def make(self) -> Component:
        return TRUTH.components


def test_it_is_fitted_and_its_fit_is_near_the_truth():
    fit = mx.fit(lengths(), 2, family=Rayleigh)
    order = fit.mixture.components.scale.argsort()
    torch.testing.assert_close(fit.mixture.components.scale[order], TRUTH.components.scale, rtol=0.06, atol=0)
    assert fit.converged and fit.parameters == 3
    assert (fit.trace.diff() > -1e-12).all()


def test_it_is_saved_and_loaded(tmp_path):
    TRUTH.save(tmp_path / "lengths.safetensors")
    again = mx.load(tmp_path / "lengths.safetensors")
    assert type(again.components) is Rayleigh
    assert torch.equal(again.log_prob(lengths(9)), TRUTH.log_prob(lengths(9)))


def test_it_is_selected_beside_others():
    found = mx.select(lengths(), (1, 2), family=(Rayleigh, mx.Exponential))
    assert found.table[0].components == 2 and found.table[0].covariance == "Rayleigh"


def test_it_is_frozen():
    fit = mx.fit(lengths(), init=TRUTH, freeze=mx.Freeze(components=(0,)))
    assert fit.mixture.components.scale[0] == TRUTH.components.scale[0]
    assert fit.mixture.components.scale[1] != TRUTH.components.scale[1] and fit.parameters == 2


def test_it_stands_in_products_and_beside_noise():
    x = torch.stack([lengths(), torch.arange(2000.0, dtype=torch.float64) % 3], -1)
    both = mx.Product.template((Rayleigh, [0]), (mx.Categorical.template(categories=3), [1]))
    assert repr(both) == "Template(Rayleigh x Categorical(categories=3))"
    assert type(mx.fit(x, 2, family=both).mixture.components.parts[0]) is Rayleigh
    noisy = mx.fit(torch.cat([lengths(), torch.tensor([90.0]).double()]), 2, family=mx.Beside.with_noise(Rayleigh))
    assert noisy.mixture.logits.shape == (3,)


def test_its_settings_and_rows_are_checked():
    assert repr(Rayleigh.template(least=0.5)) == "Template(Rayleigh(least=0.5))"
    assert repr(Rayleigh.template()) == "Template(Rayleigh)"
    with pytest.raises(MixtureError, match="`settings` must be among least"):
        Rayleigh.template(most=3)
    with pytest.raises(MixtureError, match="positive, for Rayleigh components"):
        mx.fit(torch.tensor([1.0, -1.0, 2.0]), 1, family=Rayleigh)


def test_a_component_that_does_not_say_how_it_starts_is_refused_with_advice():
    class Nothing(Rayleigh):
        pass

    assert repr(Nothing.template()) == "Template(Nothing)"  # what is derived starts as what it derives from

    class Alone(Component):
        pass

    with pytest.raises(MixtureError, match=r"Derive a class from mx.components.Family"):
        mx.fit(lengths(), 2, family=Alone)


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        (mx.Poisson.template(), "Poisson"),
        (mx.Binomial.template(total_count=10), "Binomial(total_count=10)"),
        (mx.Gaussian.template(), "Gaussian"),
        (mx.Gaussian.template(structure=mx.Diagonal(tied=True)), "Gaussian(tied-diagonal)"),
        (mx.StudentT.template(shared=True), "StudentT(shared=True)"),
        (mx.StudentT.template(structure=mx.Full(), fixed=4.0), "StudentT(full, fixed=4.0)"),
        (mx.Bernoulli.template(vectors=True), "Bernoulli"),
        (mx.Product.template((mx.Normal, "mass"), (mx.Poisson, ["eggs", "chicks"])), "Normal x Poisson"),
        (mx.Beside.with_noise(mx.Gaussian), "Gaussian + Uniform"),
        (mx.components.TorchComponent.template(distribution=torch.distributions.Gumbel), "Gumbel"),
    ],
)
def test_families_show_their_settings(family, shown):
    assert repr(family) == f"Template({shown})"
