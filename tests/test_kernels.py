"""Any backend against the reference, the reference against scipy, and the laws of sums over rows."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

import mixtura as mx
from mixtura import kernels
from mixtura.kernels import DIAGONAL, FULL, LOW_RANK, NOTHING, SPHERICAL, Plan, RowErrors, Sums, Tails
from mixtura.kernels.reference import Reference
from mixtura.learning import Sampled, Tempered, hard, soft

F64, F32 = torch.float64, torch.float32
FORMS = {"full": FULL, "diagonal": DIAGONAL, "spherical": SPHERICAL}
CASES = list(product(FORMS, (False, True)))
EXTRAS = ("nothing", "tails", "errors", "whole errors", "gaps")
LABELS = ("soft", "hard", "sampled", "tempered", "nearest", "a function")
SIZES = [(211, 4, 3), (1500, 5, 2), (40, 1, 4), (260, 17, 1), (300, 3, 12)]  # rows, features, components
REFERENCE = Reference()
OTHERS = [backend for backend in kernels.BACKENDS if type(backend) is not Reference]
BACKENDS = {type(backend).__name__.lower(): backend for backend in kernels.BACKENDS}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return BACKENDS[request.param]


def ready(backend, plan, x):
    """The backend, whatever the size of the problem; skips what it does not serve."""
    if not backend.serves(plan, x):
        pytest.skip(f"{type(backend).__name__} does not serve this plan here")
    return backend


def numbers(seed):
    rng = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=rng, dtype=F64)


def problem(form, tied, size=(211, 4, 3), restarts=2, seed=0):
    """Rows, weights and a plan at unequal, non-unit scales."""
    (rows, features, components), normal = size, numbers(seed)
    shared = 1 if tied else components
    mean, x = 3 * normal(restarts, components, features), normal(rows, features) * torch.linspace(0.5, 4, features) + 1
    weight = normal(rows).abs()
    scale = torch.exp(0.4 * normal(restarts, shared, features)) / 2
    log_det = scale.log().sum(-1)
    match form:
        case "full":
            factor = torch.diag_embed(scale) + 0.2 * normal(restarts, shared, features, features).tril(-1)
        case "diagonal":
            factor = scale
        case _:
            factor, log_det = scale[..., 0], features * scale[..., 0].log()
    logits = torch.log_softmax(normal(restarts, components), -1) + log_det - features / 2 * np.log(2 * np.pi)
    return x, weight, Plan(FORMS[form], mean, factor, logits)


def whitening(plan):
    """Dense whitening matrices, (B, K, D, D)."""
    shape = *plan.mean.shape, plan.mean.shape[-1]
    if plan.form is FULL:
        return plan.factor.expand(shape)
    scales = plan.factor if plan.form is DIAGONAL else plan.factor.unsqueeze(-1)
    return torch.diag_embed(scales.expand(plan.mean.shape))


def covariances(plan):
    inverse = torch.linalg.inv(whitening(plan))
    return inverse @ inverse.mT


def rule(name):
    """A labels rule, new each time: draws begin again."""
    rules = {"soft": soft, "hard": hard, "tempered": Tempered(0.5), "nearest": kernels.nearest}
    if name == "sampled":
        return Sampled(torch.Generator().manual_seed(3))
    return rules.get(name, lambda joint: torch.softmax(2 * joint, -1))


def with_extra(name, x, plan):
    """Rows and a plan with what goes beyond a Gaussian."""
    normal, features = numbers(7), x.shape[1]
    if name == "nothing":
        return x, plan
    if name == "tails":
        return x, replace(plan, extra=Tails(1 + 9 * normal(*plan.logits.shape).abs()))
    root = normal(len(x), features, features)
    noise = root @ root.mT / features + 0.1 * torch.eye(features) if name == "whole errors" else root[..., 0] ** 2 + 0.1
    if name == "gaps":
        x = x.clone()
        x[::3, 0] = torch.nan
    return x, replace(plan, form=FULL, factor=covariances(plan), extra=RowErrors(noise.double()))


def cast(plan, dtype):
    moved = {name: getattr(plan, name).to(dtype) for name in ("mean", "factor", "logits")}
    extra = plan.extra
    if extra is not NOTHING:
        extra = type(extra)(*(value.to(dtype) for value in vars(extra).values()))
    return replace(plan, **moved, extra=extra)


def check(sums, expected, tolerance=1e-11):
    for got, want in zip(flat(sums), flat(expected), strict=True):
        assert got.dtype == F64 and got.shape == want.shape
        assert (got - want).abs().max() <= tolerance * want.abs().max()


def flat(sums):
    fields = [
        torch.as_tensor(np.array(f)) if isinstance(f, np.ndarray) else f for f in sums if not isinstance(f, tuple)
    ]
    return [*fields, *(tail for field in sums if isinstance(field, tuple) for tail in field)]


# -- any backend is the reference


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(
    "other", [b for b in kernels.BACKENDS if type(b) is not Reference], ids=lambda b: type(b).__name__
)
def test_backends_agree(other, extra, form, tied, size, dtype):
    x, weight, plan = problem(form, tied, size)
    x, plan = with_extra(extra, x, plan)
    x, weight, plan = x.to(dtype), weight.to(dtype), cast(plan, dtype)
    ready(other, plan, x)
    accuracy = 1e-9 if dtype is F64 else 1e-4
    check(other.sums(plan, x, weight), REFERENCE.sums(plan, x, weight), accuracy)
    check(other.sums(plan, x, None), REFERENCE.sums(plan, x, None), accuracy)
    for answer in ("log_joint", "log_density", "responsibilities", "score"):
        ours, theirs = (getattr(one, answer)(plan, x) for one in (other, REFERENCE))
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=100 * accuracy, atol=100 * accuracy)


@pytest.mark.parametrize("dtype", [F64, F32])
@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.parametrize("extra", ["nothing", "tails", "errors"])
@pytest.mark.parametrize("labels", [name for name in LABELS if name != "soft"])
@pytest.mark.parametrize(
    "other", [b for b in kernels.BACKENDS if type(b) is not Reference], ids=lambda b: type(b).__name__
)
def test_backends_agree_on_labels(other, labels, extra, form, tied, dtype):
    x, weight, plan = problem(form, tied, (3001, 3, 5))
    x, plan = with_extra(extra, x, plan)
    if labels == "nearest":
        if (form, tied, extra) != ("spherical", True, "nothing"):
            pytest.skip("the nearest centre is that of round components of one size")
        plan = Plan.nearest(plan.mean)
    x, weight, plan = x.to(dtype), weight.to(dtype), cast(plan, dtype)
    ready(other, replace(plan, labels=rule(labels)), x)
    found = [one.sums(replace(plan, labels=rule(labels)), x, weight) for one in (other, REFERENCE)]
    accuracy = 1e-9 if dtype is F64 else 2e-3  # in single precision a row or two may fall on the other side
    check(*found, accuracy)


@pytest.mark.parametrize("extra", ("errors", "whole errors", "gaps"))
@pytest.mark.parametrize("other", OTHERS, ids=lambda b: type(b).__name__)
def test_backends_agree_on_errors_of_two_coordinates(other, extra):
    x, weight, plan = problem("full", False, (531, 2, 7))
    x, plan = with_extra(extra, x, plan)
    ready(other, plan, x)
    check(other.sums(plan, x, weight), REFERENCE.sums(plan, x, weight))


@pytest.mark.parametrize("other", OTHERS, ids=lambda b: type(b).__name__)
def test_a_coordinate_with_an_infinite_error_was_not_recorded(other):
    x, weight, plan = problem("full", False, (531, 2, 7))
    x, plan = with_extra("errors", x, plan)
    gone, noise = x.clone(), plan.extra.noise.clone()
    gone[::3, 0], noise[::3, 0] = torch.nan, torch.inf
    ready(other, plan, x)
    check(other.sums(replace(plan, extra=RowErrors(noise)), x, weight), other.sums(plan, gone, weight))


# -- the reference is scipy's


def oracle(x, weight, plan):
    """Log joints (N, B, K), log densities and sums from scipy's densities, one component at a time."""
    weights = plan.logits - torch.linalg.slogdet(whitening(plan)).logabsdet + x.shape[1] / 2 * np.log(2 * np.pi)
    mean, covariance = plan.mean.numpy(), covariances(plan).numpy()

    def joint_of(b, k):
        return weights[b, k].item() + multivariate_normal(mean[b, k], covariance[b, k]).logpdf(x)

    restarts, components = plan.logits.shape
    joint = np.stack([[joint_of(b, k) for k in range(components)] for b in range(restarts)])  # (B, K, N)
    density = logsumexp(joint, axis=1)
    r = weight.numpy() * np.exp(joint - density[:, None])
    residual = x.numpy() - mean[:, :, None]
    scatter = np.einsum("bkn,bkni,bknj->bkij", r, residual, residual)
    if plan.form is not FULL:
        scatter = np.diagonal(scatter, axis1=-2, axis2=-1)
    if plan.form is SPHERICAL:
        scatter = scatter.sum(-1)
    if plan.tied:
        scatter = scatter.sum(1, keepdims=True)
    sums = density @ weight.numpy(), r.sum(-1), np.einsum("bkn,bkni->bki", r, residual), scatter
    return torch.as_tensor(joint).permute(2, 0, 1), torch.as_tensor(density).mT, sums


