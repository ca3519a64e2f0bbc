"""The passes against scipy, against each other, and against the laws of weighted sums."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from mixtura import kernels as passes
from mixtura.kernels import choose
from mixtura.kernels import reference as torch_pass

KERNELS = {"full": torch_pass.Full, "diagonal": torch_pass.Diagonal, "spherical": torch_pass.Spherical}
PUBLIC = {
    name: tuple(getattr(passes, f"{name}_{what}") for what in ("pass", "log_joint", "log_density")) for name in KERNELS
}
CASES = list(product(KERNELS, (False, True)))
ENGINES = ("torch", "numba")


@pytest.fixture(params=ENGINES)
def engine(request):
    """sums, log_joint and log_density of one engine, whatever the size of the problem."""
    if request.param == "torch":
        return torch_pass
    pytest.importorskip("numba")
    return choose.compiled() or pytest.skip("numba cannot compile here")


def run(engine, structure, x, weight, mean, factor, logits):
    """The sums of an engine for soft labels."""
    labels = (passes.soft,) if engine is torch_pass else ()
    return engine.sums(KERNELS[structure], x, weight, mean, factor, logits, *labels)


def problem(structure, tied, rows=211, features=4, components=3, restarts=2, seed=0):
    """Rows and parameters at unequal, non-unit scales: (x, weight, mean, factor, logits)."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    shared = 1 if tied else components
    mean = 3 * normal(restarts, components, features)
    x = normal(rows, features) * torch.linspace(0.5, 4, features) + 1
    weight = torch.rand(rows, generator=rng, dtype=torch.float64) * 2
    log_weights = torch.log_softmax(normal(restarts, components), -1)
    scale = torch.exp(0.4 * normal(restarts, shared, features)) / 2
    match structure:
        case "full":
            factor = torch.diag_embed(scale) + 0.2 * normal(restarts, shared, features, features).tril(-1)
            log_det = scale.log().sum(-1)
        case "diagonal":
            factor, log_det = scale, scale.log().sum(-1)
        case _:
            factor, log_det = scale[..., 0], features * scale[..., 0].log()
    logits = log_weights + log_det - features / 2 * np.log(2 * np.pi)
    return x, weight, mean, factor, logits


def covariances(structure, mean, factor):
    """Dense covariances (B, K, D, D)."""
    features = mean.shape[-1]
    match structure:
        case "full":
            whitening = factor
        case "diagonal":
            whitening = torch.diag_embed(factor)
        case _:
            whitening = factor[..., None, None] * torch.eye(features, dtype=torch.float64)
    inverse = torch.linalg.inv(whitening)
    return (inverse @ inverse.mT).expand(*mean.shape, features), whitening


def oracle(structure, tied, x, weight, mean, factor, logits):
    """The sums from scipy's densities and plain NumPy sums, one component at a time."""
    covariance, whitening = covariances(structure, mean, factor)
    log_det = torch.linalg.slogdet(whitening).logabsdet
    log_weights = (logits - log_det + x.shape[1] / 2 * np.log(2 * np.pi)).numpy()
    x, weight, mean, covariance = (t.numpy() for t in (x, weight, mean, covariance))
    restarts, components = log_weights.shape
    joint = np.stack(
        [
            [log_weights[b, k] + multivariate_normal(mean[b, k], covariance[b, k]).logpdf(x) for k in range(components)]
            for b in range(restarts)
        ]
    )  # (B, K, N)
    density = logsumexp(joint, axis=1)
    r = weight * np.exp(joint - density[:, None])
    residual = x - mean[:, :, None]  # (B, K, N, D)
    scatter = np.einsum("bkn,bkni,bknj->bkij", r, residual, residual)
    if structure != "full":
        scatter = np.diagonal(scatter, axis1=-2, axis2=-1)
    if structure == "spherical":
        scatter = scatter.sum(-1)
    if tied:
        scatter = scatter.sum(1, keepdims=True)
    return joint, density, (density @ weight, r.sum(-1), np.einsum("bkn,bkni->bki", r, residual), scatter)


