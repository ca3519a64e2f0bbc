"""Rows from memory and from files: one table, every way in, the same blocks."""

import gzip

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from pyarrow import feather, parquet

from mixtura.data import Block, CsvRows, ParquetRows, Rows, TensorRows, read_table, rows
from mixtura.data.files import StreamedRows

N = 23
A, B, W = np.linspace(-1.5, 2.0, N), np.arange(N) ** 2, np.arange(N) % 3
TABLE = pyarrow.table({"a": A, "b": B, "w": W})
EXPECTED = torch.tensor(np.column_stack([A, B.astype(float)]))
WEIGHT = torch.tensor(W, dtype=torch.float64)


def write_stream(table, path):
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)


WRITERS = {
    "x.csv": lambda table, path: table.to_pandas().to_csv(path, index=False),
    "x.csv.gz": lambda table, path: table.to_pandas().to_csv(path, index=False),
    "x.tsv": lambda table, path: table.to_pandas().to_csv(path, index=False, sep="\t"),
    "x.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=7),
    "x.feather": lambda table, path: feather.write_feather(table, path, chunksize=6),
    "plain.arrow": lambda table, path: feather.write_feather(table, path, compression="uncompressed"),
    "stream.arrow": write_stream,
    "x.npz": lambda table, path: np.savez(path, **{name: table[name].to_numpy() for name in table.column_names}),
}

FRAMES = {
    "pandas": lambda table: table.to_pandas(),
    "pandas, nullable": lambda table: table.to_pandas().convert_dtypes(),
    "pandas, arrow": lambda table: table.to_pandas(types_mapper=pandas.ArrowDtype),
    "polars": lambda table: polars.DataFrame(table.to_pydict()),
    "pyarrow": lambda table: table,
    "record batch": lambda table: table.to_batches()[0],
    "mapping": lambda table: table.to_pydict(),
    "structured": lambda table: table.to_pandas().to_records(index=False),
}


@pytest.fixture(params=[*WRITERS, *FRAMES])
def source(request, tmp_path):
    """The same table as a file of each kind and as a frame of each library."""
    if request.param in FRAMES:
        return FRAMES[request.param](TABLE)
    WRITERS[request.param](TABLE, tmp_path / request.param)
    return tmp_path / request.param


def joined(blocks: list[Block]) -> torch.Tensor:
    return torch.cat([block.x for block in blocks])


def test_every_source_gives_the_same_rows(source):
    found = rows(source, columns=["a", "b"], weight="w")
    assert len(found) == N and found.columns == ("a", "b") and found.event_shape == (2,)
    torch.testing.assert_close(found.tensor(), EXPECTED, rtol=0, atol=1e-15)
    assert found.weight is not None and found.weight.equal(WEIGHT)
    assert found.total_weight == W.sum()


