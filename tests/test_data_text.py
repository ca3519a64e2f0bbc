"""Text files as people have them: other encodings, delimiters, decimal marks and ends of lines, read or refused."""

import gzip
import re

import pandas
import pytest
import torch

import mixtura as mx
from mixtura.data import column_names, grouping, read_table, rows
from mixtura.errors import MixtureError

X = torch.tensor([[3.6, 79.25], [-1.8, 54.0], [0.25, 1234.5]], dtype=torch.float64)
PLAIN = "Größe,waiting\n3.6,79.25\n-1.8,54\n0.25,1234.5\n"
SEMICOLONS = "Größe;waiting\n3,6;79,25\n-1,8;54\n0,25;1234,5\n"

READ = {
    "plain": PLAIN.encode(),
    "with a mark": PLAIN.encode("utf-8-sig"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "Windows lines": PLAIN.replace("\n", "\r\n").encode(),
    "old Mac lines": PLAIN.replace("\n", "\r").encode(),
    "no last line end": PLAIN.rstrip().encode(),
    "empty lines": ("\n\n" + PLAIN.replace("\n", "\n\n")).encode(),
    "quoted": re.sub(r"[^,\n]+", r'"\g<0>"', PLAIN).encode(),
    "semicolons": SEMICOLONS.encode(),
    "semicolons, points": PLAIN.replace(",", ";").encode(),
    "semicolons, UTF-16": SEMICOLONS.encode("utf-16"),
    "semicolons, Windows, with a mark": SEMICOLONS.replace("\n", "\r\n").encode("utf-8-sig"),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "tabs, decimal commas": SEMICOLONS.replace(";", "\t").encode(),
    "bars": PLAIN.replace(",", "|").encode(),
}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("kind", READ)
def test_what_can_be_read_is(kind, suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(READ[kind]) if suffix.endswith(".gz") else READ[kind])
    found = rows(path)
    assert found.columns == column_names(path) == ("Größe", "waiting")
    assert found.tensor().equal(X) and len(found) == 3
    assert read_table(path).column_names == ["Größe", "waiting"]
    assert grouping(path, "waiting").names == (54.0, 79.25, 1234.5)


def test_marks_in_names_and_texts_do_not_mislead(tmp_path):
    (tmp_path / "x.csv").write_text('"length; mm","a|b",note\n1.5,2,"x;y|z"\n2.5,3,"u;v|w"\n')
    assert column_names(tmp_path / "x.csv") == ("length; mm", "a|b", "note")
    (tmp_path / "x.csv").write_text("P(a|b)\n1.5\n2.5\n")
    assert rows(tmp_path / "x.csv").columns == ("P(a|b)",)
    (tmp_path / "x.csv").write_text('a,note\n1,"two\nlines"\n2,"one"\n')
    assert rows(tmp_path / "x.csv", columns="a").tensor().tolist() == [1, 2]


REFUSED = {
    "Latin-1 names": (PLAIN.encode("latin-1"), r"UTF-8.*line 1.*Latin-1.*'Größe,waiting'.*iconv -f LATIN1 -t UTF-8"),
    "Latin-1 values": ("name,n\nGröße,1\nb,2\n".encode("latin-1"), r"UTF-8.*line 2.*Latin-1.*'Größe,1'"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "UTF-16.*iconv -f UTF-16LE -t UTF-8"),
    "UTF-16 without a mark, big": (PLAIN.encode("utf-16-be"), "UTF-16.*iconv -f UTF-16BE -t UTF-8"),
    "half of a UTF-16 file": (PLAIN.encode("utf-16")[:-3], "x.csv"),
    "bytes": (bytes(range(256)) * 4, "x.csv"),
    "zeros": (bytes(64), "x.csv"),
    "thousands": (b'a,b\n"1,234.5",2\n"2,000.0",3\n', r"'1,234.5'.*separators of thousands"),
    "thousands with points": (b"a;b\n1.234,5;2\n2.000,0;3\n", r"'1.234,5'.*separators of thousands"),
    "thousands or decimals": (b"a;b\n1,234;2\n2,000;3\n", r"'1,234'.*separators of thousands"),
    "thousands with spaces": (b"a;b\n1 234;2\n2 000;3\n", r"'1 234'.*separators of thousands"),
    "decimal commas in quotes": (b'a,b\n"3,6",2\n"1,8",3\n', r"'3,6'.*decimal points"),
    "both marks": (b"a;b\n3,6;2.5\n1,8;3.5\n", r"'3,6'.*decimal points"),
    "ragged": (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
    "nothing": (b"", "Empty"),
    "empty lines only": (b"\n\n\n", "Empty"),
    "a mark only": (b"\xef\xbb\xbf", "Empty"),
    "a line without end": (b"a,b\n1," + b"9" * 3_000_000, "x.csv"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_words(kind, tmp_path):
    path, (content, said) = tmp_path / "x.csv", REFUSED[kind]
    path.write_bytes(content)
    with pytest.raises(MixtureError, match=f"(?s){said}"):
        rows(path, columns=None).tensor()
    for ask in (lambda: column_names(path), lambda: read_table(path), lambda: grouping(path, "a")):
        try:
            ask()
        except MixtureError:
            pass


def test_latin_letters_far_down(tmp_path):
    """Numbers are read, whatever stands in columns that are not asked for."""
    path = tmp_path / "x.csv"
    path.write_bytes(("a,n\n" + "x,1\n" * 400_000 + "Größe,1\n").encode("latin-1"))
    assert len(rows(path, columns="n").tensor()) == 400_001
    for ask in (read_table, lambda path: grouping(path, "a"), lambda path: rows(path, columns="a")):
        with pytest.raises(MixtureError, match=r"UTF-8.*iconv -f LATIN1|text in column 'a'"):
            ask(path)


def test_a_broken_archive_is_named(tmp_path):
    whole = gzip.compress(PLAIN.encode() * 1000)
    for content in (b"", whole[:20], whole[:-9], PLAIN.encode(), whole[:40] + b"\0" * 30 + whole[70:]):
        (tmp_path / "x.csv.gz").write_bytes(content)
        for ask in (rows, column_names, read_table):
            with pytest.raises(MixtureError, match=r"x\.csv\.gz"):
                found = ask(tmp_path / "x.csv.gz")
                found.tensor() if ask is rows else pytest.skip("what is at the top was whole") if found else None


# -- the index of a frame, in a file or read back from one


def frame(index=None):
    return pandas.DataFrame({"a": [1.5, 2.5, 4.0], "b": [3.0, 5.0, 4.5]}, index=index)


INDEXES = {"counted": None, "filtered": [3, 8, 9], "shuffled": [2, 0, 1], "from 1": [1, 2, 3]}


def forms(index, tmp_path):
    """The frame with its index as a first column without a name, in files and as they are read back."""
    frame(index).to_csv(tmp_path / "x.csv")
    frame(index).to_csv(tmp_path / "x.tsv", sep="\t")
    again = pandas.read_csv(tmp_path / "x.csv")
    again.to_csv(tmp_path / "twice.csv")
    again.to_parquet(tmp_path / "x.parquet")
    files = [tmp_path / name for name in ("x.csv", "x.tsv", "twice.csv", "x.parquet")]
    twice = pandas.read_csv(tmp_path / "twice.csv")
    return [
        *files,
        again,
        twice,
        read_table(tmp_path / "x.csv"),
        {"": [0, 1, 2], "a": [1.5, 2.5, 4.0], "b": [3, 5, 4.5]},
    ]


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_is_no_feature_and_that_is_said(kind, tmp_path):
    for x in forms(INDEXES[kind], tmp_path):
        with pytest.warns(UserWarning, match=r"Left out: the first column.*has no name.*numbers the rows.*columns="):
            found = rows(x)
        assert found.columns == ("a", "b") and found.left_out
        assert found.tensor().tolist() == [[1.5, 3.0], [2.5, 5.0], [4.0, 4.5]]
        assert mx.data.names_but(x, ["b"]) == ("a",)


def test_an_index_that_is_asked_for_is_read(tmp_path):
    frame().to_csv(tmp_path / "x.csv")
    assert rows(tmp_path / "x.csv", columns=["", "a"]).tensor().tolist() == [[0, 1.5], [1, 2.5], [2, 4.0]]
    assert rows(pandas.read_csv(tmp_path / "x.csv"), columns=["Unnamed: 0"]).tensor().tolist() == [[0], [1], [2]]


def test_columns_that_are_no_index_are_features():
    for table in (
        {"": [0.5, 1.0], "a": [1.0, 2.0]},
        {"a": [1.0, 2.0], "": [0, 1]},
        {"id": [0, 1], "a": [1.0, 2.0]},
        {"": [0, 1]},
    ):
        assert rows(table).columns == tuple(table) and not rows(table).left_out


def test_a_fit_says_that_an_index_was_left_out(tmp_path):
    x = mx.datasets.old_faithful()
    table = pandas.DataFrame({"eruptions": x[:, 0], "waiting": x[:, 1]})
    table.to_csv(tmp_path / "x.csv")
    with pytest.warns(UserWarning, match="Left out"):
        fit = mx.fit(tmp_path / "x.csv", 2, restarts=1, generator=torch.Generator().manual_seed(0))
    assert fit.mixture.columns == ("eruptions", "waiting")
    same = mx.fit(table, 2, restarts=1, generator=torch.Generator().manual_seed(0))
    assert same.log_likelihood == pytest.approx(fit.log_likelihood)
    again = fit.mixture.log_prob(tmp_path / "x.csv")  # found by name: there is nothing to say
    torch.testing.assert_close(again, fit.mixture.log_prob(x))
