"""One mixture for each group of rows: the same as fits of the groups one by one, and no group spoils another."""

import math
import pickle

import numpy as np
import pytest
import torch

import mixtura as mx
from mixtura.data import grouping
from mixtura.errors import MixtureError
from mixtura.learning import Reason

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def groups(count=12, rows=60, features=2, seed=0):
    """Two round clusters in each group, the groups in disorder."""
    made = generator(seed)
    labels = torch.arange(count).repeat_interleave(rows)
    cluster = torch.randint(2, (count * rows,), generator=made)
    x = torch.randn(count * rows, features, generator=made, dtype=F64) + 6 * cluster.unsqueeze(-1)
    order = torch.randperm(len(x), generator=made)
    return x[order], labels[order]


def close(one, other, tolerance=1e-4):
    torch.testing.assert_close(
        torch.as_tensor(one, dtype=F64), torch.as_tensor(other, dtype=F64), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("covariance", ["full", "diagonal", "tied-spherical", "VEV", mx.LowRank(1)])
def test_each_group_is_fitted_as_if_alone(covariance):
    x, labels = groups(6)
    fits = mx.fit(x, 2, covariance, groups=labels, generator=generator())
    assert fits.mixture.batch_shape == (6,) and fits.names == tuple(range(6))
    for line in fits.table:
        alone = mx.fit(x[labels == line.name], 2, covariance, generator=generator())
        close(line.log_likelihood, alone.log_likelihood, 0.02)
        close(line.bic, alone.bic, 0.04)
        close(fits[line.name].log_likelihood, line.log_likelihood, 1e-6)
        assert line.rows == 60 and line.reason is Reason.CONVERGED


@pytest.mark.parametrize(
    ("family", "x"), [(mx.Poisson, [1.0, 2, 0, 9, 8, 11] * 8), (mx.StudentT, [0.1, 0.2, 5, 6] * 12)]
)
def test_families_without_a_kernel_are_fitted_one_by_one(family, x):
    x, labels = torch.tensor(x, dtype=F64), ["a", "b"] * (len(x) // 2)
    fits = mx.fit(x, 1, family=family, groups=labels)
    for name in "ab":
        mine = x[[one == name for one in labels]]
        close(fits[name].log_likelihood, mx.fit(mine, 1, family=family).log_likelihood)


@pytest.mark.parametrize("method", [mx.EM(), mx.EM(prior=mx.Prior()), mx.KMeans()])
def test_groups_that_cannot_be_fitted_spoil_no_other(method):
    x, labels = groups(5, features=1)
    x[labels == 1] = 3.0
    x[labels == 2] = math.nan
    few = (labels == 3).nonzero().squeeze(-1)[1:]
    keep = torch.ones(len(x), dtype=torch.bool)
    keep[few] = False
    fits = mx.fit(x[keep], 2, method=method, groups=labels[keep], generator=generator())
    assert [line.reason is Reason.REFUSED for line in fits.table] == [False, True, True, True, False]
    assert any(word in fits.table[1].detail for word in ("constant", "equal"))
    assert "NaN" in fits.table[2].detail and "fewer" in fits.table[3].detail.lower()
    assert bool(fits.mixture.components.mean[[0, 4]].isfinite().all())
    whole = mx.fit(x[labels == 4], 2, method=method, generator=generator())
    close(fits[4].log_likelihood, whole.log_likelihood, 0.02)
    with pytest.raises(MixtureError, match="could be fitted"):
        fits[1]


def test_no_group_at_all_is_an_error():
    with pytest.raises(MixtureError, match="No group"):
        mx.fit(torch.ones(6), 2, groups=[0, 0, 0, 1, 1, 1])


def test_a_column_of_a_table_names_the_groups():
    pandas = pytest.importorskip("pandas")
    x, labels = groups(3)
    names = [("one", "two", "three")[label] for label in labels.tolist()]
    table = pandas.DataFrame({"a": x[:, 0].numpy(), "gene": names, "b": x[:, 1].numpy()})
    fits = mx.fit(table, 2, groups="gene", generator=generator())
    assert fits.names == ("one", "three", "two") and fits.mixture.columns == ("a", "b")
    again = mx.fit(x, 2, groups=names, generator=generator())
    assert torch.equal(fits.mixture.components.mean, again.mixture.components.mean)


def test_weights_count_within_groups():
    x, labels = groups(3, features=1)
    weight = torch.randint(0, 3, (len(x),), generator=generator()).to(F64)
    weighted = mx.fit(x, 2, groups=labels, sample_weight=weight, generator=generator())
    repeated = mx.fit(
        x.repeat_interleave(weight.long(), 0), 2, groups=labels.repeat_interleave(weight.long()), generator=generator()
    )
    close(weighted.log_likelihood, repeated.log_likelihood, 0.02)
    close(weighted.bic, repeated.bic, 0.04)


def test_rows_of_a_group_see_no_other_group():
    """What the other groups hold, moves no bit of a group's own fit."""
    x, labels = groups(4)
    other = torch.where((labels == 2).unsqueeze(-1), x, 100 * x + 5)
    one, two = (mx.fit(rows, 2, groups=labels, generator=generator()) for rows in (x, other))
    assert torch.equal(one.mixture.components.mean[2], two.mixture.components.mean[2])
    assert not torch.equal(one.mixture.components.mean[1], two.mixture.components.mean[1])


def test_single_precision_is_kept():
    x, labels = groups(3)
    fits = mx.fit(x.float(), 2, groups=labels)
    assert fits.mixture.dtype is torch.float32


def test_the_best_model_is_chosen_for_each_group():
    x, labels = groups(4, rows=80)
    round_one = torch.randn(80, 2, generator=generator(3), dtype=F64)
    x[labels == 1] = round_one
    x[labels == 3] = 2.0
    found = mx.select(x, components=(1, 2), covariance=("full", "spherical"), groups=labels, generator=generator())
    assert [line.components for line in found.table[:3]] == [2, 1, 2] and found.chosen[3] is None
    assert found.table[3].reason is Reason.REFUSED and found.names == (0, 1, 2, 3)
    alone = mx.select(x[labels == 2], components=(1, 2), covariance=("full", "spherical"), generator=generator())
    assert found.table[2].covariance == alone.table[0].covariance
    close(found[2].bic, alone.best.bic, 0.04)
    batch = found.mixture
    assert batch.batch_shape == (4,) and bool(batch.components.mean[3].isnan().all())
    for g in range(3):
        mine = x[labels == g]
        close(batch.batch(g).log_prob(mine), found[g].mixture.log_prob(mine), 1e-8)


def test_groups_are_chosen_by_any_criterion():
    x, labels = groups(2, rows=80)
    for criterion in ("aic", "icl"):
        found = mx.select(x, components=(1, 2), covariance="full", criterion=criterion, groups=labels)
        assert [line.components for line in found.table] == [2, 2]


@pytest.mark.parametrize("covariance", ["full", mx.LowRank(1)])
def test_what_is_told_of_each_group_is_there_when_it_is_asked_for(covariance):
    x, labels = groups(4)
    x[labels == 1] = 2.0
    fits = mx.fit(x, 2, covariance, groups=labels, generator=generator())
    assert len(fits.told) == len(fits) == 4 and fits.told[-1] == fits.told[3]
    assert [told.reason for told in fits.told] == list(fits.told.reasons) == [line.reason for line in fits.table]
    assert fits.told.reasons[1] is Reason.REFUSED and fits.told[1].detail
    for name in (0, 2, 3):
        trace = fits.told[name].trace
        close(trace[-1] * 60, fits.log_likelihood[name], 1e-6)
        close(fits[name].trace, trace, 0)
        assert all(after >= before - 1e-12 for before, after in zip(trace, trace[1:], strict=False))
    with pytest.raises(IndexError):
        fits.told[4]
    there = pickle.loads(pickle.dumps(fits))
    assert there.table[0] == fits.table[0] and there.told[2] == fits.told[2]


def test_more_starts_find_better_optima_in_hard_groups():
    """One narrow and one wide component about one place: the ends of the two best of many starts are seldom missed."""
    made = generator(1)
    wide = torch.rand(60, 80, generator=made) < 0.3
    x = torch.randn(60, 80, generator=made, dtype=F64) * (1 + 3.0 * wide)
    labels = torch.arange(60).repeat_interleave(80)
    one, few, many = (
        mx.fit(x.flatten(), 2, groups=labels, restarts=restarts, generator=generator()).log_likelihood
        for restarts in (1, None, 32)
    )
    assert (many - few < 0.05).double().mean() > 0.75 > (many - one < 0.05).double().mean()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("span", [3, 100, 10**9])
def test_whole_labels_are_the_same_with_and_without_sorting(kind, span):
    most = min(span, np.iinfo(kind).max)
    labels = np.random.default_rng(0).integers(max(-most, np.iinfo(kind).min), most, 400).astype(kind)
    names, codes = np.unique(labels, return_inverse=True)
    found = grouping(torch.zeros(400), labels)
    assert found.names == tuple(names.tolist()) and found.codes.tolist() == codes.tolist()
