"""Data that cannot be read: each error names the argument, what came, and what to do."""

import re
import sys

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from pyarrow import feather, parquet
from pyarrow.csv import write_csv

from mixtura import datasets
from mixtura.data import read, read_table, rows

TABLE = {"waiting": [79.0, 54.0], "eruptions": [3.6, 1.8], "species": ["Adelie", "Gentoo"]}


def sources(tmp_path):
    table = pyarrow.table(TABLE)
    table.to_pandas().to_csv(tmp_path / "x.csv", index=False)
    parquet.write_table(table, tmp_path / "x.parquet")
    feather.write_feather(table, tmp_path / "x.feather")
    files = [tmp_path / name for name in ("x.csv", "x.parquet", "x.feather")]
    return [*files, TABLE, table, table.to_pandas(), polars.DataFrame(TABLE)]


def test_a_column_that_is_not_there_suggests_the_nearest(tmp_path):
    for source in sources(tmp_path):
        with pytest.raises(ValueError, match="`columns`.*'Waitng'.*mean 'waiting'.*waiting, eruptions, species"):
            rows(source, columns=["eruptions", "Waitng"])
        with pytest.raises(ValueError, match="`weight`.*'waitin'.*mean 'waiting'"):
            rows(source, columns=["eruptions"], weight="waitin")


def test_text_is_never_dropped_in_silence(tmp_path):
    for source in sources(tmp_path):
        with pytest.raises(ValueError, match=r"text in column 'species'.*'Adelie'.*columns=\['waiting', 'eruptions'\]"):
            rows(source)
        assert rows(source, columns=["waiting"]).tensor().tolist() == [[79.0], [54.0]]


@pytest.mark.parametrize(
    "column", [pandas.Categorical(["x", "y"]), pandas.to_datetime(["2024-01-01", "2024-01-02"]), ["1", "2"]]
)
def test_columns_that_only_look_like_numbers(column):
    with pytest.raises(ValueError, match="column 'a', for example"):
        rows(pandas.DataFrame({"a": column}))


def test_the_example_is_the_cell_to_blame(tmp_path):
    (tmp_path / "x.csv").write_text("age,n\n1,1\n?,2\n3,3\n")
    with pytest.raises(ValueError, match=r"column 'age', for example '\?'.*columns=\['n'\]"):
        rows(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"column 'age', for example '\?'"):
        rows({"age": [1, "?", 3], "n": [1, 2, 3]})


def test_text_far_down_a_csv_file_is_quoted(tmp_path):
    (tmp_path / "x.csv").write_text("a\n" + "1234567\n" * 200_000 + "oops\n")
    with pytest.raises(ValueError, match="x.csv.*oops"):
        rows(tmp_path / "x.csv").tensor()


def test_names_that_occur_twice(tmp_path):
    (tmp_path / "x.csv").write_text("a,a,b\n1,2,3\n")
    for source in (tmp_path / "x.csv", pandas.DataFrame([[1, 2]], columns=["a", "a"])):
        with pytest.raises(ValueError, match="'a' twice"):
            rows(source)
    assert rows(tmp_path / "x.csv", columns=["b"]).tensor().item() == 3
    with pytest.raises(ValueError, match="'b' twice"):
        rows({"b": [1]}, columns=["b", "b"])


def test_a_csv_file_without_names_would_lose_its_first_row(tmp_path):
    (tmp_path / "x.csv").write_text("3.6,79\n1.8,54\n")
    with pytest.raises(ValueError, match=r"`x`.*x\.csv.*numbers: 3\.6, 79.*line of names"):
        rows(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.parquet", "x.feather", "x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02 not a table \xff", b"PAR1ARROW1"])
def test_damaged_files_are_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(name)):
        rows(tmp_path / name)


