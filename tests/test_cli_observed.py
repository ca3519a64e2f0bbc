"""The command line on files with errors and missing cells."""

import csv
import json

import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    """Two groups of stars with an error each; every seventh lacks its first coordinate, the last has nothing."""
    path = tmp_path_factory.mktemp("stars") / "stars.csv"
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(300):
        middle = torch.tensor([[0.0, 0.0], [4.0, 3.0]])[i % 2]
        scale = 0.1 + torch.rand(2, generator=generator)
        y = middle + (0.25 + scale**2).sqrt() * torch.randn(2, generator=generator)
        row = [f"{value:.5f}" for value in (*y, *scale)]
        if i % 7 == 0:
            row[0] = row[2] = ""
        rows.append(["", "", "", ""] if i == 299 else row)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["ra", "dec", "ra_error", "dec_error"], *rows])
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def fitted(stars, out, *more):
    done = run(
        "fit", stars, "--columns", "ra,dec", *more, "--components", "2", "--covariance", "spherical", "--out", out
    )
    assert done.exit_code == 0, done.output
    return json.loads((out / "summary.json").read_text()), mx.load(out / "model.safetensors")


def test_errors_are_undone(stars, tmp_path):
    summary, mixture = fitted(stars, tmp_path / "with", "--errors", "ra_error,dec_error")
    _, naive = fitted(stars, tmp_path / "without")
    assert summary["question"]["errors"] == ["ra_error", "dec_error"]
    assert torch.allclose(mixture.components.variance, torch.tensor(0.25, dtype=mixture.dtype), atol=0.12)
    assert (naive.components.variance > mixture.components.variance + 0.2).all()


def test_every_row_is_assigned_and_the_report_tells_of_gaps(stars, tmp_path):
    summary, _ = fitted(stars, tmp_path / "out", "--errors", "ra_error,dec_error")
    assert sum(one["rows"] for one in summary["components"]) == 300
    report = (tmp_path / "out" / "report.html").read_text()
    assert "in 44 of 300 rows, 1 of them in every cell" in report
    assert "standard deviations in ra_error, dec_error" in report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--errors", "ra_error,dec_error"), "--columns must be given together with --errors"),
        (("--columns", "ra,dec", "--errors", "ra_error"), "one column for each of the 2"),
        (("--columns", "ra,dec", "--errors", "ra_error,nothing"), "nothing"),
        (("--columns", "ra,dec", "--errors", "ra,dec"), "standard deviations, zero or more"),
    ],
)
def test_bad_errors_are_refused(stars, tmp_path, arguments, message):
    done = run("fit", stars, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 1 and message in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