@pytest.mark.parametrize("size", [1, 4, 7, 22, 23, 1000])
def test_blocks_have_the_size_asked_for_and_join_to_all_rows(source, size):
    found = rows(source, columns=["b", "a"], weight="w")
    blocks, again = list(found.blocks(size)), list(found.blocks(size))
    assert [len(block.x) for block in blocks] == [size] * (N // size) + [N % size] * (N % size > 0)
    assert joined(blocks).equal(found.tensor()) and joined(again).equal(joined(blocks))
    assert found.tensor()[:, 0].equal(EXPECTED[:, 1])
    assert torch.cat([block.weight for block in blocks if block.weight is not None]).equal(WEIGHT)


def test_a_name_alone_makes_rows_of_single_numbers(source):
    found = rows(source, columns="b", weight=W.tolist())
    assert found.event_shape == () and found.features == 1
    assert found.tensor().equal(EXPECTED[:, 1])
    assert torch.cat([block.weight for block in found.blocks(5) if block.weight is not None]).equal(WEIGHT)


def test_all_columns_but_the_weight_by_default(tmp_path):
    WRITERS["x.csv"](TABLE, tmp_path / "x.csv")
    assert rows(tmp_path / "x.csv", weight="w").columns == ("a", "b")
    assert rows(str(tmp_path / "x.csv")).columns == ("a", "b", "w")
    assert rows(TABLE, weight="w").columns == ("a", "b")


def test_npz_holds_one_array_or_named_ones(tmp_path):
    np.savez(tmp_path / "one.npz", EXPECTED.numpy())
    np.savez(tmp_path / "two.npz", x=EXPECTED.numpy(), w=W, other=A)
    assert rows(tmp_path / "one.npz", columns=["a", "b"]).columns == ("a", "b")
    assert rows(tmp_path / "two.npz", columns="x", weight="w").tensor().equal(EXPECTED)
    assert rows(tmp_path / "two.npz", columns="x", weight="w").total_weight == W.sum()
    assert rows(tmp_path / "two.npz", columns=["other"]).event_shape == (1,)
    with pytest.raises(ValueError, match=r"several arrays.*x \(23, 2\), w \(23,\), other \(23,\)"):
        rows(tmp_path / "two.npz")


def test_npy_stays_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", EXPECTED.float().numpy())
    found = rows(tmp_path / "x.npy", weight=W)
    assert isinstance(found._array, np.memmap) and found.dtype == torch.float32  # type: ignore[attr-defined]
    next(found.blocks(4)).x.fill_(9)
    assert found.tensor().equal(EXPECTED.float()) and found.total_weight == W.sum()
    assert rows(tmp_path / "x.npy", dtype=torch.float64).tensor().dtype == torch.float64


def test_blocks_of_a_tensor_are_views():
    x = torch.randn(10, 3)
    assert {block.x.untyped_storage().data_ptr() for block in rows(x).blocks(3)} == {x.untyped_storage().data_ptr()}
    assert rows(x).tensor() is x


def test_float_arrays_in_memory_are_not_copied():
    x = np.zeros((4, 2), dtype=np.float32)
    assert rows(x).tensor().data_ptr() == x.ctypes.data


@pytest.mark.parametrize(
    "x",
    [
        A[::-1],
        A.astype(">f8"),
        np.asfortranarray(EXPECTED.numpy()),
        np.broadcast_to(A, (4, N)),
        EXPECTED.numpy()[:, ::-1],
    ],
)
def test_unusual_layouts_of_arrays(x):
    assert np.array_equal(rows(x).tensor().numpy(), x)


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        (torch.zeros(3, dtype=torch.float32), torch.float32),
        (torch.zeros(3, dtype=torch.float64), torch.float64),
        (torch.zeros(3, dtype=torch.float16), torch.float32),
        (torch.zeros(3, dtype=torch.bfloat16), torch.float32),
        (torch.zeros(3, dtype=torch.int64), torch.float64),
        (torch.zeros(3, dtype=torch.bool), torch.float64),
        (np.zeros(3, dtype=np.float16), torch.float32),
        (np.zeros(3, dtype=np.int8), torch.float64),
        ([1, 2, 3], torch.float64),
        ([[1.5, 2], [3, None]], torch.float64),
        (pandas.Series([1.0], dtype="float32"), torch.float32),
        (polars.Series([1.0], dtype=polars.Float32), torch.float32),
        (pyarrow.table({"a": pyarrow.array([1.0], pyarrow.float32())}), torch.float32),
        (pyarrow.table({"a": pyarrow.array([1.0], pyarrow.float32()), "b": [1]}), torch.float64),
        ({"a": [True, False]}, torch.float64),
    ],
)
def test_floats_keep_their_type_and_the_rest_becomes_double(x, dtype):
    found = rows(x)
    assert found.dtype == dtype
    assert all(block.x.dtype == dtype for block in found.blocks(2))
    assert rows(x, dtype=torch.float32).tensor().dtype == torch.float32


@pytest.mark.parametrize("kind", ["x.parquet", "x.feather"])
def test_files_of_single_precision_stay_so(kind, tmp_path):
    table = pyarrow.table({"a": pyarrow.array(A, pyarrow.float32()), "w": W})
    WRITERS[kind](table, tmp_path / kind)
    found = rows(tmp_path / kind, weight="w")
    assert found.dtype == torch.float32
    assert {(block.x.dtype, block.weight.dtype) for block in found.blocks(5)} == {(torch.float32,) * 2}  # type: ignore[union-attr]


def test_series_keep_their_name():
    assert rows(pandas.Series([1, 2], name="waiting")).columns == ("waiting",)
    assert rows(polars.Series("waiting", [1, None])).columns == ("waiting",)
    assert rows(pyarrow.array([1, 2])).columns is None


@pytest.mark.parametrize("kind", sorted({*WRITERS, *FRAMES} - {"x.npz", "structured"}))
def test_gaps_become_nan_in_every_kind_of_column(kind, tmp_path):
    table = pyarrow.table({"a": [1, None, 3], "b": [None, 0.5, 1.5], "c": [True, None, False]})
    expected = torch.tensor([[1, torch.nan, 1], [torch.nan, 0.5, torch.nan], [3, 1.5, 0]], dtype=torch.float64)
    x = FRAMES[kind](table) if kind in FRAMES else tmp_path / kind
    if kind in WRITERS:
        WRITERS[kind](table, x)
    torch.testing.assert_close(rows(x).tensor(), expected, equal_nan=True)


def test_rows_are_returned_as_they_are():
    found = rows([1.0, 2.0])
    assert rows(found) is found
    with pytest.raises(ValueError, match="where the Rows are made"):
        rows(found, weight=[1, 2])


def test_csv_fractions_after_a_mebibyte_of_whole_numbers(tmp_path):
    """The type of a column is not settled by its beginning."""
    values = ["1234567"] * 200_000 + ["0.5", "NA"]
    (tmp_path / "x.csv").write_text("\n".join(["a", *values]))
    found = rows(tmp_path / "x.csv").tensor()
    assert len(found) == 200_002 and found[-2] == 0.5 and found[-1].isnan()


