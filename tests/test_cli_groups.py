"""Groups on the command line: one mixture for each, the same as the library's, with a table and a summary."""

import csv
import json

import numpy as np
import pandas
import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app

PLAIN = ["--components", "2", "--covariance", "full", "--restarts", "2"]
FILES = ["assignments.parquet", "groups.csv", "model.safetensors", "report.html", "summary.json"]
GENES = ["brca1", "tp53", "Größe, x"]


def run(*arguments):
    """Runs a command; an unexpected exception is raised here."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 1 and result.stderr.startswith("Error: "), result.output
    return result.stderr


def table(seed=0, rows=240):
    """Three groups in turn, two clusters in each, and a fourth group of one row."""
    draw = np.random.default_rng(seed)
    gene = np.arange(rows) % 3
    high = draw.random(rows) < 0.3
    level = draw.normal(size=rows) + 10 * gene + 6 * high
    frame = pandas.DataFrame({"gene": np.array(GENES)[gene], "level": level, "mass": draw.normal(size=rows) - 4 * high})
    return pandas.concat([frame, pandas.DataFrame({"gene": ["alone"], "level": [1.0], "mass": [2.0]})])


WRITERS = {
    "x.csv": lambda frame, path: frame.to_csv(path, index=False),
    "x.parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


@pytest.fixture(params=WRITERS)
def data(request, tmp_path):
    WRITERS[request.param](table(), tmp_path / request.param)
    return tmp_path / request.param


def read_lines(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_for_each_group_as_the_library_has_it(data, tmp_path):
    printed = run("fit", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r").stdout
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == FILES
    fits = mx.fit(str(data), 2, groups="gene", restarts=2, generator=torch.Generator().manual_seed(0))
    lines = read_lines(tmp_path / "r" / "groups.csv")
    assert [line["name"] for line in lines] == sorted([*GENES, "alone"])
    for line, one in zip(lines, fits.table, strict=True):
        assert line["reason"] == one.reason.name and int(line["rows"]) == one.rows
        assert one.name == "alone" or float(line["bic"]) == pytest.approx(one.bic, rel=1e-9)
        assert one.name in printed
    alone = next(line for line in lines if line["name"] == "alone")
    assert alone["bic"] == "" and alone["detail"] and alone["weight 0"] == ""


def test_the_model_is_one_batch_in_the_order_of_the_table(data, tmp_path):
    run("fit", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r")
    mixture, lines = mx.load(tmp_path / "r" / "model.safetensors"), read_lines(tmp_path / "r" / "groups.csv")
    assert mixture.batch_shape == (4,) and mixture.columns == ("level", "mass")
    frame = table()
    for g, line in enumerate(lines):
        if line["name"] != "alone":
            x = torch.tensor(frame[frame["gene"] == line["name"]][["level", "mass"]].to_numpy())
            one = mixture.batch(g)
            assert one.log_prob(x).sum().item() == pytest.approx(float(line["log_likelihood"]), rel=1e-6)
            assert one.weights.tolist() == pytest.approx([float(line["weight 0"]), float(line["weight 1"])])
            assert one.weights[0] >= one.weights[1]
            assert one.components.mean[1, 0].item() == pytest.approx(float(line["level 1"]))


def test_the_summary_says_the_same(data, tmp_path):
    run("fit", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r")
    summary = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    lines = read_lines(tmp_path / "r" / "groups.csv")
    assert summary["question"]["by"] == "gene" and summary["rows"] == 241 and summary["columns"] == ["level", "mass"]
    assert [line["name"] for line in summary["groups"]] == [line["name"] for line in lines]
    assert run("fit", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r", "--force").exit_code == 0


def test_some_columns_and_whole_numbers_as_labels(tmp_path):
    frame = table()
    frame["gene"] = frame["gene"].map({name: code for code, name in enumerate([*GENES, "alone"])}) * 10
    frame.to_csv(tmp_path / "x.csv", index=False)
    for columns in (["--columns", "level"], ["--drop", "mass"]):
        run("fit", tmp_path / "x.csv", *PLAIN, *columns, "--by", "gene", "--out", tmp_path / "r", "--force")
        lines = read_lines(tmp_path / "r" / "groups.csv")
        assert [line["name"] for line in lines] == ["0", "10", "20", "30"]
        assert "level 0" in lines[0] and "mass 0" not in lines[0]


def test_select_prints_the_same_and_writes_nothing_unless_asked(data, tmp_path):
    before = sorted(tmp_path.iterdir())
    printed = run("select", data, *PLAIN, "--by", "gene").stdout
    assert "brca1" in printed and sorted(tmp_path.iterdir()) == before
    run("select", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r")
    assert (tmp_path / "r" / "groups.csv").exists()


@pytest.mark.parametrize("command", ["fit", "select"])
def test_every_row_is_assigned_in_its_own_group(data, tmp_path, command):
    more = ["--assignments-format", "csv"] if command == "fit" else []
    run(command, data, *PLAIN, "--by", "gene", *more, "--out", tmp_path / "r")
    kind = "csv" if more else "parquet"
    rows = (pandas.read_csv if more else pandas.read_parquet)(tmp_path / "r" / f"assignments.{kind}")
    frame, mixture = table(), mx.load(tmp_path / "r" / "model.safetensors")
    names = sorted({*GENES, "alone"})
    assert rows["row"].tolist() == list(range(241)) and rows["group"].tolist() == frame["gene"].tolist()
    for g, name in enumerate(names):
        mine, x = rows[rows["group"] == name], frame[frame["gene"] == name][["level", "mass"]]
        if name == "alone":
            assert (mine["component"] == -1).all() and mine[["probability", "log_density"]].isna().all(axis=None)
            continue
        one, x = mixture.batch(g), torch.tensor(x.to_numpy())
        assert mine["component"].tolist() == one.assign(x).tolist()
        assert mine["log_density"].to_numpy() == pytest.approx(one.log_prob(x).numpy(), rel=1e-6)
        assert mine["probability"].to_numpy() == pytest.approx(one.responsibilities(x).amax(-1).numpy(), rel=1e-6)


def test_the_report_shows_the_worst_groups_and_those_without_a_fit(data, tmp_path):
    run("fit", data, *PLAIN, "--by", "gene", "--out", tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    worst = page.split("The groups described worst")[1].split("</section>")[0]
    lines = [line for line in read_lines(tmp_path / "r" / "groups.csv") if line["bic"]]
    per_row = {line["name"]: float(line["log_likelihood"]) / int(line["rows"]) for line in lines}
    places = [worst.index(name) for name in sorted(per_row, key=per_row.__getitem__)]
    assert places == sorted(places) and "alone" not in worst
    odd = page.split("Groups whose fit did not converge")[1].split("</section>")[0]
    alone = next(line for line in summary["groups"] if line["name"] == "alone")
    assert alone["detail"] in odd and "brca1" not in odd
    assert (
        page.count("data:image/svg+xml") == 1 and "3 groups with 2 components (full) and 1 group without a fit" in page
    )


def test_errors_and_gaps_are_read_in_each_group_as_in_one(tmp_path):
    frame = table(rows=240)[:-1]
    frame.loc[::7, "mass"] = np.nan
    frame.to_csv(tmp_path / "x.csv", index=False)
    run("fit", tmp_path / "x.csv", *PLAIN, "--by", "gene", "--assignments-format", "csv", "--out", tmp_path / "r")
    rows, mixture = pandas.read_csv(tmp_path / "r" / "assignments.csv"), mx.load(tmp_path / "r" / "model.safetensors")
    for g, name in enumerate(sorted(GENES)):
        mine = frame["gene"] == name
        x = torch.tensor(frame[mine][["level", "mass"]].to_numpy())
        expected = mixture.batch(g).observed(mx.observation.Missing()).log_prob(x)
        assert rows[mine.to_numpy()]["log_density"].to_numpy() == pytest.approx(expected.numpy(), rel=1e-6)


WIDE = ["--components", "1:3", "--covariance", "diagonal,tied-full", "--restarts", "2", "--by", "gene"]


def several():
    """Groups that need one and two components, one of them with a correlation, and a group of one row."""
    draw = np.random.default_rng(1)
    frame = table(rows=360)
    wide = draw.normal(size=120)
    line = pandas.DataFrame({"gene": "line", "level": wide, "mass": 2 * wide + 0.1 * draw.normal(size=120)})
    return pandas.concat([frame, line])


@pytest.mark.parametrize("command", ["fit", "select"])
def test_the_best_model_of_each_group_as_the_library_chooses_it(tmp_path, command):
    several().to_csv(tmp_path / "x.csv", index=False)
    printed = run(command, tmp_path / "x.csv", *WIDE, "--out", tmp_path / "r").stdout
    found = mx.select(
        str(tmp_path / "x.csv"), (1, 2, 3), ("diagonal", "tied-full"), groups="gene", restarts=2,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    lines = read_lines(tmp_path / "r" / "groups.csv")
    assert len({(line["components"], line["covariance"]) for line in lines if line["bic"]}) > 1
    for line, one in zip(lines, found.table, strict=True):
        assert (line["name"], int(line["components"]), line["covariance"]) == (one.name, one.components, one.covariance)
        assert one.name == "alone" or float(line["bic"]) == pytest.approx(one.bic, rel=1e-9)
        assert one.name in printed
    summary = json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))
    assert [line["components"] for line in summary["groups"]] == [line.components for line in found.table]
    assert summary["question"]["components"] == [1, 2, 3]


def test_chosen_models_of_several_sizes_are_one_batch(tmp_path):
    frame = several()
    frame.to_csv(tmp_path / "x.csv", index=False)
    run("fit", tmp_path / "x.csv", *WIDE, "--out", tmp_path / "r")
    mixture, lines = mx.load(tmp_path / "r" / "model.safetensors"), read_lines(tmp_path / "r" / "groups.csv")
    for g, line in enumerate(lines):
        weights, held = mixture.batch(g).weights, int(line["components"])
        if line["name"] == "alone":
            continue
        x = torch.tensor(frame[frame["gene"] == line["name"]][["level", "mass"]].to_numpy())
        assert mixture.batch(g).log_prob(x).sum().item() == pytest.approx(float(line["log_likelihood"]), rel=1e-6)
        assert (weights > 0).sum() == held and (weights.diff() <= 0).all()
        written = [bool(line[f"weight {k}"]) for k in range(len(weights))]
        assert (
            written == [bool(line[f"mass {k}"]) for k in range(len(weights))] == [k < held for k in range(len(weights))]
        )


def test_refusals(data, tmp_path):
    out = ["--out", tmp_path / "r"]
    assert "--by must be names of columns; got 'gen'" in refused("fit", data, *PLAIN, "--by", "gen", *out)
    assert "--assignments-format" in refused("fit", data, *PLAIN, "--by", "gene", "--assignments-format", "xlsx", *out)
    frame = table()
    frame.loc[3, "gene"] = None
    frame.to_csv(tmp_path / "gap.csv", index=False)
    assert "a label for every row" in refused("fit", tmp_path / "gap.csv", *PLAIN, "--by", "gene", *out)
    assert not (tmp_path / "r").exists()
