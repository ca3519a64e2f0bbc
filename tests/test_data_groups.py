"""Groups of rows: every kind of label, from every kind of table, gives the same names and codes."""

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from pyarrow import feather, parquet

import mixtura as mx
from mixtura.data import grouping, names_but

KEYS = {
    "text": ["b", "a", "b", "Größe"],
    "whole": [7, -3, 7, 40],
    "number": [0.5, -1.5, 0.5, 2.0],
    "truth": [True, False, True, True],
}
LEVEL = [1.0, 2.0, 3.0, 4.0]

TABLES = {
    "mapping": lambda table: table,
    "pandas": pandas.DataFrame,
    "pandas, nullable": lambda table: pandas.DataFrame(table).convert_dtypes(),
    "pandas, categories": lambda table: pandas.DataFrame({k: pandas.Categorical(v) for k, v in table.items()}),
    "polars": polars.DataFrame,
    "pyarrow": pyarrow.table,
    "pyarrow, encoded": lambda table: pyarrow.table(
        {k: pyarrow.array(v).dictionary_encode() for k, v in table.items()}
    ),
    "structured": lambda table: pandas.DataFrame(table).to_records(index=False),
}
FILES = {
    "x.csv": lambda table, path: pandas.DataFrame(table).to_csv(path, index=False),
    "x.tsv": lambda table, path: pandas.DataFrame(table).to_csv(path, index=False, sep="\t"),
    "x.csv.gz": lambda table, path: pandas.DataFrame(table).to_csv(path, index=False),
    "x.parquet": lambda table, path: parquet.write_table(pyarrow.table(table), path, row_group_size=2),
    "x.feather": lambda table, path: feather.write_feather(pyarrow.table(table), path, chunksize=3),
    "x.npz": lambda table, path: np.savez(path, **table),
}


@pytest.fixture(params=[*TABLES, *FILES])
def source(request, tmp_path):
    """From a table as a mapping to the same in another form."""

    def made(table):
        if request.param in TABLES:
            return TABLES[request.param](table)
        FILES[request.param](table, tmp_path / request.param)
        return tmp_path / request.param

    return made


@pytest.mark.parametrize("kind", KEYS)
def test_a_column_by_its_name(source, kind):
    found = grouping(source({"level": LEVEL, "key": KEYS[kind]}), "key")
    assert found.names == tuple(sorted(set(KEYS[kind])))
    assert [found.names[code] for code in found.codes.tolist()] == KEYS[kind]
    assert found.codes.dtype == torch.int64


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", [list, tuple, np.array, pandas.Series, polars.Series, pyarrow.array])
def test_labels_themselves(kind, form):
    found = grouping(torch.zeros(4, 2), form(KEYS[kind]))
    assert [found.names[code] for code in found.codes.tolist()] == KEYS[kind]


def test_labels_as_a_tensor_and_for_any_rows(tmp_path):
    labels = torch.tensor([3, 3, 1, 2])
    FILES["x.csv"]({"level": LEVEL}, tmp_path / "x.csv")
    for x in (torch.zeros(4), np.zeros((4, 2)), LEVEL, {"level": LEVEL}, mx.data.rows(LEVEL), tmp_path / "x.csv"):
        assert grouping(x, labels).names == (1, 2, 3)
        assert grouping(x, labels).codes.tolist() == [2, 2, 0, 1]


def test_many_rows_and_text_that_looks_like_numbers_at_first(tmp_path):
    keys = [str(n) for n in range(200_000)] + ["last"]
    (tmp_path / "x.csv").write_text("key,level\n" + "".join(f"{key},1\n" for key in keys))
    assert len(grouping(tmp_path / "x.csv", "key").names) == len(keys)


MISSING = {"None": ["a", None, "b", "a"], "empty": ["a", "", "b", "a"], "NaN": [1.0, float("nan"), 2.0, 1.0]}


@pytest.mark.parametrize("kind", MISSING)
def test_a_row_without_a_label_is_refused(source, kind):
    table = {"level": LEVEL, "key": MISSING[kind]}
    if kind == "None":
        table["key"] = np.array(table["key"], dtype=object)
    table = source(table)
    if kind == "None" and str(table).endswith(".npz"):
        pytest.skip("an archive of arrays does not hold such a gap")
    with pytest.raises(mx.errors.MixtureError, match="`groups` must be a label for every row; got none in 1 of 4 rows"):
        grouping(table, "key")


def test_names_and_shapes_that_do_not_fit(source):
    table = source({"level": LEVEL, "gene": KEYS["text"]})
    with pytest.raises(mx.errors.MixtureError, match="`groups`.*'gen', which is not one.*mean 'gene'"):
        grouping(table, "gen")
    with pytest.raises(mx.errors.MixtureError, match="`groups` must be labels, because x has no named columns"):
        grouping(torch.zeros(4), "gene")
    for labels in ([1, 2], torch.zeros(4, 1), 3):
        with pytest.raises(mx.errors.MixtureError, match="`groups` must be one label for each of the 4 rows"):
            grouping(torch.zeros(4), labels)
    with pytest.raises(mx.errors.MixtureError, match="`groups` must be whole numbers, numbers or texts"):
        grouping(torch.zeros(4), torch.zeros(4, dtype=torch.complex64))


def test_the_other_columns_are_the_features(source):
    assert names_but(source({"level": LEVEL, "gene": KEYS["text"], "mass": LEVEL}), ["gene"]) == ("level", "mass")
    with pytest.raises(mx.errors.MixtureError, match="a table with columns beside gene; got none"):
        names_but(source({"gene": KEYS["text"]}), ["gene"])


def test_what_has_no_names(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 2)))
    assert all(names_but(x, []) is None for x in (torch.zeros(4, 2), LEVEL, tmp_path / "x.npy"))