def check(sums, expected, tolerance=1e-11):
    for got, want in zip(sums, expected, strict=True):
        want = want if isinstance(want, torch.Tensor) else torch.tensor(np.array(want))
        assert got.dtype == torch.float64 and got.shape == want.shape
        assert (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize(("structure", "tied"), CASES)
@pytest.mark.parametrize(("rows", "features", "components"), [(211, 4, 3), (1500, 5, 2), (40, 1, 4), (700, 17, 1)])
def test_sums_agree_with_scipy(engine, structure, tied, rows, features, components):
    arguments = problem(structure, tied, rows, features, components)
    check(run(engine, structure, *arguments), oracle(structure, tied, *arguments)[2])


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_densities_agree_with_scipy(engine, structure, tied):
    arguments = problem(structure, tied, rows=1300)
    x, _, *parameters = arguments
    joint, density, _ = oracle(structure, tied, *arguments)
    got = engine.log_joint(KERNELS[structure], x, *parameters), engine.log_density(KERNELS[structure], x, *parameters)
    torch.testing.assert_close(got[0], torch.as_tensor(joint).permute(2, 0, 1), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(got[1], torch.as_tensor(density).mT, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_public_functions_agree_with_scipy_at_every_size(structure, tied):
    """Small inputs go to torch and large ones to the compiled pass, where there is one."""
    for rows in (60, 20_000):
        arguments = problem(structure, tied, rows, features=6, components=2)
        x, _, *parameters = arguments
        joint, density, sums = oracle(structure, tied, *arguments)
        pass_, log_joint, log_density = PUBLIC[structure]
        check(pass_(*arguments), sums)
        torch.testing.assert_close(log_joint(x, *parameters), torch.as_tensor(joint).permute(2, 0, 1))
        torch.testing.assert_close(log_density(x, *parameters), torch.as_tensor(density).mT)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_weighted_rows_equal_repeated_rows(engine, structure, tied):
    x, _, *parameters = problem(structure, tied)
    times = torch.arange(len(x)) % 4
    weighted = run(engine, structure, x, times.double(), *parameters)
    check(weighted, run(engine, structure, x.repeat_interleave(times, 0), None, *parameters))


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_order_of_rows_and_where_they_are_cut_do_not_matter(engine, structure, tied):
    x, weight, *parameters = problem(structure, tied, rows=3001)
    whole = run(engine, structure, x, weight, *parameters)
    check(run(engine, structure, x.flip(0), weight.flip(0), *parameters), whole)
    parts = [run(engine, structure, x[s], weight[s], *parameters) for s in (slice(0, 17), slice(17, None))]
    check([a + b for a, b in zip(*parts, strict=True)], whole)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_restarts_do_not_touch_each_other(engine, structure, tied):
    x, weight, *parameters = problem(structure, tied, restarts=3)
    together = run(engine, structure, x, weight, *parameters)
    alone = [run(engine, structure, x, weight, *(p[b : b + 1] for p in parameters)) for b in range(3)]
    check(together, [torch.cat(field) for field in zip(*alone, strict=True)])


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_many_restarts_are_cut_in_shares(engine, structure, tied, monkeypatch):
    arguments = problem(structure, tied, restarts=5)
    whole = run(engine, structure, *arguments)
    monkeypatch.setattr(torch_pass, "_CACHE_BYTES", 1 << 14)
    if engine is not torch_pass:
        monkeypatch.setattr(engine, "_SUMS_BYTES", 1 << 8)
    check(run(engine, structure, *arguments), whole)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_threads_only_change_the_rounding(structure, tied):
    x, weight, *parameters = problem(structure, tied, rows=50_000)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(PUBLIC[structure][0](x, weight, *parameters))
    finally:
        torch.set_num_threads(before)
    check(*results)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_component_without_weight_takes_no_part(engine, structure, tied):
    x, weight, mean, factor, logits = problem(structure, tied)
    logits[:, 1] = -torch.inf
    kept = torch.tensor([0, 2])
    sums = run(engine, structure, x, weight, mean, factor, logits)
    few = run(engine, structure, x, weight, mean[:, kept], factor if tied else factor[:, kept], logits[:, kept])
    assert sums.weight[:, 1].eq(0).all() and sums.shift[:, 1].eq(0).all()
    scatter = sums.scatter if tied else sums.scatter[:, kept]
    check((sums.log_likelihood, sums.weight[:, kept], sums.shift[:, kept], scatter), few)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_rows_far_from_every_component_are_shared_without_nan(engine, structure, tied):
    x, weight, *parameters = problem(structure, tied)
    x[::3] *= 1e4
    check(run(engine, structure, x, weight, *parameters), oracle(structure, tied, x, weight, *parameters)[2])


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_single_precision_far_from_the_origin(engine, structure, tied):
    """float32 rows at 1e6 with unit scales: the sums are those of the same rows in float64, to single precision."""
    x, weight, mean, factor, logits = problem(structure, tied, rows=3000)
    x, mean = (x + 1e6).float(), mean + 1e6
    check(
        run(engine, structure, x, weight.float(), mean, factor, logits),
        run(engine, structure, x.double(), weight.float().double(), mean, factor, logits),
        tolerance=2e-6,
    )


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_scatter_keeps_its_digits_when_components_are_far_apart(engine, structure, tied):
    """Scales of one, a million apart: a difference of large squares would leave nothing."""
    _, _, mean, factor, logits = problem(structure, tied, restarts=1, components=2)
    rng = torch.Generator().manual_seed(3)
    mean[0, 1] = mean[0, 0] + 1e6
    noise = torch.randn(2000, 4, generator=rng, dtype=torch.float64)
    x = mean[0].repeat_interleave(1000, 0) + noise
    arguments = x, torch.ones(2000, dtype=torch.float64), mean, factor, logits
    check(run(engine, structure, *arguments), oracle(structure, tied, *arguments)[2], tolerance=1e-8)


@pytest.mark.parametrize(("structure", "tied"), CASES)
def test_any_rule_of_labels_sees_all_rows_once(structure, tied):
    """Hard labels: each component's sums are those of the rows it wins."""
    x, weight, *parameters = problem(structure, tied, rows=5000, restarts=1)
    seen = []

    def hard(log_joint):
        seen.append(log_joint)
        return torch.nn.functional.one_hot(log_joint.argmax(-1), log_joint.shape[-1]).to(log_joint)

    pass_, log_joint, _ = PUBLIC[structure]
    sums = pass_(x, weight, *parameters, labels=hard)
    (joint,) = seen
    torch.testing.assert_close(joint, log_joint(x, *parameters))
    winner = joint[:, 0].argmax(-1)
    mean = parameters[0][0]
    for k in range(mean.shape[0]):
        rows, share = x[winner == k] - mean[k], weight[winner == k]
        torch.testing.assert_close(sums.weight[0, k], share.sum())
        torch.testing.assert_close(sums.shift[0, k], share @ rows)
    check(sums[:1], run(torch_pass, structure, x, weight, *parameters)[:1])


def test_workspace_does_not_grow_with_the_rows():
    """N x K x D numbers never exist at once."""
    x, weight, *parameters = problem("full", False, rows=60_000, features=8, components=5, restarts=1)
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in (result,) if isinstance(t, torch.Tensor))
            return result

    with Watch(), torch.no_grad():
        run(torch_pass, "full", x, weight, *parameters)
    assert max(sizes) < 60_000 * 5 * 8 / 4


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


def test_without_numba_torch_serves(monkeypatch):
    arguments = problem("full", False, rows=20_000, features=6)
    expected = passes.full_pass(*arguments)
    monkeypatch.setattr(choose, "compiled", lambda: None)
    check(passes.full_pass(*arguments), expected)
