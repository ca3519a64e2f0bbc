r"""Pathwise gradients of draws: exact in the mean, and exact for each draw.

Two oracles that share nothing with the code: the gradient of :math:`E[f(x)]` in closed form or by quadrature, and the
definition itself, that the Rosenblatt uniforms of a draw stay where they are while the draw moves.
"""

import pytest
import scipy.stats
import torch
from tables import FEATURES, GAUSSIANS, MEAN, NORMALS, STRUCTURES, tensor

import mixtura as mx
from mixtura.mixture.implicit import reparameterise
from mixtura.testing import integrate
from mixtura.testing.contract import assert_close, assert_z

WEIGHTS = {2: tensor(0.3, 0.7), 3: tensor(0.2, 0.5, 0.3)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def leaves(components):
    """Weights (not normalised) and the parameters of the components, as leaves; and how to build the mixture."""
    inputs = [WEIGHTS[components.batch_shape[-1]], *components.tensors()]
    inputs = [t.detach().clone().requires_grad_() for t in inputs]

    def build(weights, *rest):
        replaced = iter(rest)
        return mx.Mixture(weights, components.map(lambda _: next(replaced)))

    return inputs, build


def per_draw(build, inputs, test, count):
    """For each draw, the gradient of test(x) in all inputs, flattened: (count, P). Each draw has inputs of its own."""
    own = [t.detach().expand(count, *t.shape).clone().requires_grad_() for t in inputs]
    x = build(*own).rsample((), generator())
    return flat(torch.autograd.grad(test(x).sum(), own), 1)


def flat(gradients, batch=0):
    """Gradients side by side; of a matrix only the lower triangle, as factors have no other part."""
    lower = [g.tril() if g.ndim == batch + 3 and g.shape[-1] == g.shape[-2] else g for g in gradients]
    return torch.cat([g.flatten(batch) for g in lower], -1)


QUADRATIC = tensor([0.5, 0.2, -0.3], [0.2, 1.0, 0.4], [-0.3, 0.4, -0.7])
LINEAR = tensor(1.0, -2.0, 0.5)


def polynomial(x):
    return torch.einsum("...i,ij,...j->...", x, QUADRATIC, x) + x @ LINEAR


def expected_polynomial(mixture):
    moment = mixture.covariance + mixture.mean.unsqueeze(-1) * mixture.mean.unsqueeze(-2)
    return (moment * QUADRATIC).sum((-2, -1)) + mixture.mean @ LINEAR


@pytest.mark.parametrize("name", GAUSSIANS)
@pytest.mark.slow
def test_gradients_are_those_of_the_expectation(name):
    inputs, build = leaves(GAUSSIANS[name])
    exact = flat(torch.autograd.grad(expected_polynomial(build(*inputs)), inputs))
    assert_z(per_draw(build, inputs, polynomial, 20_000), exact, name)


@pytest.mark.parametrize("name", NORMALS)
def test_gradients_of_numbers_are_those_of_quadrature(name):
    """cos x is not a polynomial, so that not only moments are right."""
    inputs, build = leaves(NORMALS[name])
    mixture = build(*inputs)
    frozen = mixture.detach()
    exact = integrate(
        lambda x: x.cos() * mixture.log_prob(x).exp(), mixture.support, frozen.mean, frozen.variance.sqrt()
    )
    assert_z(per_draw(build, inputs, torch.cos, 20_000), flat(torch.autograd.grad(exact, inputs)), name)


def test_gradients_in_batches():
    components = mx.Gaussian(torch.stack([MEAN, -2 * MEAN]), mx.Spherical(tensor([0.4, 3.0], [1.5, 0.2])))
    weights = tensor([0.3, 0.7], [0.6, 0.4])
    inputs = [t.clone().requires_grad_() for t in (weights, *components.tensors())]

    def build(weights, *rest):
        replaced = iter(rest)
        return mx.Mixture(weights, components.map(lambda _: next(replaced)))

    exact = flat(torch.autograd.grad(expected_polynomial(build(*inputs)).sum(), inputs))
    assert_z(per_draw(build, inputs, lambda x: polynomial(x).sum(-1), 20_000), exact, "a batch of two")


@pytest.mark.parametrize("name", [*GAUSSIANS, *NORMALS])
def test_the_uniforms_of_a_draw_stay(name):
    """Moving the parameters along d and each draw by its gradient along d changes no conditional probability."""
    inputs, build = leaves({**GAUSSIANS, **NORMALS}[name])
    direction = [torch.randn(t.shape, generator=generator(1), dtype=t.dtype) * t.detach().abs() for t in inputs]
    x = build(*inputs).rsample((64,), generator())
    rows = [torch.autograd.grad(number, inputs, retain_graph=True) for number in x.reshape(-1)]
    motion = torch.stack([sum((g * d).sum() for g, d in zip(row, direction, strict=True)) for row in rows])
    motion, h = motion.reshape(x.shape), 1e-6
    with torch.no_grad():
        ahead = build(*(t + h * d for t, d in zip(inputs, direction, strict=True)))
        behind = build(*(t - h * d for t, d in zip(inputs, direction, strict=True)))
        change = (rosenblatt(ahead, x + h * motion) - rosenblatt(behind, x - h * motion)) / (2 * h)
    assert_close(change, torch.zeros_like(change), 1e-6, "the change of the uniforms")


def rosenblatt(mixture, x):
    """Conditional distribution functions from marginals alone: F_d = sum_k w_k(x_<d) Phi of the conditional law."""
    if not mixture.event_shape:
        return mixture.cdf(x).unsqueeze(-1)
    columns = []
    for d in range(FEATURES):
        one = mixture.marginal(list(range(d + 1)))
        one = one.condition(list(range(d)), x[..., :d]) if d else one
        columns.append(one.cdf(x[..., d : d + 1]))
    return torch.stack(columns, -1)


def test_draws_are_the_same_as_without_gradients():
    inputs, build = leaves(GAUSSIANS["full"])
    plain = build(*inputs).detach()
    assert bool((build(*inputs).rsample((5,), generator()) == plain.sample((5,), generator())).all())
    assert not plain.rsample((5,)).requires_grad
    assert plain.has_rsample


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,)])
@pytest.mark.parametrize("name", ["full", "normal"])
def test_shapes(name, shape):
    inputs, build = leaves({**GAUSSIANS, **NORMALS}[name])
    x = build(*inputs).rsample(shape)
    assert x.shape == shape + build(*inputs).event_shape
    assert all(g.isfinite().all() for g in torch.autograd.grad(x.sum(), inputs))


