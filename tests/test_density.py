"""The log-density and its gradients: the fused way against the plain expression, and what may look through it."""

import pytest
import torch
from torch import Tensor

import mixtura as mx
from mixtura.components.base import Component

STRUCTURES = {
    "full": lambda factor: mx.Full.from_scale_tril(factor),
    "tied-full": lambda factor: mx.Full.from_scale_tril(factor[:1], tied=True),
    "diagonal": lambda factor: mx.Diagonal(factor.diagonal(dim1=-2, dim2=-1).square()),
    "tied-diagonal": lambda factor: mx.Diagonal(factor[:1].diagonal(dim1=-2, dim2=-1).square(), tied=True),
    "spherical": lambda factor: mx.Spherical(factor[:, 0, 0].square()),
    "tied-spherical": lambda factor: mx.Spherical(factor[:1, 0, 0].square(), tied=True),
}


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=STRUCTURES)
def structure(request):
    return STRUCTURES[request.param]


def leaves(rows: int = 400, features: int = 3, components: int = 4, far: float = 0.0) -> list[Tensor]:
    """Rows, logits, means and Cholesky factors that ask for gradients."""
    mean = torch.randn(components, features) + far
    x = mean[torch.randint(components, (rows,))] + 1.5 * torch.randn(rows, features)
    scale = 0.5 + torch.rand(components, features)
    factor = torch.randn(components, features, features).tril(-1) + torch.diag_embed(scale)
    return [t.requires_grad_() for t in (x, torch.randn(components), mean, factor)]


def mixture(structure, logits: Tensor, mean: Tensor, factor: Tensor) -> mx.Mixture:
    return mx.Mixture(logits=logits, components=mx.Gaussian(mean, structure(factor)))


def expression(given: mx.Mixture, x: Tensor) -> Tensor:
    return Component.mixture_log_prob(given.components, given.logits, x)


INCOMING = {
    "positive": lambda g: g.abs(),
    "negative": lambda g: -g.abs(),
    "mixed": lambda g: g,
    "zero": torch.zeros_like,
}


@pytest.mark.parametrize("sign", INCOMING)
@pytest.mark.parametrize("rows", [1, 400, 20_000])
@pytest.mark.slow
def test_gradients_are_those_of_the_expression(structure, sign, rows):
    x, *parameters = leaves(rows)
    g = INCOMING[sign](torch.randn(rows))
    given = mixture(structure, *parameters)
    fused, plain = given.log_prob(x), expression(given, x)
    torch.testing.assert_close(fused, plain)
    mine = torch.autograd.grad(fused, [x, *parameters], g, retain_graph=True)
    torch.testing.assert_close(mine, torch.autograd.grad(plain, [x, *parameters], g), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("which", range(4))
def test_gradients_in_one_thing_alone(structure, which):
    given = [t.detach() for t in leaves()]
    given[which].requires_grad_()
    x, *parameters = given
    values = mixture(structure, *parameters).log_prob(x), expression(mixture(structure, *parameters), x)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), given[which])[0] for value in values))


def test_gradients_of_gradients(structure):
    assert torch.autograd.gradgradcheck(
        lambda x, *parameters: mixture(structure, *parameters).log_prob(x), leaves(6, 2, 3), atol=1e-6
    )


def test_score_is_the_gradient(structure):
    x, *parameters = leaves(20_000)
    given = mixture(structure, *(t.detach() for t in parameters))
    (gradient,) = torch.autograd.grad(given.log_prob(x).sum(), x)
    torch.testing.assert_close(given.score(x.detach()), gradient)
    torch.testing.assert_close(given.score(x).detach(), gradient)  # by the expression that can be differentiated again


def test_score_in_float32_far_from_zero(structure):
    x, *parameters = (t.detach() for t in leaves(far=1e4))
    exact = mixture(structure, *parameters)
    rounded = exact.map(Tensor.float)
    score = exact.map(lambda t: t.float().double()).score(x.float().double())
    slack = 2e-3 * score.abs().max().item()
    torch.testing.assert_close(rounded.score(x.float()).double(), score, rtol=2e-3, atol=slack)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # from inside forward mode
def test_transforms_look_through():
    x, *parameters = (t.detach() for t in leaves(5))
    given = mixture(STRUCTURES["full"], *parameters)
    total = lambda rows: given.log_prob(rows).sum()  # noqa: E731
    torch.testing.assert_close(torch.func.grad(total)(x), given.score(x))
    torch.testing.assert_close(torch.func.jvp(total, (x,), (x,))[1], (given.score(x) * x).sum())
    torch.testing.assert_close(torch.func.vmap(given.log_prob)(x.unsqueeze(1)).squeeze(1), given.log_prob(x))
    hessian = torch.func.hessian(total)(x)
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(total, x))


def test_no_rows(structure):
    x, *parameters = leaves(0)
    given = mixture(structure, *parameters)
    gradients = torch.autograd.grad(given.log_prob(x).sum(), [x, *parameters])
    assert all(bool((gradient == 0).all()) for gradient in gradients)


def test_a_dead_component_pulls_nothing(structure):
    x, logits, mean, factor = (t.detach() for t in leaves())
    logits[1] = -torch.inf
    dead = mixture(structure, logits, mean.requires_grad_(), factor)
    (gradient,) = torch.autograd.grad(dead.log_prob(x).sum(), mean)
    assert bool((gradient[1] == 0).all()) and bool((gradient[0] != 0).all())