def test_an_empty_csv_file(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\.csv.*Empty CSV file"):
        rows(tmp_path / "x.csv")


def test_truncated_parquet(tmp_path):
    parquet.write_table(pyarrow.table({"a": np.arange(1000.0)}), tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"file that can be read.*x\.parquet"):
        rows(tmp_path / "x.parquet")


def test_uneven_lines_of_a_csv_file(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match=r"x\.csv.*[Ee]xpected 2 columns"):
        rows(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"x\.csv.*[Ee]xpected 2 columns"):
        read_table(tmp_path / "x.csv")


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        rows(tmp_path / "nowhere.csv")
    (tmp_path / "x.xlsx").write_text("")
    with pytest.raises(ValueError, match=r"\.parquet.*x\.xlsx"):
        read(tmp_path / "x.xlsx")


@pytest.mark.parametrize("x", [torch.zeros(2, 2, 2), torch.zeros(()), torch.zeros(3, 0), np.zeros((1, 2, 3)), 5])
def test_shapes_that_are_no_table(x):
    with pytest.raises((ValueError, TypeError), match="`x` must be"):
        rows(x)


def test_lists_of_uneven_lengths():
    with pytest.raises(ValueError, match="one length"):
        rows([[1, 2], [3]])
    with pytest.raises(ValueError, match=r"one length.*'a': 2.*'b': 1"):
        rows({"a": [1, 2], "b": [3]})


@pytest.mark.parametrize(
    "x", [object(), None, torch.zeros(2, dtype=torch.complex64), np.zeros(2, complex), ["a", "b"], np.array(["a"])]
)
def test_things_that_are_not_numbers(x):
    with pytest.raises(TypeError, match="`x` must be"):
        rows(x)


@pytest.mark.parametrize("columns", [[], ()])
def test_no_columns(columns):
    with pytest.raises(ValueError, match="`columns` must be at least one"):
        rows({"a": [1]}, columns=columns)


def test_names_for_an_array_must_fit():
    with pytest.raises(ValueError, match="each of the 2 columns.*3 names: a, b, c"):
        rows(torch.zeros(4, 2), columns=["a", "b", "c"])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -2.0, 1.0], r"-2\.0 in row 1"),
        ([1.0, 1.0, float("nan")], "nan in row 2"),
        ([float("inf"), 1.0, 1.0], "inf in row 0"),
        ([0.0, 0.0, 0.0], "3 zeros"),
    ],
)
def test_weights_that_cannot_be(weight, message, tmp_path):
    table = pyarrow.table({"a": [1.0, 2.0, 3.0], "w": weight})
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    np.save(tmp_path / "x.npy", np.arange(3.0))
    for x, w in [(torch.arange(3), torch.tensor(weight)), (table, "w"), (tmp_path / "x.parquet", "w")]:
        with pytest.raises(ValueError, match=f"`weight`.*{message}"):
            rows(x, weight=w)
    with pytest.raises(ValueError, match=f"`weight`.*{message}"):
        rows(tmp_path / "x.npy", weight=weight)


@pytest.mark.parametrize("weight", [[1.0, 2.0], torch.ones(3, 1), 2.0])
def test_weights_of_the_wrong_shape(weight, tmp_path):
    write_csv(pyarrow.table({"a": [1, 2, 3]}), tmp_path / "x.csv")
    for x in (torch.zeros(3), tmp_path / "x.csv"):
        with pytest.raises(ValueError, match=r"`weight`.*each of the 3 rows, shape \(3,\)"):
            rows(x, weight=weight)


def test_weights_that_are_no_numbers():
    with pytest.raises(ValueError, match="`weight` must be numbers.*no named columns.*'w'"):
        rows(torch.zeros(3), weight="w")
    with pytest.raises(TypeError, match="`weight` must be one number for each row"):
        rows(torch.zeros(2), weight=["a", "b"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.int64])
def test_types_that_are_not_offered(dtype):
    with pytest.raises(ValueError, match=r"`dtype` must be torch\.float32 or torch\.float64; got torch\."):
        rows([1.0], dtype=dtype)


def test_blocks_of_no_rows():
    with pytest.raises(ValueError, match="`size`"):
        rows([1.0]).blocks(0)


def test_without_pyarrow_files_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'mixtura\[files\]'"):
        rows(datasets.path("old_faithful"))
    assert rows({"a": [1.0]}).columns == ("a",)