def test_float32_gradients_of_far_components_are_finite_and_right():
    """Components 1e4 scales apart: between them the density underflows, but no draw is there."""
    loc = torch.tensor([0.0, 1e4], requires_grad=True)
    weights = torch.tensor([0.5, 0.5], requires_grad=True)
    mixture = mx.Mixture(weights, mx.Normal(loc, torch.ones(2)))
    x = mixture.rsample((4000,), generator())
    label = (x > 5e3).float()
    (of_loc,) = torch.autograd.grad((x * label).sum(), loc, retain_graph=True)
    assert abs(of_loc[1] / label.sum() - 1) < 1e-3 and abs(of_loc[0]) < 1e-3 * len(x)
    assert torch.autograd.grad(x.sum(), weights)[0].isfinite().all()


def test_tails_keep_their_gradients():
    """A draw 12 scales out on either side moves with the mean: dx/dloc = 1."""
    for z in (-12.0, 12.0):
        loc = tensor(0.0).requires_grad_()
        mixture = mx.Mixture(torch.ones(1), mx.Normal(loc, tensor(1.0)))
        moved = reparameterise(mixture, tensor(z))
        assert_close(torch.autograd.grad(moved.sum(), loc)[0], tensor(1.0), 1e-9, f"dx/dloc at {z}")


def test_gradient_of_a_single_normal_is_the_usual_one():
    loc, scale = tensor(1.0).requires_grad_(), tensor(2.5).requires_grad_()
    x = mx.Mixture(torch.ones(1), mx.Normal(loc, scale)).rsample((6,), generator())
    of_loc, of_scale = torch.autograd.grad(x.sum(), [loc, scale])
    assert_close(of_loc, tensor(6.0), 1e-9)
    assert_close(of_scale, ((x - 1.0) / 2.5).sum().reshape(1).detach(), 1e-9)


def test_draws_with_gradients_follow_the_distribution():
    inputs, build = leaves(NORMALS["normal"])
    mixture = build(*inputs)
    u = mixture.cdf(mixture.rsample((5000,), generator())).detach()
    assert scipy.stats.kstest(u.numpy(), "uniform").pvalue > 1e-6


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.slow
def test_fitting_by_pathwise_gradients_reaches_the_target(name):
    """Gradient ascent of E[log q] through draws recovers a shifted mean: the use for which rsample exists."""
    target = mx.Mixture(torch.ones(1), mx.Gaussian(tensor([1.0, -1.0, 2.0]), mx.Spherical(tensor(1.5))))
    location = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    for _ in range(60):
        mixture = mx.Mixture(tensor(0.5, 0.5), GAUSSIANS[name]._replace(location=location))
        loss = -target.log_prob(mixture.rsample((64,), generator())).mean()
        (slope,) = torch.autograd.grad(loss, location)
        location = (location - 1.0 * slope).detach().requires_grad_()
    mean = mx.Mixture(tensor(0.5, 0.5), GAUSSIANS[name]._replace(location=location)).rsample((64,), generator()).mean(0)
    assert_close(mean.detach(), target.mean, 0.1, "the mean of the draws")