def test_csv_of_a_frame_without_names(tmp_path):
    pandas.DataFrame(EXPECTED.numpy()).to_csv(tmp_path / "x.csv", index=False)
    assert rows(tmp_path / "x.csv", columns=["1", "0"]).columns == ("1", "0")


def test_csv_with_a_byte_order_mark(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert rows(tmp_path / "x.csv").columns == ("a", "b")


def large_parquet(path, groups=40, size=25_000):
    """40 row groups of 25,000 rows and 4 columns: 32 MB, of which two columns are asked for."""
    generator = np.random.default_rng(1)
    schema = pyarrow.schema([(name, pyarrow.float64()) for name in "abcd"])
    with parquet.ParquetWriter(path, schema) as writer:
        for _ in range(groups):
            writer.write_table(pyarrow.table({name: generator.random(size) for name in "abcd"}, schema))
    return groups * size


def test_only_a_small_part_of_a_parquet_file_is_held(tmp_path):
    count = large_parquet(tmp_path / "x.parquet")
    before, most, seen = pyarrow.total_allocated_bytes(), 0, 0
    for block in rows(tmp_path / "x.parquet", columns=["a", "c"]).blocks(1000):
        seen += len(block.x)
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert seen == count
    assert most < (count * 2 * 8) / 4, f"{most} bytes held of {count * 16} asked for"


LONG = {
    "x.csv": WRITERS["x.csv"],
    "x.parquet": lambda table, path: parquet.write_table(table, path, row_group_size=30_000),
    "x.feather": lambda table, path: feather.write_feather(table, path, chunksize=30_000),
}


@pytest.mark.parametrize("kind", LONG)
def test_batches_are_read_only_as_blocks_are_asked_for(kind, tmp_path, monkeypatch):
    """Blocks of 1000 rows pull no more batches than they need, and drop them."""
    table = pyarrow.table({"a": np.arange(300_000), "b": np.arange(300_000)})
    LONG[kind](table, tmp_path / kind)
    found, read = rows(tmp_path / kind), []
    assert isinstance(found, StreamedRows)
    batches = type(found)._batches

    def counted(self, names):
        for batch in batches(self, names):
            read.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(type(found), "_batches", counted)
    given = 0
    for block in found.blocks(1000):
        given += len(block.x)
        assert sum(read) - given < max(read), "a batch was read before the last one was used up"
    assert given == sum(read) == 300_000 and len(read) > 1


def test_parquet_length_comes_from_metadata(tmp_path, monkeypatch):
    WRITERS["x.parquet"](TABLE, tmp_path / "x.parquet")
    found = ParquetRows(tmp_path / "x.parquet")
    monkeypatch.setattr(type(found), "_batches", None)
    assert len(found) == N


def test_a_small_file_is_read_once_and_is_then_a_table_in_memory(source):
    found = rows(source, columns=["a", "b"], weight="w")
    assert type(found) is TensorRows and found.columns == ("a", "b")


def test_csv_rows_are_counted_once(tmp_path, monkeypatch):
    WRITERS["x.csv"](TABLE, tmp_path / "x.csv")
    found = CsvRows(tmp_path / "x.csv")
    assert len(found) == N
    monkeypatch.setattr(type(found), "_batches", None)
    assert len(found) == N


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "x.npz"])
def test_tables_pass_text_through(kind, tmp_path):
    table = TABLE.append_column("species", pyarrow.array(["Adelie", "Gentoo"] * 11 + [None]))
    WRITERS[kind](table, tmp_path / kind)
    found = read_table(tmp_path / kind)
    assert found["species"].to_pylist()[:2] == ["Adelie", "Gentoo"]
    assert rows(found, columns=["a", "b"]).tensor().allclose(EXPECTED)


def test_compressed_csv_is_what_gzip_says(tmp_path):
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write("a\n1\n2\n")
    assert rows(tmp_path / "x.csv.gz").tensor().tolist() == [[1.0], [2.0]]


def test_a_new_kind_of_rows_needs_three_things():
    """What a user writes to bring rows from elsewhere."""

    class Squares(Rows):
        columns, event_shape, dtype, device = None, torch.Size(()), torch.float64, torch.device("cpu")
        weight = None

        def __len__(self):
            return 5

        def _blocks(self, size):
            return TensorRows(torch.arange(5.0, dtype=torch.float64).square()).blocks(size)

    assert rows(Squares()).tensor().tolist() == [0, 1, 4, 9, 16]
    assert Squares().total_weight == 5


def test_names_show_in_the_description(tmp_path):
    WRITERS["x.csv"](TABLE, tmp_path / "x.csv")
    assert "columns: a, b, w" in repr(rows(TABLE)) and "columns: a" in repr(rows(tmp_path / "x.csv", columns="a"))
    assert "2 without names" in repr(rows(torch.zeros(3, 2)))
