"""What is drawn for a row in a pass belongs to the row: not to blocks, groups, patterns of gaps, order or reader."""

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch

import mixtura as mx
from mixtura.learning import Sampled, expect
from mixtura.learning.expectation.expect import statistics
from mixtura.learning.expectation.recorded import recorded
from mixtura.observation import AdditiveNoise, Missing

F64 = torch.float64
ROWS = 1500


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def table(rows=ROWS):
    labels = torch.randint(3, (rows,), generator=seeded(1))
    centres = torch.tensor([[0.0, 0.0], [3.0, 0.0], [1.5, 3.0]], dtype=F64)
    return centres[labels] + torch.randn(rows, 2, dtype=F64, generator=seeded(2)), labels


def with_gaps(x):
    x = x.clone()
    x[::4, 0] = torch.nan
    x[1::5, 1] = torch.nan
    return x


def scales():
    return 0.2 + torch.rand(ROWS, 2, dtype=F64, generator=seeded(3))


WAYS = {
    "exact": (lambda x: x, lambda: None),
    "gaps": (with_gaps, lambda: Missing()),
    "a scale a row": (lambda x: x, lambda: AdditiveNoise(scale=scales(), per_row=True)),
    "scales and gaps": (with_gaps, lambda: [AdditiveNoise(scale=scales(), per_row=True), Missing()]),
}
each = pytest.mark.parametrize("way", WAYS)
with_labels = pytest.mark.parametrize("labelled", [False, True], ids=["unlabelled", "labelled"])


def rows_of(way, labelled):
    x, labels = table()
    known = torch.where(torch.arange(ROWS) % 3 == 0, labels, -1) if labelled else None
    change, observation = WAYS[way]
    return recorded(change(x), observation=observation(), labels=known)


def chains(rows):
    """Three mixtures at once."""
    start = mx.fit(table(200)[0], 3, restarts=1, method=mx.EM(1, tolerance=0)).mixture
    moved = start.components.map(lambda t: t.expand(3, *t.shape).clone())
    return mx.Mixture._of(start.logits + torch.zeros(3, 3, dtype=F64), moved)


@each
@with_labels
def test_labels_do_not_depend_on_the_size_or_order_of_blocks(way, labelled):
    """Numbers of rows are whole numbers, so they are the same bit for bit where the labels are."""
    rows = rows_of(way, labelled)
    mixtures = chains(rows)
    whole = expect(mixtures, rows, Sampled(seeded()))
    for size in (700, 64):
        rule = Sampled(seeded()).settled()
        blocks = list(rows.blocks(size))
        found = reduce(add, (statistics(mixtures, block, rule) for block in reversed(blocks)))
        assert torch.equal(found.weight, whole.weight)
        torch.testing.assert_close(found.moments, whole.moments)
    assert not torch.equal(expect(mixtures, rows, Sampled(seeded(1))).weight, whole.weight)


@pytest.mark.parametrize("family", ["Poisson", "StudentT", "LogNormal"])
def test_labels_of_other_families_do_not_depend_on_blocks(family):
    x = {"Poisson": lambda x: x[:, 0].abs().round()}.get(family, lambda x: x.exp())(table()[0])
    mixture = mx.fit(x, 3, family=getattr(mx, family), restarts=1, method=mx.EM(3, tolerance=0)).mixture
    rows, batched = recorded(x), mixture.map(lambda t: t.unsqueeze(0))
    whole = expect(batched, rows, Sampled(seeded())).weight
    rule = Sampled(seeded()).settled()
    assert torch.equal(rows.reduce(lambda block: statistics(batched, block, rule).weight, 64), whole)


METHODS = {
    "Gibbs": mx.Gibbs(6, 2, 2),
    "StochasticEM": mx.StochasticEM(draws=4, max_iterations=3, acceleration=False),
    "AnnealedEM": mx.AnnealedEM(max_iterations=8),
}


@pytest.mark.parametrize("method", METHODS)
@with_labels
def test_fits_do_not_depend_on_blocks_or_on_who_reads(method, labelled, monkeypatch, tmp_path):
    x, labels = table()
    known = torch.where(torch.arange(ROWS) % 3 == 0, labels, -1) if labelled else None
    start = mx.fit(x, 3, restarts=1, method=mx.EM(1, tolerance=0)).mixture
    np.save(tmp_path / "x.npy", x.numpy())
    sources = [
        (x, 10**9),
        (x, 700),
        (x, 64),
        (np.load(tmp_path / "x.npy", mmap_mode="r"), 200),
        (_csv(x, tmp_path), 99),
    ]
    fits = []
    for source, size in sources:
        monkeypatch.setattr("mixtura.learning.expectation.expect.block_size", lambda _, size=size: size)
        fits.append(mx.fit(source, init=start, method=METHODS[method], labels=known, generator=seeded()).mixture)
    for other in fits[1:]:
        torch.testing.assert_close(other.logits, fits[0].logits, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(other.components.mean, fits[0].components.mean, rtol=1e-9, atol=1e-9)


def _csv(x, folder):
    path = folder / "x.csv"
    path.write_text("a,b\n" + "\n".join(f"{a!r},{b!r}" for a, b in x.tolist()) + "\n")
    return path


def test_components_that_hold_rows_are_counted_alike_in_any_blocks(monkeypatch):
    x, _ = table(40)
    prior = mx.Prior(mx.priors.StickBreaking(0.5))
    fit = mx.fit(x, 6, method=mx.Gibbs(20, 30, 1, prior), generator=seeded())
    whole = fit.occupied(seeded())
    assert len(whole.unique()) > 1
    monkeypatch.setattr("mixtura.data.blocks.Rows.suggested_size", 7)
    assert torch.equal(fit.occupied(seeded()), whole)
