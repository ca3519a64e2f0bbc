"""Labels that give each row to one component: the compiled pass is the torch expression."""

import pytest
import torch

import mixtura as mx
from mixtura.kernels import reference as torch_pass
from mixtura.learning import Sampled, hard

single_numba = pytest.importorskip("mixtura.kernels.numba.single")

F64 = torch.float64


def parameters(kernel, tied, features, dtype):
    generator = torch.Generator().manual_seed(0)
    restarts, components = 2, 5
    mean = torch.randn(restarts, components, features, generator=generator, dtype=dtype)
    leading = (restarts, 1 if tied else components)
    scale = 0.5 + torch.rand(*leading, features, generator=generator, dtype=dtype)
    if kernel is torch_pass.Full:
        lower = 0.2 * torch.randn(*leading, features, features, generator=generator, dtype=dtype)
        scale = lower.tril(-1) + torch.diag_embed(scale)
    elif kernel is torch_pass.Spherical:
        scale = scale[..., 0]
    return mean, scale, torch.randn(restarts, components, generator=generator, dtype=dtype)


@pytest.mark.parametrize("rule", ["hard", "sampled"])
@pytest.mark.parametrize("dtype", [F64, torch.float32])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kernel", [torch_pass.Full, torch_pass.Diagonal, torch_pass.Spherical])
def test_the_compiled_pass_is_the_torch_expression(kernel, tied, dtype, rule):
    features = 3
    x = torch.randn(3001, features, generator=torch.Generator().manual_seed(1), dtype=dtype)
    weight = torch.rand(3001, generator=torch.Generator().manual_seed(2), dtype=dtype)
    labels = [hard if rule == "hard" else Sampled(torch.Generator().manual_seed(3)) for _ in range(2)]
    arguments = (kernel, x, weight, *parameters(kernel, tied, features, dtype))
    compiled = single_numba.sums(*arguments, labels[0])
    reference = torch_pass.sums(*arguments, labels[1])
    accuracy = 1e-9 if dtype is F64 else 2e-3  # in single precision a row or two may fall on the other side
    for ours, theirs in zip(compiled, reference, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=accuracy, atol=accuracy * 3001)


def test_a_component_without_probability_is_never_picked():
    joint = torch.tensor([[[-torch.inf, 0.0, -torch.inf]]], dtype=F64).expand(1000, 1, 3).clone().numpy()
    for threshold in (0.0, 0.5, 1 - 1e-16, -1.0):
        assert single_numba._pick(joint[0, 0].copy(), threshold)[0] == 1


def test_many_rows_take_it():
    x = torch.randn(80_000, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    fit = mx.fit(x, 8, method=mx.Gibbs(3, 0, 1), generator=torch.Generator().manual_seed(1))
    assert fit.draws.weights.sum(-1).sub(1).abs().max() < 1e-12
