"""Responsibilities times pulls: the compiled pass against the sums written out, and the laws that stand on it."""

import pytest
import torch
from torch.autograd import forward_ad

import mixtura as mx
from mixtura.diffusion import EDM, Process, VariancePreserving
from mixtura.kernels.compiled import compiled_module
from mixtura.kernels.pulls import Pulls, pulled, worth_pulling

F32, F64 = torch.float32, torch.float64
pytestmark = pytest.mark.skipif(compiled_module("pulls") is None, reason="numba does not compile here")
SIZES = [(1, 1, 1), (7, 3, 1), (65, 4, 2), (130, 5, 3), (64, 2, 4), (333, 6, 7), (90, 3, 17), (200, 4, 80)]


def problem(size, dtype=F64, seed=0):
    """Rows (N, D) and K components with matrices of their own."""
    (rows, components, features), generator = size, torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=F64).to(dtype)

    whiten, back = (normal(components, features, features) / features**0.5 for _ in range(2))
    pulls = Pulls(whiten, normal(components, features), normal(components), back, normal(components, features))
    return pulls, normal(rows, features)


def written_out(pulls, x):
    whiten, offset, logits, back, kept = (one.double() for one in pulls)
    z = torch.einsum("kij,nj->nki", whiten, x.double()) + offset
    share = torch.softmax(logits - 0.5 * z.square().sum(-1), -1)
    return torch.einsum("nk,nki->ni", share, kept + torch.einsum("kij,nkj->nki", back, z))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_pass_is_the_sum_written_out(size, dtype):
    pulls, x = problem(size, dtype)
    close = 1e-12 if dtype == F64 else 1e-4
    torch.testing.assert_close(pulled(pulls, x).double(), written_out(pulls, x), rtol=close, atol=close)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_row_s_answer_is_its_own_whatever_the_batch(dtype):
    """To the last bit: sums are taken in the same order in any panel, by any thread."""
    pulls, x = problem((4000, 20, 5), dtype)
    whole = pulled(pulls, x)
    for begin, stop in ((0, 1), (3, 70), (3990, 4000)):
        assert torch.equal(pulled(pulls, x[begin:stop].contiguous()), whole[begin:stop])
    assert torch.equal(pulled(pulls, x.mT.contiguous().mT), whole)  # in another layout


def test_components_without_weight_and_rows_far_away():
    pulls, x = problem((100, 4, 3))
    pulls = pulls._replace(logits=torch.tensor([0.0, -torch.inf, 1.0, -torch.inf], dtype=F64))
    x[0] = 1e100
    left = Pulls(*(one[::2] for one in pulls))
    torch.testing.assert_close(pulled(pulls, x), pulled(left, x), rtol=1e-14, atol=1e-14)
    assert pulled(pulls, x).isfinite().all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_spoils_no_other(bad):
    pulls, x = problem((70, 4, 3))
    clean = pulled(pulls, x)
    x[5, 1] = bad
    found = pulled(pulls, x)
    assert found[5].isnan().all()
    torch.testing.assert_close(found[6:], clean[6:], rtol=0, atol=0)


def a_mixture(components, features, dtype):
    generator = torch.Generator().manual_seed(features)
    root = torch.randn(components, features, features, generator=generator, dtype=F64)
    mean = 3 * torch.randn(components, features, generator=generator, dtype=F64)
    covariance = root @ root.mT / features + 0.1 * torch.eye(features, dtype=F64)
    return mx.Mixture(torch.ones(components, dtype=F64), mx.Gaussian(mean, covariance)).to(dtype)


@pytest.mark.parametrize("features", [2, 3, 24])
@pytest.mark.parametrize("schedule", [VariancePreserving(), EDM()], ids=repr)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_laws_by_the_pass_are_those_of_few_rows(features, schedule, dtype):
    """Many rows are answered by the pass, few by torch, at times of much noise and of next to none."""
    process = Process(a_mixture(6, features, dtype), schedule)
    close = 1e-10 if dtype == F64 else 2e-3
    for share in (1e-3, 0.3, 1.0):
        t = schedule.begin + share * (schedule.end - schedule.begin)
        x = process.at(t).sample((12_000,), torch.Generator().manual_seed(1))
        assert worth_pulling(x, 6) and not worth_pulling(x[:10], 6)
        for ask in (process.denoise, process.score):
            many, few = ask(t, x), ask(t, x[:10])
            size = float(few.abs().max())
            torch.testing.assert_close(many[:10], few, rtol=close, atol=close * size)
            torch.testing.assert_close(ask(t, x.unflatten(0, (3, -1))).flatten(0, 1), many, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # from inside forward mode
def test_gradients_and_transforms_go_around_the_pass():
    process = Process(a_mixture(6, 3, F64), EDM())
    x = process.at(2.0).sample((5000,), torch.Generator().manual_seed(1))
    vector = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=F64)
    wanted = process.belief(2.0, x).times(vector) / 4.0  # Tweedie: the covariance is sigma^2 times the Jacobian
    with forward_ad.dual_level():
        forward = forward_ad.unpack_dual(process.denoise(2.0, forward_ad.make_dual(x, vector))).tangent
    at = x.clone().requires_grad_()
    (backward,) = torch.autograd.grad(process.denoise(2.0, at), at, vector)
    torch.testing.assert_close(forward, wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(backward, wanted, rtol=1e-9, atol=1e-9)
