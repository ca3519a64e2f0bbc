"""``mixtura regress``: what it writes is what the library says of the same rows, and what it cannot use it refuses."""

import csv
import json
import math

import numpy as np
import pytest
import torch

pytest.importorskip("typer")
pytest.importorskip("matplotlib")

from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app

PENGUINS = str(mx.datasets.path("penguins"))
FEATURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm")


def run(*typed):
    return CliRunner().invoke(app, ["regress", *map(str, typed)])


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("regress") / "out"
    told = run(
        PENGUINS, "--target", "body_mass_g", "--features", ",".join(FEATURES), "--components", "1:2", "--out", out
    )
    assert told.exit_code == 0, told.output
    with (out / "predictions.csv").open() as file:
        lines = [{key: float(value) for key, value in line.items()} for line in csv.DictReader(file)]
    table = {name: np.array([line[name] for line in lines]) for name in lines[0]}
    return told.output, mx.load(out / "model.safetensors"), table, json.loads((out / "summary.json").read_text()), out


def rows():
    return mx.data.read(PENGUINS, [*FEATURES, "body_mass_g"]).tensor().double()


def test_predictions_are_the_conditionals_of_the_model(result):
    _, model, table, _, _ = result
    x = rows()
    known = ~x.isnan().any(-1)
    given = model.condition([0, 1, 2], x[known][:, :3])
    here = known.numpy()
    np.testing.assert_allclose(table["mean"][here], given.mean.squeeze(-1))
    np.testing.assert_allclose(table["log_density"][here], given.log_prob(x[known][:, 3:]))
    np.testing.assert_allclose(table["pit"][here], given.cdf(x[known][:, 3:]), rtol=1e-6)
    np.testing.assert_allclose(table["q0.95"][here], mx.scoring.quantiles(given, [0.95]).flatten())
    assert model.columns == (*FEATURES, "body_mass_g")


def test_rows_without_target_or_features_are_foretold_all_the_same(result):
    _, model, table, _, _ = result
    lost = rows().isnan().any(-1).numpy()
    assert lost.sum() == 2 and np.isfinite(table["mean"][lost]).all()
    np.testing.assert_allclose(table["mean"][lost], model.mean[3].item())
    assert np.isnan(table["log_density"][lost]).all() and not table["held_out"][lost].any()


def test_rows_held_out_are_judged_and_make_the_guarantee(result):
    _, _, table, summary, _ = result
    held = table["held_out"] == 1
    assert held.sum() == summary["held_out"]["rows"] == round(0.25 * 342)
    y = table["body_mass_g"]
    assert table["log_density"][held].mean() == pytest.approx(summary["held_out"]["log_density"])
    inside = (table["q0.05"] <= y) & (y <= table["q0.95"])
    assert inside[held].mean() == pytest.approx(summary["held_out"]["coverage"][1]["share"])
    inside = (table["low"] <= y) & (y <= table["high"])
    assert inside[held].sum() >= math.ceil(0.9 * (held.sum() + 1)) - 1
    surprising = table["row"][held][np.argsort(table["log_density"][held])][:10]
    assert [one["row"] for one in summary["most_surprising_rows"]] == surprising.tolist()


def test_models_are_ranked_by_rows_left_out(result):
    output, model, _, summary, _ = result
    values = [one["log_density"] for one in summary["models"]]
    assert values == sorted(values, reverse=True) and len(values) == 2
    assert summary["models"][0]["components"] == len(model.weights)
    assert f"{values[0]:.4f}" in output


def test_the_page_says_what_the_summary_says(result):
    _, _, _, summary, out = result
    page = (out / "report.html").read_text()
    assert summary["answer"] in page.replace("&#x27;", "'")
    for title in (
        "given single features",
        "Are the distributions true?",
        "guarantee",
        "most surprising",
        "models that",
    ):
        assert title in page
    assert page.count("data:image/svg+xml") == 3


def test_the_same_seed_writes_the_same(result, tmp_path):
    typed = (PENGUINS, "--target", "body_mass_g", "--features", FEATURES[0], "--components", "2", "--out")
    for name in ("one", "again"):
        assert run(*typed, tmp_path / name).exit_code == 0
    one, again = ((tmp_path / name / "predictions.csv").read_bytes() for name in ("one", "again"))
    assert one == again


def test_weights_count_as_repeated_rows_where_rows_are_judged(tmp_path):
    source = np.random.RandomState(0)
    x = source.randn(120)
    lines = [f"{a},{a + 0.3 * e},{w}" for a, e, w in zip(x, source.randn(120), source.randint(0, 3, 120), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,n", *lines]))
    told = run(tmp_path / "t.csv", "--target", "y", "--weight", "n", "--components", "1", "--out", tmp_path / "o")
    assert told.exit_code == 0, told.output
    with (tmp_path / "o" / "predictions.csv").open() as file:
        table = [line for line in csv.DictReader(file) if line["held_out"] == "1"]
    weight = [float(lines[int(one["row"])].split(",")[2]) for one in table]
    assert min(weight) > 0
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["question"]["features"] == ["x"]
    right = np.average([float(one["log_density"]) for one in table], weights=weight)
    assert summary["held_out"]["log_density"] == pytest.approx(right)


@pytest.mark.parametrize(
    "typed, said",
    [
        (["--target", "mass"], "--target must be the name of a column"),
        (["--target", "species"], "--target must be a column of numbers"),
        (["--target", "body_mass_g"], "--drop species,island,sex"),
        (["--target", "body_mass_g", "--features", "nope"], "--features must be names of columns"),
        (["--target", "body_mass_g", "--features", "body_mass_g"], "other than the target"),
        (["--target", "body_mass_g", "--held-out", "2"], "--held-out must be between 0 and 1"),
        (["--target", "body_mass_g", "--level", "90"], "--level must be between 0 and 1"),
        (["--target", "body_mass_g", "--features", FEATURES[0], "--covariance", "round"], "--covariance must be"),
        (["--target", "body_mass_g", "--features", FEATURES[0], "--components", "900"], "--components must be"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, typed, said):
    told = run(PENGUINS, *typed, "--out", tmp_path / "out")
    assert told.exit_code == 1 and said in told.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "table, said",
    [
        ("a,y\n", "0 rows with a y"),
        ("a,y\n1,2\n", "1 row with a y"),
        ("a,y\n" + "1,2\n2,2\n3,2\n" * 9, "column 'y' with 2.0 in every row"),
        ("a,b,y\n" + "1,,2\n2,,3\n3,,5\n" * 9, "nothing but gaps in column b"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, table, said):
    (tmp_path / "t.csv").write_text(table)
    told = run(tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "out")
    assert told.exit_code == 1 and said in told.output, told.output


def test_columns_that_determine_each_other_are_taken(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n" + "\n".join(f"{i},{2 * i},{3 * i + i % 2}" for i in range(40)))
    told = run(tmp_path / "t.csv", "--target", "y", "--components", "1", "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert torch.isfinite(mx.load(tmp_path / "out" / "model.safetensors").mean).all()
