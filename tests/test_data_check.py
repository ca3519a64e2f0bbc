"""One pass over the rows: moments against NumPy's, and refusals of what cannot be learned from."""

import numpy as np
import pytest
import torch

from mixtura import datasets
from mixtura.data import check_data, check_finite, check_rows, check_spread, rows, summary


@pytest.mark.parametrize("shape", [(500,), (500, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_summary_agrees_with_numpy(shape, weighted):
    generator = np.random.default_rng(0)
    x = generator.normal(1e6, [1.0, 2.0, 0.1][: shape[-1]] if len(shape) > 1 else 3.0, shape)
    w = generator.integers(0, 3, 500) if weighted else None
    repeated = x if w is None else np.repeat(x, w, axis=0)
    found = summary(rows(x, weight=w))
    assert found.weight == len(repeated) and found.count == (500 if w is None else (w > 0).sum())
    np.testing.assert_allclose(found.mean, repeated.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.variance, repeated.var(0), rtol=1e-9)
    np.testing.assert_array_equal(found.minimum, repeated.min(0))
    np.testing.assert_array_equal(found.maximum, repeated.max(0))


@pytest.mark.parametrize("size", [1, 3, 50])
def test_summary_does_not_depend_on_the_blocks(size):
    x, w = torch.randn(50, 2, dtype=torch.float64), torch.randint(0, 3, (50,)).double()
    w[::size] = 1  # no piece without weight
    pieces = zip(x.split(size), w.split(size), strict=True)
    first, *others = (summary(rows(part, weight=weight)) for part, weight in pieces)
    merged, whole = sum(others, first), summary(rows(x, weight=w))
    for name in ("count", "weight", "mean", "variance", "minimum", "maximum"):
        torch.testing.assert_close(torch.as_tensor(getattr(merged, name)), torch.as_tensor(getattr(whole, name)))


def test_single_precision_far_from_zero_loses_nothing():
    """E[x^2] - E[x]^2 in float32 would give a variance of thousands, or below zero."""
    x = (torch.arange(1000, dtype=torch.float64) % 7 + 1e6).float()
    found = summary(rows(x))
    np.testing.assert_allclose(found.variance.item(), x.double().numpy().var(), rtol=1e-10)


def test_good_data_pass():
    assert check_data(rows(datasets.old_faithful()), components=9).count == 272
    assert check_data(rows(datasets.path("old_faithful"))).mean.allclose(datasets.old_faithful().mean(0))
    assert check_data(rows(torch.randn(100, 2) + 1e6)).variance.sub(1).abs().max() < 1


def test_gaps_are_counted_and_located():
    x = torch.zeros(200_000, 2)
    x[70_000, 1], x[150_000, 0], x[3, 0] = torch.nan, torch.inf, -torch.inf
    places = r"3 of 400000 .*row 3, column 'a': -inf; row 70000, column 'b': nan; row 150000, column 'a': inf\)"
    for check in (check_finite, check_data):
        with pytest.raises(ValueError, match="`x` must be finite; got " + places):
            check(rows(x, columns=["a", "b"]))


def test_only_the_first_gaps_are_listed():
    with pytest.raises(ValueError, match=r"9 of 9 .*row 4: nan and 4 more\)"):
        check_finite(rows(torch.full((9,), torch.nan)))


def test_gaps_in_rows_of_weight_zero_are_found_too():
    """Zero times NaN is NaN: such a row would spoil every sum."""
    with pytest.raises(ValueError, match="row 1: nan"):
        check_data(rows([1.0, float("nan"), 3.0], weight=[1, 0, 1]))


def test_gaps_in_files(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,\n")
    with pytest.raises(ValueError, match="row 1, column 'b': nan"):
        check_data(rows(tmp_path / "x.csv"))


@pytest.mark.parametrize("check", [check_rows, check_data])
def test_too_few_rows(check):
    with pytest.raises(ValueError, match="`x` must be at least one row; got none"):
        check(rows(torch.zeros(0, 2)), 1)
    with pytest.raises(ValueError, match="`components` must be at most the number of rows, 2; got 3"):
        check(rows([1.0, 2.0]), 3)
    with pytest.raises(ValueError, match="rows of positive weight, 2; got 3"):
        check(rows([1.0, 2.0, 3.0], weight=[1, 0, 1]), 3)


def test_an_empty_file(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="at least one row; got none"):
        check_data(rows(tmp_path / "x.csv"))


def test_constant_columns_are_named():
    table = {"a": [0.1] * 7, "b": range(7), "c": [-3] * 7}
    with pytest.raises(ValueError, match=r"column 'a' with 0\.1 in every row, column 'c' with -3\.0 in every row"):
        check_spread(rows({key: list(values) for key, values in table.items()}))
    with pytest.raises(ValueError, match=r"column 1 with 2\.0"):
        check_spread(rows([[1.0, 2.0], [3.0, 2.0]]))


def test_a_column_constant_but_for_rows_of_weight_zero():
    with pytest.raises(ValueError, match="column 1 with"):
        check_spread(rows([[1.0, 2.0], [3.0, 2.0], [3.0, 5.0]], weight=[1, 1, 0]))


@pytest.mark.parametrize("x", [[[1.0, 2.0]] * 4, [5.0] * 4])
def test_rows_that_are_all_equal(x):
    with pytest.raises(ValueError, match="`x` must be rows that differ; got 4 rows that are all equal"):
        check_data(rows(x))


@pytest.mark.parametrize(("dtype", "value"), [(torch.float64, 1e300), (torch.float32, 1e25), (torch.float64, -1e300)])
def test_values_whose_squares_overflow(dtype, value):
    x = torch.tensor([[1.0, 2.0], [3.0, value], [2.0, 0.5]], dtype=dtype)
    with pytest.raises(ValueError, match=r"1e\+\d+ in column 'b'\. Rescale"):
        check_data(rows(x, columns=["a", "b"]))


@pytest.mark.parametrize(("dtype", "value"), [(torch.float64, 1e-200), (torch.float32, 1e-25)])
def test_values_whose_squares_vanish(dtype, value):
    with pytest.raises(ValueError, match=r"vanish in torch\.float.*Rescale"):
        check_data(rows(torch.tensor([1.0, 2.0, 4.0], dtype=dtype) * value))


def test_faults_are_counted_and_named_over_all_blocks():
    """Rows that take several blocks: the count is of all of them, the places are the first ones of all."""
    x = torch.zeros(400_000, dtype=torch.float64)
    assert len(x) > 3 * rows(x).suggested_size
    bad = [7, 140_000, 140_001, 270_000, 270_001, 399_999]
    x[bad] = torch.nan
    found = rows(x).faults(torch.isnan)
    assert found.count == len(bad)
    assert [entry.row for entry in found.first] == bad[:5]
    with pytest.raises(ValueError, match=r"6 of 400000 values.*row 7: nan; row 140000: nan.*and 1 more"):
        check_finite(rows(x))