@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.parametrize("size", SIZES)
def test_scipy_agrees(backend, form, tied, size):
    x, weight, plan = problem(form, tied, size)
    joint, density, sums = oracle(x, weight, plan)
    ready(backend, plan, x)
    check(backend.sums(plan, x, weight), (*sums, ()))
    torch.testing.assert_close(backend.log_joint(plan, x), joint, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(backend.log_density(plan, x), density, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("form", "tied"), CASES)
def test_what_is_chosen_agrees_with_scipy_at_every_size(form, tied):
    for rows in (60, 20_000):
        x, weight, plan = problem(form, tied, (rows, 6, 2))
        joint, density, sums = oracle(x, weight, plan)
        check(kernels.sums(plan, x, weight), (*sums, ()))
        torch.testing.assert_close(kernels.log_joint(plan, x), joint)
        torch.testing.assert_close(kernels.log_density(plan, x), density)


def test_heavy_tails_are_scipys(backend):
    x, _, plan = problem("full", False)
    x, plan = with_extra("tails", x, plan)
    features, dof = x.shape[1], plan.extra.dof
    half_logdet = torch.linalg.slogdet(whitening(plan)).logabsdet
    constant = torch.lgamma((dof + features) / 2) - torch.lgamma(dof / 2) - features / 2 * (dof * np.pi).log()
    joint = ready(backend, plan, x).log_joint(replace(plan, logits=constant + half_logdet), x)
    for b, k in np.ndindex(*dof.shape):
        law = multivariate_t(plan.mean[b, k], covariances(plan)[b, k], dof[b, k].item())
        torch.testing.assert_close(joint[:, b, k], torch.from_numpy(law.logpdf(x)), rtol=1e-10, atol=1e-10)


def test_light_tails_keep_their_digits_in_single_precision():
    """By how little u differs from one, and log q from zero, is what tells degrees of freedom."""
    x, _, plan = problem("full", False, (5, 3, 1), restarts=2)
    single = replace(cast(plan, F32), extra=Tails(torch.full((2, 1), 2e4)))
    found, exact = (REFERENCE.sums(cast(single, dtype), x.float().to(dtype), None) for dtype in (F32, F64))
    torch.testing.assert_close(found.tails[0], exact.tails[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(light(found), light(exact), rtol=1e-5, atol=0)


def light(sums, dof=2e4, features=3):
    """The sum of r (1 - 1/q)."""
    return sums.weight - dof / (dof + features) * sums.tails[2]


@pytest.mark.parametrize("extra", ["errors", "whole errors", "gaps"])
def test_errors_by_row_are_scipys(backend, extra):
    """Log densities, and the sums as gradients: u by finite differences of the log-likelihood in the means."""
    x, weight, plan = problem("full", False, (30, 3, 2), restarts=1)
    x, plan = with_extra(extra, x, plan)
    noise = plan.extra.noise if plan.extra.noise.ndim == 3 else torch.diag_embed(plan.extra.noise)
    ready(backend, plan, x)

    def joint_of(mean):
        rows = []
        for y, s in zip(x, noise, strict=True):
            seen = ~y.isnan()
            laws = ((m[seen], (v + s)[seen][:, seen]) for m, v in zip(mean, plan.factor[0], strict=True))
            rows.append([multivariate_normal(m, c).logpdf(y[seen]) for m, c in laws])
        return np.array(rows) + plan.logits[0].numpy()

    np.testing.assert_allclose(backend.log_joint(plan, x)[:, 0], joint_of(plan.mean[0]), rtol=1e-9, atol=1e-9)
    sums, step = backend.sums(plan, x, weight), 1e-5
    for k, d in np.ndindex(2, 3):
        moved = [plan.mean[0].clone() for _ in range(2)]
        moved[0][k, d] += step
        moved[1][k, d] -= step
        up, down = (float(weight.numpy() @ logsumexp(joint_of(mean), axis=1)) for mean in moved)
        assert sums.shift[0, k, d].item() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_score_is_the_gradient_of_the_log_density(backend, form, tied, extra):
    x, _, plan = problem(form, tied, (50, 3, 3))
    x, plan = with_extra(extra, x, plan)
    ready(backend, plan, x)
    step = 1e-5 * torch.eye(3)
    slopes = [(backend.log_density(plan, x + h) - backend.log_density(plan, x - h)) / 2e-5 for h in step]
    torch.testing.assert_close(backend.score(plan, x), torch.stack(slopes, -1), rtol=1e-4, atol=1e-5)


def test_low_rank_is_its_dense_twin():
    normal = numbers(0)
    loadings, scale, mean, x = normal(1, 4, 9, 2), 0.5 + normal(1, 4, 9).abs(), normal(1, 4, 9), 3 * normal(400, 9)
    covariance = loadings @ loadings.mT + torch.diag_embed(scale**2)
    factor = torch.cat([loadings / scale.unsqueeze(-1), 1 / scale.unsqueeze(-1)], -1)
    logits = normal(1, 4)
    few = Plan(LOW_RANK, mean, factor, logits)
    dense = Plan(FULL, mean, torch.linalg.inv(torch.linalg.cholesky(covariance)), logits)
    check(kernels.sums(few, x), kernels.sums(dense, x))
    for answer in (kernels.log_joint, kernels.log_density, kernels.score):
        torch.testing.assert_close(answer(few, x), answer(dense, x), rtol=1e-10, atol=1e-10)


# -- laws


@pytest.mark.parametrize("extra", ["nothing", "tails"])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_weighted_rows_equal_repeated_rows(backend, form, tied, extra):
    x, _, plan = problem(form, tied)
    x, plan = with_extra(extra, x, plan)
    times = torch.arange(len(x)) % 4
    ready(backend, plan, x)
    check(backend.sums(plan, x, times.double()), backend.sums(plan, x.repeat_interleave(times, 0), None))


@pytest.mark.parametrize("extra", ["nothing", "tails"])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_order_of_rows_and_where_they_are_cut_do_not_matter(backend, form, tied, extra):
    x, weight, plan = problem(form, tied, (3001, 4, 3))
    x, plan = with_extra(extra, x, plan)
    whole = ready(backend, plan, x).sums(plan, x, weight)
    check(backend.sums(plan, x.flip(0), weight.flip(0)), whole)
    parts = [flat(backend.sums(plan, x[s], weight[s])) for s in (slice(0, 17), slice(17, None))]
    check([a + b for a, b in zip(*parts, strict=True)], whole)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_restarts_do_not_touch_each_other(backend, form, tied, extra):
    x, weight, plan = problem(form, tied, restarts=3)
    x, plan = with_extra(extra, x, plan)
    together = ready(backend, plan, x).sums(plan, x, weight)
    alone = [flat(backend.sums(plan.part(slice(b, b + 1)), x, weight)) for b in range(3)]
    check(together, [torch.cat(field) for field in zip(*alone, strict=True)])


@pytest.mark.parametrize("extra", ["nothing", "tails"])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_so_many_restarts_that_they_are_cut_in_shares(backend, form, tied, extra):
    """Residuals, or sums, of all of them would leave the cache."""
    x, weight, plan = problem(form, tied, (60, 12, 60), restarts=70)
    x, plan = with_extra(extra, x, plan)
    together = ready(backend, plan, x).sums(plan, x, weight)
    first = backend.sums(plan.part(slice(0, 1)), x, weight)
    check([field[:1] for field in flat(together)], first, 1e-9)


@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.parametrize("extra", EXTRAS)
def test_threads_only_change_the_rounding(form, tied, extra):
    x, weight, plan = problem(form, tied, (50_000, 4, 3), restarts=1)
    x, plan = with_extra(extra, x, plan)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(kernels.sums(plan, x, weight))
    finally:
        torch.set_num_threads(before)
    check(*results)


@pytest.mark.parametrize("extra", ["nothing", "tails"])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_component_without_weight_takes_no_part(backend, form, tied, extra):
    x, weight, plan = problem(form, tied)
    plan.logits[:, 1] = -torch.inf
    kept = torch.tensor([0, 2])
    few = replace(
        plan, mean=plan.mean[:, kept], factor=plan.factor if tied else plan.factor[:, kept], logits=plan.logits[:, kept]
    )
    if extra == "tails":
        dof = torch.full_like(plan.logits, 4.0)
        plan, few = replace(plan, extra=Tails(dof)), replace(few, extra=Tails(dof[:, kept]))
    sums = ready(backend, plan, x).sums(plan, x, weight)
    assert sums.weight[:, 1].eq(0).all() and sums.shift[:, 1].eq(0).all()
    scatter = sums.scatter if tied else sums.scatter[:, kept]
    tails = tuple(tail[:, kept] for tail in sums.tails)
    check(
        (sums.log_likelihood, sums.weight[:, kept], sums.shift[:, kept], scatter, tails), backend.sums(few, x, weight)
    )


@pytest.mark.parametrize(("form", "tied"), CASES)
def test_rows_far_from_every_component_are_shared_without_nan(backend, form, tied):
    x, weight, plan = problem(form, tied)
    x[::3] *= 1e4
    check(ready(backend, plan, x).sums(plan, x, weight), (*oracle(x, weight, plan)[2], ()))


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(("form", "tied"), CASES)
@pytest.mark.slow
def test_single_precision_far_from_the_origin(backend, form, tied, extra):
    """float32 rows at 1e6 with unit scales: the sums are those of the same rows in float64, to single precision."""
    x, weight, plan = problem(form, tied, (3000, 4, 3))
    x, plan = with_extra(extra, x, plan)
    x, plan = (x + 1e6).float(), replace(plan, mean=plan.mean + 1e6)
    ready(backend, plan, x)
    exact = backend.sums(plan, x.double(), weight.float().double())
    check(backend.sums(plan, x, weight.float()), exact, 2e-6 if extra == "nothing" else 2e-5)


@pytest.mark.parametrize(("form", "tied"), CASES)
def test_scatter_keeps_its_digits_when_components_are_far_apart(backend, form, tied):
    """Scales of one, a million apart: a difference of large squares would leave nothing."""
    _, _, plan = problem(form, tied, (0, 4, 2), restarts=1)
    plan.mean[0, 1] = plan.mean[0, 0] + 1e6
    x = plan.mean[0].repeat_interleave(1000, 0) + numbers(3)(2000, 4)
    weight = torch.ones(2000, dtype=F64)
    check(ready(backend, plan, x).sums(plan, x, weight), (*oracle(x, weight, plan)[2], ()), 1e-8)


@pytest.mark.parametrize("extra", ["nothing", "tails"])
@pytest.mark.parametrize(("form", "tied"), CASES)
def test_a_function_of_ones_own_sees_all_rows_once(form, tied, extra):
    """Hard labels: each component's sums are those of the rows it wins."""
    x, weight, plan = problem(form, tied, (5000, 4, 3), restarts=1)
    x, plan = with_extra(extra, x, plan)
    seen = []

    def winners(log_joint):
        seen.append(log_joint)
        return torch.nn.functional.one_hot(log_joint.argmax(-1), log_joint.shape[-1]).to(log_joint)

    sums = kernels.sums(replace(plan, labels=winners), x, weight)
    (joint,) = seen
    torch.testing.assert_close(joint, kernels.log_joint(plan, x))
    winner = joint[:, 0].argmax(-1)
    share = torch.nn.functional.one_hot(winner, 3).mT * weight
    torch.testing.assert_close(sums.weight[0], share.sum(-1))
    if extra == "nothing":
        expected = torch.stack([share[k] @ (x - plan.mean[0, k]) for k in range(3)])
        torch.testing.assert_close(sums.shift[0], expected)
    check(sums[:1], REFERENCE.sums(plan, x, weight)[:1])
    check(kernels.sums(replace(plan, labels=hard), x, weight), sums)


def test_where_blocks_end_changes_no_draw():
    """The same generator draws the same labels for all rows, whether or not the rows come in blocks of one pass."""
    x, weight, plan = problem("full", False, (30_000, 4, 3))
    joint = REFERENCE.log_joint(plan, x)
    drawn = (rule("sampled")(joint) * weight[:, None, None]).sum(0)
    for backend in kernels.BACKENDS:
        if backend.serves(replace(plan, labels=rule("sampled")), x):
            sums = backend.sums(replace(plan, labels=rule("sampled")), x, weight)
            torch.testing.assert_close(sums.weight, drawn)


def test_a_component_without_probability_is_never_drawn(backend):
    x, weight, plan = problem("spherical", False, (20_000, 2, 3))
    plan.logits[:, 1] = -torch.inf
    plan = replace(plan, labels=rule("sampled"))
    assert ready(backend, plan, x).sums(plan, x, weight).weight[:, 1].eq(0).all()


@pytest.mark.parametrize(("dtype", "offset", "accuracy"), [(F64, 0.0, 1e-10), (F64, 1e8, 1e-6), (F32, 1e3, 1e-4)])
@pytest.mark.parametrize("size", [(5000, 2, 50), (3001, 11, 30)])
def test_nearest_centres_are_those_of_brute_force(backend, size, dtype, offset, accuracy):
    rows, features, components = size
    normal = numbers(0)
    centres = offset + 10 * normal(components, features)
    x = (centres[torch.arange(rows) % components] + normal(rows, features)).to(dtype)
    weight, mean = normal(rows).abs().to(dtype), torch.stack([x[:components], x[components : 2 * components]])
    plan = Plan.nearest(mean)
    sums = ready(backend, plan, x).sums(plan, x, weight)
    gaps = x.double()[:, None, None] - mean.double()
    distance, index = gaps.square().sum(-1).min(-1)
    share = torch.nn.functional.one_hot(index, components) * weight.double()[:, None, None]
    inertia = (weight.double()[:, None] * distance).sum(0)
    expected = Sums(-0.5 * inertia, share.sum(0), torch.einsum("nbk,nbkd->bkd", share, gaps), inertia.unsqueeze(-1))
    for ours, theirs in zip(sums[:4], expected[:4], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=max(accuracy, 1e-9), atol=accuracy * rows)
    found = kernels.nearest_centre(x, mean)
    torch.testing.assert_close(found[0].double(), distance, rtol=100 * accuracy, atol=accuracy)
    assert (found[1] == index).double().mean() > 0.999
    assert found[0][:components, 0].eq(0).all()


def test_workspace_does_not_grow_with_the_rows():
    """N x K x D numbers never exist at once."""
    x, weight, plan = problem("full", False, (60_000, 8, 5), restarts=1)
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in (result,) if isinstance(t, torch.Tensor))
            return result

    with Watch(), torch.no_grad():
        REFERENCE.sums(plan, x, weight)
    assert max(sizes) < 60_000 * 5 * 8 / 4


# -- what is chosen, and where it runs


def python(program, **environment):
    """Runs a program in a process of its own; returns what it prints."""
    program = textwrap.dedent(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_import_loads_no_numba():
    program = """
        import sys, torch, mixtura as mx
        x = torch.randn(300, 2, dtype=torch.float64)
        mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1))).log_prob(x)
        print("numba" in sys.modules)
    """
    assert python(program) == "False"


def test_an_install_without_a_writable_cache_learns_through_torch():
    """Numba refuses to compile where it finds no directory for compiled code: every kind of pass goes on without."""
    pytest.importorskip("numba")
    program = """
        import torch, mixtura as mx
        from numba.core import caching
        (vars(caching).get("CacheImpl") or caching._CacheImpl)._locator_classes = []
        x = torch.randn(40_000, 3, dtype=torch.float64)
        noise = mx.observation.AdditiveNoise(scale=torch.rand(40_000, 3) + 0.1, per_row=True)
        few = mx.EM(max_iterations=2)
        kinds = {"method": mx.KMeans(2)}, {"family": mx.StudentT, "method": few}, {"observation": noise, "method": few}
        for given in ({"method": few}, {"method": mx.Gibbs(2, 0, 1)}, *kinds):
            mx.fit(x, 2, restarts=1, **given)
        print(*(type(b).__name__ for b in mx.kernels.BACKENDS if b.serves(mx.kernels.Plan.nearest(x[None, :9]), x)))
    """
    assert python(program) == "Reference"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
        import os, torch, mixtura as mx
        torch.set_num_threads(3)
        from mixtura.kernels.threads import in_threads
        print(in_threads(lambda begin, end: end - begin, 90, 3), flush=True)
        child = os.fork()
        if not child:
            print(in_threads(lambda begin, end: end - begin, 60, 3), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """
    assert python(program).splitlines() == ["[30, 30, 30]", "[20, 20, 20]"]


# -- vectors of the compiled loops


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vector_functions_are_accurate(dtype):
    """The exponential within one unit in the last place, the logarithm within three."""
    numba = pytest.importorskip("numba")
    from mixtura.kernels.numba import vector

    panel, _ = vector.lanes(np.dtype(dtype).itemsize)

    @numba.njit
    def apply(x, exponentials, logarithms):
        for i in range(0, x.size, panel):
            vector.store(exponentials, i, vector.exp(vector.load_panel(x, i)))
            vector.store(logarithms, i, vector.log(vector.load_panel(exponentials, i)))

    lowest = -708 if dtype is np.float64 else -87
    x = np.concatenate([np.linspace(lowest, 0, 40 * panel), -np.geomspace(1e-20, 50, 40 * panel)]).astype(dtype)
    y, z = np.empty_like(x), np.empty_like(x)
    apply(x, y, z)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(y - exact) / np.spacing(exact.astype(dtype))) <= 1
    exact = np.log(y.astype(np.longdouble))
    assert np.max(np.abs(z - exact) / np.maximum(np.spacing(np.abs(exact).astype(dtype)), np.finfo(dtype).tiny)) <= 3
    x[:] = lowest - 1 - np.arange(x.size)
    x[0] = -np.inf
    apply(x, y, z)
    assert not y.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transposed_squares(dtype):
    numba = pytest.importorskip("numba")
    from mixtura.kernels.numba import vector

    _, width = vector.lanes(np.dtype(dtype).itemsize)
    source = np.arange(width * (width + 3), dtype=dtype)
    origin, target = np.arange(width, dtype=dtype) / 2, np.zeros(width * width, dtype)

    @numba.njit
    def apply(source, origin, target):
        vector.transpose(source, 1, width + 3, origin, 0, target, 0, width)

    apply(source, origin, target)
    expected = source.reshape(width, width + 3)[:, 1 : width + 1] - origin
    np.testing.assert_array_equal(target.reshape(width, width), expected.T)


def test_many_rows_of_gibbs_are_compiled_or_not_the_same_way():
    x = torch.randn(80_000, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    fit = mx.fit(x, 8, method=mx.Gibbs(3, 0, 1), generator=torch.Generator().manual_seed(1))
    assert fit.draws.weights.sum(-1).sub(1).abs().max() < 1e-12
