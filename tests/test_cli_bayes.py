"""`mixtura bayes`: from a table to draws, a model, labels, a summary and a page."""

import json

import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura import bayes
from mixtura.cli.app import app

arviz = pytest.importorskip("arviz")
pytest.importorskip("nutpie")


def run(*arguments):
    return CliRunner().invoke(app, ["bayes", *map(str, arguments)])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("bayes") / "out"
    chosen = ("--columns", "eruptions", "--components", 2, "--family", "Normal", "--ordered", "loc")
    few = ("--draws", 200, "--tune", 200, "--chains", 2)
    told = run(mx.datasets.path("old_faithful"), *chosen, *few, "--out", out)
    assert told.exit_code == 0, told.output
    return out, told.output


def test_it_says_what_it_found(written):
    said = written[1].replace("\n", " ")
    assert "Component 0: weights 0.3" in said and "loc 2.0" in said and "R-hat" in said


def test_all_files_are_there_and_agree(written):
    out = written[0]
    idata = arviz.from_netcdf(str(out / "draws.nc"))
    summary = json.loads((out / "summary.json").read_text())
    for number in summary["numbers"]:
        draws = idata.posterior[number["name"]].values[..., number["component"]]
        assert number["mean"] == pytest.approx(draws.mean())
    mixture = mx.load(out / "model.safetensors")
    torch.testing.assert_close(
        mixture.components.loc, torch.tensor(idata.posterior["loc"].mean(("chain", "draw")).values)
    )
    assert len((out / "labels.csv").read_text().splitlines()) == 273
    assert bayes.to_mixtures(idata).batch_shape == (400,)


def test_the_page_says_what_was_asked_and_answers(written):
    page = (written[0] / "report.html").read_text()
    for title in ("What the posterior says", "Where the chains went", "What it predicts", "Density", "How it was made"):
        assert f"<h2>{title}</h2>" in page
    assert "R-hat" in page and "effective draws" in page and "LogNormal" in page


def test_a_model_that_does_not_fit_the_table_is_refused_in_words(tmp_path):
    told = run(mx.datasets.path("old_faithful"), "--components", 2, "--ordered", "rate", "--out", tmp_path / "out")
    assert told.exit_code != 0 and "`ordered` must be about" in told.output and not (tmp_path / "out").exists()
