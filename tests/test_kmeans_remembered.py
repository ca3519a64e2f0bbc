"""K-means that remembers labels from pass to pass and filters in single precision finds what the plain pass finds."""

from dataclasses import replace

import pytest
import torch

import mixtura as mx
from mixtura import kernels
from mixtura.data import rows
from mixtura.kernels import Plan, Reference, Remembered
from mixtura.kernels.numba import nearest_filtered
from mixtura.learning import KMeans

F64, F32 = torch.float64, torch.float32
SIZES = [(3000, 10, 10), (3001, 2, 50), (700, 50, 33), (64, 1, 3), (129, 3, 1)]  # rows, features, components


@pytest.fixture
def compiled():
    found = next(b for b in kernels.BACKENDS if type(b) is not Reference)
    if not found.serves(Plan.nearest(torch.zeros(1, 1, 1)), torch.zeros(1, 1)):
        pytest.skip("numba does not compile here")
    return found


def table(size, dtype, spread=1.0):
    rows, features, components = size
    rng = torch.Generator().manual_seed(rows)
    x = 100 + spread * torch.randn(rows, features, generator=rng, dtype=F64)
    starts = torch.stack([x[torch.randperm(rows, generator=rng)[:components]] for _ in range(3)])
    return x.to(dtype), torch.rand(rows, generator=rng, dtype=F64).to(dtype), starts.to(dtype)


def passes(compiled, x, weight, mean, count=12):
    """What both ways find in passes that update centres, and drop a start on the way."""
    remembered = Remembered()
    for number in range(count):
        if number == count // 2:
            mean = mean[1:].flip(0)
        plan = Plan.nearest(mean)
        found = compiled.sums(replace(plan, labels=remembered), x, weight), Reference().sums(plan, x, weight)
        yield found
        moved = found[1].shift / found[1].weight.unsqueeze(-1)
        mean = (mean + torch.where(found[1].weight.unsqueeze(-1) > 0, moved, 0)).to(x.dtype)


@pytest.mark.parametrize(("dtype", "accuracy"), [(F64, 1e-11), (F32, 1e-5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_remembered_passes_are_plain_ones(compiled, size, weighted, dtype, accuracy):
    x, weight, mean = table(size, dtype)
    for ours, plain in passes(compiled, x, weight if weighted else None, mean):
        torch.testing.assert_close(ours.weight, plain.weight, rtol=1e-12, atol=1e-12)  # the same labels
        torch.testing.assert_close(ours.scatter, plain.scatter, rtol=accuracy, atol=1e-9)
        torch.testing.assert_close(ours.shift, plain.shift, rtol=0, atol=accuracy * 1e2 * size[0])


CASES = {
    "ties": lambda x: x.round(),  # many rows as near to one centre as to another
    "tight clusters": lambda x: (x - 100).sign() + 1e-7 * (x - 100),
    "a remote row": lambda x: torch.cat((x[1:], 1e9 * x[:1])),
    "tiny units": lambda x: 1e-150 * (x - 100),
    "huge units": lambda x: 1e120 * (x - 100),
}


@pytest.mark.parametrize("case", CASES)
def test_remembered_labels_are_exact_where_single_precision_is_not(compiled, case):
    x, _, mean = table((2000, 3, 5), F64, spread=3.0)
    x, mean = CASES[case](x).contiguous(), CASES[case](x)[:15].reshape(3, 5, 3).contiguous()
    for ours, plain in passes(compiled, x, None, mean):
        assert torch.equal(ours.weight, plain.weight)
        torch.testing.assert_close(ours.scatter, plain.scatter, rtol=1e-6, atol=0)  # the plain pass has no more digits


def test_remembered_passes_do_not_depend_on_threads(compiled, monkeypatch):
    x, weight, mean = table((3000, 10, 10), F64)
    whole = [ours for ours, _ in passes(compiled, x, weight, mean)]
    monkeypatch.setattr(nearest_filtered, "threads_for", lambda plan, x: 3)
    for ours, one in zip(passes(compiled, x, weight, mean), whole, strict=True):
        for a, b in zip(ours[0][:4], one[:4], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("known", [False, True])
def test_kmeans_in_memory_is_that_of_a_file(tmp_path, known):
    """Rows of a file are read anew in every pass, and nothing of them is remembered."""
    x, _, _ = table((9000, 10, 10), F64)
    labels = torch.arange(9000) % 10 if known else None
    if labels is not None:
        labels = torch.where(torch.arange(9000) < 50, labels, -1)
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([",".join(f"c{d}" for d in range(10)), *(",".join(map(repr, r)) for r in x.tolist())]))
    options = {"init": x[:10].clone(), "method": mx.KMeans(15, 0), "labels": labels}
    memory, file = mx.fit(x, **options), mx.fit(rows(path), **options)
    torch.testing.assert_close(memory.trace, file.trace, rtol=1e-12, atol=0)
    torch.testing.assert_close(memory.mixture.components.mean, file.mixture.components.mean, rtol=1e-10, atol=0)


def test_a_fit_holds_the_method_that_was_given():
    """What a run remembers of its rows ends with it."""
    x, _, mean = table((3000, 10, 10), F64)
    fit = mx.fit(x, init=mean[0], method=KMeans(5, 0))
    assert fit.method == KMeans(5, 0)
    assert repr(fit.method) == repr(KMeans(5, 0))
    assert vars(fit.method) == vars(KMeans(5, 0))
