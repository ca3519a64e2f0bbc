"""Rows of many features: compiled sums against sums in float64 written out, near and far, for many and for none."""

from itertools import product

import pytest
import torch

from mixtura import kernels
from mixtura.kernels import DIAGONAL, FULL, SPHERICAL, Plan
from mixtura.kernels.reference import Reference

F64, F32 = torch.float64, torch.float32
FORMS = {"full": FULL, "diagonal": DIAGONAL, "spherical": SPHERICAL}
CASES = list(product(FORMS, (False, True)))
SIZES = [(1100, 32, 3), (300, 37, 1), (901, 100, 10), (5, 50, 4)]  # rows, features, components
COMPILED = [backend for backend in kernels.BACKENDS if type(backend) is not Reference]


def problem(form, tied, size, apart=0.3, offset=0.0, seed=0):
    """Rows of clusters, weights some of which are zero, and a plan at unequal scales."""
    (rows, features, components), generator = size, torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=F64)

    shared = 1 if tied else components
    scale = torch.exp(0.3 * normal(2, shared, features if form != "spherical" else 1))
    mean = apart * normal(1, components, features) + 0.1 * normal(2, components, features) + offset
    x = mean[0, torch.arange(rows) % components] + normal(rows, features) / scale.mean()
    weight = normal(rows).abs() * (torch.arange(rows) % 7 > 0)
    factor = {"full": torch.diag_embed(scale), "diagonal": scale, "spherical": scale[..., 0]}[form]
    if form == "full":
        factor = factor + 0.2 / features**0.5 * normal(2, shared, features, features).tril(-1)
    log_det = scale.log().expand(2, shared, features).sum(-1)
    return x, weight, Plan(FORMS[form], mean, factor, torch.log_softmax(normal(2, components), -1) + log_det)


def written_out(x, weight, plan):
    """Log-likelihood, weights, shifts and second moments, one component at a time."""
    x, weight, mean = x.double(), weight.double(), plan.mean.double()
    t = x - mean.unsqueeze(2)  # (B, K, N, D)
    factor = plan.factors.double()
    match plan.form:
        case kernels.FULL:
            z = t @ factor.mT
        case kernels.DIAGONAL:
            z = t * factor.unsqueeze(2)
        case _:
            z = t * factor[..., None, None]
    joint = plan.logits.double().unsqueeze(-1) - 0.5 * z.square().sum(-1)
    density = joint.logsumexp(1)
    r = (joint - density.unsqueeze(1)).exp() * weight
    second = torch.einsum("bkn,bkni,bknj->bkij", r, t, t)
    second = second if plan.form is FULL else second.diagonal(dim1=-2, dim2=-1)
    second = second.sum(-1) if plan.form is SPHERICAL else second
    return (
        density @ weight,
        r.sum(-1),
        torch.einsum("bkn,bkni->bki", r, t),
        second.sum(1, True) if plan.tied else second,
    )


def check(found, wanted, accuracy):
    """Each sum to so many digits of the largest of its component."""
    for name, one, other in zip(found._fields, found, wanted, strict=False):
        size = other.abs().flatten(2).amax(-1) if other.ndim > 2 else other.abs()
        assert one.shape == other.shape, name
        error = (one - other).abs().flatten(2).amax(-1) if other.ndim > 2 else (one - other).abs()
        assert bool((error <= accuracy * size).all()), (name, (error / size).max())


@pytest.fixture(params=COMPILED, ids=lambda backend: type(backend).__name__)
def backend(request):
    return request.param


def sums(backend, plan, x, weight, dtype=F64):
    tensors = (tensor.to(dtype) for tensor in (plan.mean, plan.factor, plan.logits))
    plan = Plan(plan.form, *tensors)
    x, weight = x.to(dtype), weight.to(dtype)
    if not backend.serves(plan, x):
        pytest.skip(f"{type(backend).__name__} does not serve this plan here")
    return backend.sums(plan, x, weight), written_out(x, weight, plan)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_wide_sums_are_those_written_out(backend, form, tied, size):
    x, weight, plan = problem(form, tied, size)
    check(*sums(backend, plan, x, weight), 1e-11)


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("form", ["diagonal", "spherical"])
def test_where_few_rows_count_their_sums_are_those_of_all(backend, form, dtype):
    x, weight, plan = problem(form, False, (901, 100, 10), apart=2.0)
    check(*sums(backend, plan, x, weight, dtype), 1e-11 if dtype is F64 else 2e-4)


@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.slow
def test_wide_sums_in_single_precision(backend, form, tied, offset):
    x, weight, plan = problem(form, tied, (901, 100, 10), offset=offset)
    check(*sums(backend, plan, x, weight, F32), 2e-3 if offset else 2e-4)


@pytest.mark.parametrize("apart", [30.0, 1e5])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_second_moments_keep_their_digits_where_clusters_are_far_apart(backend, form, tied, apart):
    x, weight, plan = problem(form, tied, (901, 40, 6), apart)
    check(*sums(backend, plan, x, weight), 1e-11 if apart < 1e3 else 1e-9)


@pytest.mark.parametrize(("form", "tied"), CASES)
def test_a_component_of_which_every_row_is_next_to_nothing_has_sums_to_all_digits(backend, form, tied):
    x, weight, plan = problem(form, tied, (901, 40, 3))
    logits = plan.logits.clone()
    logits[:, 1] -= 200  # all responsibilities of this component are of the order of 1e-87
    found, wanted = sums(backend, Plan(plan.form, plan.mean, plan.factor, logits), x, weight)
    assert bool((wanted[1][:, 1] < 1e-50).all())
    check(found, wanted, 1e-9)


@pytest.mark.parametrize(("form", "tied"), CASES)
def test_not_a_number_is_not_left_out(backend, form, tied):
    x, weight, plan = problem(form, tied, (901, 40, 3))
    x[700, 3], weight[700] = torch.nan, 1.0
    found, _ = sums(backend, plan, x, weight)
    assert bool(found.shift.isnan().any(-1).all()) and bool(found.log_likelihood.isnan().all())
