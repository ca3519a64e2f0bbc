"""Functions of torch as machine code: values and gradients are autograd's, or the code is refused and says why."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributions as td
from traced_cases import CASES, LAWS, positive_matrix

pytest.importorskip("llvmlite")
from mixtura.kernels.traced.density import Untraceable, compiled  # noqa: E402

D = torch.float64
N = 19  # two whole blocks of rows and a part of one


@dataclass
class Rows:
    """Rows with a density in torch."""

    data: tuple[torch.Tensor, ...]
    function: Any

    def log_prob(self, values, *data):
        return self.function(values, *data)


def numbers(shape, low=-1.0, high=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=D)


def by_autograd(prepared, terms, u):
    u = u.clone().requires_grad_()
    values, head = prepared(u)
    total = head + sum(term.log_prob(values, *term.data).sum() for term in terms)
    return total.item(), torch.autograd.grad(total, u, allow_unused=True, materialize_grads=True)[0].clone().numpy(
        force=True
    )


def agrees(prepared, terms, points, rtol=1e-9):
    """Traced at one point, equal at others."""
    density = compiled(prepared, terms, points[0])
    for u in points[1:]:
        value, gradient = density(u.numpy())
        expected, slope = by_autograd(prepared, terms, u)
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=rtol, atol=rtol * max(1.0, np.abs(slope).max()))


def weighed(found):
    """One number that sees every entry of a tensor."""
    return (found * torch.linspace(1, 2, found.numel(), dtype=found.dtype).reshape(found.shape)).sum()


@pytest.mark.parametrize("name", CASES)
def test_operations_on_parameters(name):
    function, (low, high), shape = CASES[name]
    points = [numbers(math.prod(shape), low, high, seed) for seed in range(4)]
    agrees(lambda u: (None, weighed(function(u.reshape(shape)))), [], points)


@pytest.mark.parametrize("name", CASES)
def test_operations_on_rows(name):
    """The same function of what differs from row to row, in the lanes of the loop."""
    function, (low, high), shape = CASES[name]
    count = math.prod(shape)
    rows = numbers((N, count), low, high, 9)

    def each(share, x):  # between a row and the parameters, so that ranges are kept
        mixed = share * x + (1 - share) * (0.5 * (low + high))
        return torch.stack([weighed(function(one.reshape(shape))) for one in mixed])

    points = [numbers(count, 0.3, 0.9, seed) for seed in range(3)]
    agrees(lambda u: (u, u.sum()), [Rows((rows,), each)], points)


@pytest.mark.parametrize("name", LAWS)
def test_laws_of_torch_as_priors(name):
    law, (low, high), shape = LAWS[name]
    points = [numbers(math.prod(shape), low, high, seed) for seed in range(3)]
    agrees(lambda u: (None, law.log_prob(u).sum() + u.sum()), [], points, rtol=1e-6)  # some hold single precision


def test_a_law_of_correlations():
    law, map = td.LKJCholesky(3, 2.0, validate_args=False), td.biject_to(td.constraints.corr_cholesky)

    def prepared(u):
        factor = map(u)
        return factor, law.log_prob(factor) + map.log_abs_det_jacobian(u, factor)

    agrees(prepared, [], [numbers(3, seed=seed) for seed in range(3)], rtol=1e-6)


def test_a_law_of_weights():
    law, map = td.Dirichlet(torch.tensor([2.0, 3.0, 4.0]).double(), validate_args=False), td.StickBreakingTransform()

    def prepared(u):
        weights = map(u)
        return weights, law.log_prob(weights) + map.log_abs_det_jacobian(u, weights)

    agrees(prepared, [], [numbers(2, seed=seed) for seed in range(3)])


# -- sums over rows


def mixture_of_normals(values, x):
    weights, loc, scale = values
    each = td.Normal(loc, scale, validate_args=False).log_prob(x[:, None])
    return torch.logsumexp(weights.log() + each, -1)


def unpacked(u):
    values = u[:3].softmax(-1), u[3:6] * 3, u[6:].exp()
    return values, -(u * u).sum()


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
def test_any_number_of_rows(rows):
    points = [numbers(9, seed=seed) for seed in range(3)]
    agrees(unpacked, [Rows((numbers(rows, -4, 4, seed=5),), mixture_of_normals)], points)


def test_several_tables_and_none():
    terms = [Rows((numbers(n, -4, 4, seed=n),), mixture_of_normals) for n in (3, 11, 20)]
    points = [numbers(9, seed=seed) for seed in range(3)]
    agrees(unpacked, terms, points)
    agrees(unpacked, [], points)


def test_what_depends_on_rows_alone():
    """Factorials of counts, and columns that are the same in every row, are known before any call."""
    counts = torch.arange(N, dtype=D)

    def each(rate, x, same):
        return x * rate.log() - rate - torch.lgamma(x + 1) + same * x.sqrt() * rate

    agrees(lambda u: (u.exp(), u.sum()), [Rows((counts, torch.full((N,), 2.0, dtype=D)), each)],
           [numbers(1, seed=seed) for seed in range(3)])  # fmt: skip


def test_rows_of_several_kinds_of_numbers():
    """Rows that are vectors, and one that is left out by a mask; gaps hold what is not a number."""
    x, there = numbers((N, 3), seed=3), (numbers(N, seed=4) > 0).double()
    x[there == 0] = math.nan

    def each(loc, x, there):
        clean = torch.where(there[:, None] > 0, x, 0.0)
        return there * -0.5 * ((clean - loc) ** 2).sum(-1)

    agrees(lambda u: (u, u.sum()), [Rows((x, there), each)], [numbers(3, seed=seed) for seed in range(3)])


def test_gaussians_with_full_covariances():
    x = numbers((N, 2), -3, 3, seed=1)

    def prepared(u):
        weights, mean = u[:2].log_softmax(-1), u[2:6].reshape(2, 2)
        factor = torch.linalg.cholesky(positive_matrix(u[6:].reshape(2, 2, 2)))
        return (weights, mean, factor), u.sum()

    def each(values, x):
        weights, mean, factor = values
        law = td.MultivariateNormal(mean, scale_tril=factor, validate_args=False)
        return torch.logsumexp(weights + law.log_prob(x[:, None]), -1)

    agrees(prepared, [Rows((x,), each)], [numbers(14, seed=seed) for seed in range(3)])


def test_an_impossible_component_has_no_share():
    possible = torch.where(numbers((N, 3), seed=2) > 0.5, 0.0, -math.inf).double()
    possible[:, 0] = 0

    def each(values, x, possible):
        weights, loc, scale = values
        density = td.Normal(loc, scale, validate_args=False).log_prob(x[:, None])
        return torch.logsumexp(weights.log() + density + possible, -1)

    agrees(unpacked, [Rows((numbers(N, -4, 4), possible), each)], [numbers(9, seed=seed) for seed in range(3)])


# -- not finite, and refused


def test_outside_of_the_support_the_density_is_zero():
    density = compiled(lambda u: (None, torch.where(u > 0, u.log(), -math.inf).sum()), [], numbers(2, 1, 2))
    assert density(np.array([1.0, -1.0]))[0] == -math.inf
    assert math.isnan(compiled(lambda u: (None, u.log().sum()), [], numbers(1, 1, 2))(np.array([-1.0]))[0])


def test_not_a_number_in_one_component_is_not_hidden():
    density = compiled(lambda u: (None, torch.logsumexp(u.log(), -1)), [], numbers(3, 1, 2))
    assert math.isnan(density(np.array([1.0, -1.0, 2.0]))[0])


def test_a_point_of_another_size_is_refused():
    density = compiled(lambda u: (None, u.sum()), [], numbers(2))
    with pytest.raises(ValueError, match="2 numbers"):
        density(np.zeros(3))


def test_where_the_function_would_raise_the_density_is_not_a_number():
    def guarded(u):
        if bool((u < 0).any()):
            raise ValueError("below zero")
        return u.log().sum() + u.sum()

    agrees(lambda u: (None, guarded(u)), [], [numbers(3, 0.1, 2, seed) for seed in range(3)])
    density = compiled(lambda u: (None, (guarded(u))), [], numbers(3, 0.1, 2))
    assert math.isnan(density(np.array([1.0, -1.0, 2.0]))[0])


def test_a_row_that_would_raise_has_no_density():
    def each(loc, x):
        if bool((x * loc < 0).any()):
            raise ValueError("below zero")
        return (x * loc).log() - x * loc

    terms = [Rows((numbers((N,), 0.1, 2.0),), each)]
    agrees(lambda u: (u, u.sum()), terms, [numbers(1, 0.1, 2, seed) for seed in range(3)])
    assert math.isnan(compiled(lambda u: (u, u.sum()), terms, numbers(1, 0.1, 2))(np.array([-1.0]))[0])


def test_a_look_at_the_data_is_answered_for_all_rows():
    x = numbers((N, 2), seed=3)
    x[4, 1] = math.nan

    def each(loc, x):
        clean = torch.where(x.isnan(), 0.0, x) if bool(x.isnan().any()) else x
        return -((clean - loc) ** 2).sum(-1) * (1.0 if bool((x[:, 0] < 9).all()) else 2.0)

    agrees(lambda u: (u, u.sum()), [Rows((x,), each)], [numbers(2, seed=seed) for seed in range(3)])


REFUSED = {
    "a decision": (lambda u: u.sum() if u.sum() > 0 else -u.sum(), "decide"),
    "a number taken out": (lambda u: u.sum() * u[0].item(), "decide"),
    "an order": (lambda u: u.sort().values[0], "sort"),
    "a place": (lambda u: u[u.argmax()], "argmax"),
    "a place of the largest": (lambda u: u.gather(0, u.max(0).indices[None]).sum(), "place"),
    "a determinant": (lambda u: torch.linalg.det(torch.outer(u, u)), "det"),
    "a derivative": (lambda u: u.exp().digamma().sum(), "digamma"),
    "a length": (lambda u: sum((u * i).sin().exp().sum() for i in range(40_000)), "long|operations"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_machine_code_is_named(name):
    function, said = REFUSED[name]
    with pytest.raises(Untraceable, match=said):
        compiled(lambda u: (None, function(u)), [], numbers(3))


def test_sources_outside_of_torch_are_not_seen():
    """What goes through numpy is a constant here; whoever compiles a density compares it with autograd's."""
    density = compiled(lambda u: (None, u.sum() + float(np.sin(u.numpy()).sum())), [], numbers(3))
    assert density(numbers(3, seed=1).numpy())[0] != pytest.approx(
        float((numbers(3, seed=1).sin() + numbers(3, seed=1)).sum())
    )
