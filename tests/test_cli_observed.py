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


# -- a model reads other rows as it read its own


def table(path):
    return mx.data.read_table(path).to_pydict()


@pytest.fixture(scope="module")
def learned(stars, tmp_path_factory):
    """Fitted with errors and gaps."""
    out = tmp_path_factory.mktemp("learned") / "out"
    return fitted(stars, out, "--errors", "ra_error,dec_error", "--restarts", "2"), out


@pytest.mark.parametrize("errors", [(), ("--errors", "ra_error,dec_error")], ids=["remembered", "named"])
@pytest.mark.parametrize("command", ["score", "assign"])
def test_a_model_reads_its_own_rows_as_the_fit_did(learned, stars, tmp_path, command, errors):
    (summary, _), out = learned
    done = run(command, out / "model.safetensors", stars, *errors, "--out", tmp_path / "rows.csv")
    assert done.exit_code == 0, done.output
    assert "Errors: standard deviations in ra_error, dec_error." in done.output
    assert "Missing cells: in 44 of 300 rows" in done.output
    written = table(tmp_path / "rows.csv")
    assert sum(written["log_density"]) == pytest.approx(summary["fit"]["log_likelihood"], rel=1e-10)
    if command == "assign":
        assert written["component"] == table(out / "assignments.parquet")["component"]


def test_the_report_of_a_model_reads_rows_as_the_fit_did(learned, stars, tmp_path):
    (summary, _), out = learned
    done = run("report", out / "model.safetensors", stars, "--out", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report.html").read_text()
    assert f"{summary['fit']['log_likelihood'] / 300:.6g} nats per row" in text
    assert "standard deviations in ra_error, dec_error" in text and "in 44 of 300 rows" in text


def test_a_model_that_needs_errors_refuses_rows_without(learned, stars, tmp_path):
    (_, mixture), out = learned
    bare = tmp_path / "bare.csv"
    bare.write_text("ra,dec\n0,0\n4,3\n")
    done = run("score", out / "model.safetensors", bare, "--out", tmp_path / "s.csv")
    said = " ".join(done.output.split())
    assert done.exit_code == 1 and "'ra_error', which is not one" in said
    assert "--errors must be" in said and "The model was learned with errors in ra_error,dec_error." in said
    unnamed = tmp_path / "unnamed.safetensors"
    scale = torch.full((20, 2), 0.3)
    fit = mx.fit(
        mx.data.rows(mixture.sample((20,), torch.Generator().manual_seed(0)), columns=["ra", "dec"]),
        1,
        observation=mx.observation.AdditiveNoise(scale=scale, per_row=True),
    )
    fit.save(unnamed)
    done = run("assign", unnamed, stars, "--out", tmp_path / "s.csv")
    said = " ".join(done.output.split())
    assert done.exit_code == 1 and "--errors must be given" in said and "standard deviations" in said
    assert not (tmp_path / "s.csv").exists()
    gapless = run("assign", unnamed, stars, "--errors", "ra_error,dec_error", "--out", tmp_path / "s.csv")
    assert gapless.exit_code == 1 and "must be finite" in gapless.output


def test_a_model_fitted_with_gaps_takes_its_own_rows(stars, tmp_path):
    summary, _ = fitted(stars, tmp_path / "out", "--restarts", "2")
    done = run("score", tmp_path / "out/model.safetensors", stars, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    total = sum(table(tmp_path / "s.csv")["log_density"])
    assert total == pytest.approx(summary["fit"]["log_likelihood"], rel=1e-10)


def test_errors_can_be_named_for_a_model_that_had_none(tmp_path):
    faithful, out = mx.datasets.old_faithful(), tmp_path / "s.csv"
    mx.fit({"a": faithful[:, 0], "b": faithful[:, 1]}, 2).save(tmp_path / "m.safetensors")
    (tmp_path / "d.csv").write_text("a,b,sa,sb\n3.6,79,0.5,4\n1.8,54,0.1,3\n")
    done = run("score", tmp_path / "m.safetensors", tmp_path / "d.csv", "--errors", "sa,sb", "--out", out)
    assert done.exit_code == 0, done.output
    noise = mx.observation.AdditiveNoise(scale=torch.tensor([[0.5, 4.0], [0.1, 3.0]]), per_row=True)
    seen = mx.load(tmp_path / "m.safetensors").observed(noise)
    expected = seen.log_prob(torch.tensor([[3.6, 79.0], [1.8, 54.0]]).double())
    assert table(out)["log_density"] == pytest.approx(expected.tolist())


OBSERVATIONS = {
    "noise": mx.observation.AdditiveNoise(scale=torch.tensor([0.3, 4.0])),
    "a projection": mx.observation.LinearMeasurement(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), scale=0.1),
    "rounding": mx.observation.Rounded(torch.tensor([0.5, 5.0])),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_an_observation_of_all_rows_is_kept_with_the_model(name, tmp_path):
    data = mx.datasets.path("old_faithful")
    fit = mx.fit(data, 2, "diagonal", observation=OBSERVATIONS[name], restarts=1, method=mx.EM(max_iterations=20))
    fit.save(tmp_path / "m.safetensors")
    done = run("score", tmp_path / "m.safetensors", data, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    assert sum(table(tmp_path / "s.csv")["log_density"]) == pytest.approx(fit.log_likelihood, rel=1e-9)
    refused = run(
        "score", tmp_path / "m.safetensors", data, "--errors", "eruptions,waiting", "--out", tmp_path / "s.csv"
    )
    assert refused.exit_code == 1 and "--errors must be left out" in refused.output


def test_limits_of_single_rows_are_not_in_a_table(tmp_path):
    data = mx.datasets.path("old_faithful")
    upper = torch.full((272, 2), 100.0)
    fit = mx.fit(data, 1, "diagonal", observation=mx.observation.Censored(upper=upper, per_row=True))
    fit.save(tmp_path / "m.safetensors")
    done = run("score", tmp_path / "m.safetensors", data, "--out", tmp_path / "s.csv")
    assert done.exit_code == 1 and "mixture.observed(observation)" in done.output


# -- columns that are no numbers


def test_the_advice_can_be_typed(tmp_path):
    """It names every column, quoted where a shell needs it, and offers to drop what is no number."""
    names = [f"band {i}" for i in range(12)]
    lines = [",".join(["name", *names, "kind"])]
    lines += [",".join([f"s{i}", *(f"{(i * 7 + 3 * j) % 11}.5" for j in range(12)), "a"]) for i in range(40)]
    path = tmp_path / "d.csv"
    path.write_text("\n".join(lines))
    one = ["--components", "1", "--covariance", "diagonal"]
    done = run("fit", path, *one, "--out", tmp_path / "r")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 1 and "--drop name,kind" in said
    every = said[said.index("--columns '") :].rstrip(".")
    assert every == f"--columns '{','.join(names)}'"
    done = run("fit", path, *one, "--drop", "name,kind", "--out", tmp_path / "r")
    assert done.exit_code == 0, done.output
    assert mx.load(tmp_path / "r/model.safetensors").columns == tuple(names)
    assert "names of columns" in run("fit", path, "--drop", "nothing", "--out", tmp_path / "s").stderr


def test_drop_leaves_errors_and_weights_apart(stars, tmp_path):
    done = run(
        "fit", stars, "--drop", "dec,dec_error", "--errors", "ra_error", "--components", "1", "--covariance", "full",
        "--out", tmp_path / "r",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert mx.load(tmp_path / "r/model.safetensors").columns == ("ra",)
