"""The command line: what it writes is what the library says, and nothing is half-written."""

import importlib.util
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli import main
from mixtura.cli.app import app

FAITHFUL = str(mx.datasets.path("old_faithful"))
SMALL = ["--components", "1:3", "--covariance", "full,tied-full", "--restarts", "2"]
FILES = ["assignments.parquet", "model.safetensors", "report.html", "summary.json"]


def run(*arguments):
    """Runs a command; an unexpected exception is raised here."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*arguments):
    """The message of a command that must end with status 1 and without a traceback."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ") and "Traceback" not in result.stderr
    return result.stderr


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def table(path):
    return mx.data.read_table(path).to_pydict()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "result"
    printed = run("fit", FAITHFUL, *SMALL, "--out", folder).stdout
    return folder, printed


@pytest.fixture
def model(result):
    return result[0] / "model.safetensors"


class TestFit:
    def test_writes_four_files_that_others_can_read(self, result):
        folder, printed = result
        assert names(folder) == FILES and str(folder) in printed
        assert {oct(path.stat().st_mode & 0o444) for path in folder.iterdir()} == {oct(0o444)}

    def test_the_model_is_the_librarys(self, result):
        found = mx.select(
            mx.datasets.old_faithful(),
            components=(1, 2, 3),
            covariance=("full", "tied-full"),
            restarts=2,
            generator=torch.Generator().manual_seed(0),
        )
        mixture = mx.load(result[0] / "model.safetensors")
        torch.testing.assert_close(mixture.components.mean, found.best.mixture.order().components.mean)
        assert bool((mixture.weights.diff() <= 0).all())
        assert mixture.columns == ("eruptions", "waiting")

    def test_assignments_are_the_models(self, result):
        mixture, x = mx.load(result[0] / "model.safetensors"), mx.datasets.old_faithful()
        written = table(result[0] / "assignments.parquet")
        assert list(written) == ["row", "component", "probability", "log_density"]
        assert written["row"] == list(range(272))
        assert written["component"] == mixture.assign(x).tolist()
        np.testing.assert_allclose(written["probability"], mixture.responsibilities(x).amax(-1), rtol=1e-12)
        np.testing.assert_allclose(written["log_density"], mixture.log_prob(x), rtol=1e-12)

    def test_the_summary_says_the_same(self, result):
        summary = json.loads((result[0] / "summary.json").read_text())
        mixture, x = mx.load(result[0] / "model.safetensors"), mx.datasets.old_faithful()
        assert summary["fit"]["log_likelihood"] == pytest.approx(mixture.log_prob(x).sum().item(), rel=1e-12)
        assert len(summary["models"]) == 6
        assert summary["models"][0]["bic"] == pytest.approx(summary["fit"]["bic"], rel=1e-12)
        assert sum(component["rows"] for component in summary["components"]) == summary["rows"] == 272
        assert summary["columns"] == ["eruptions", "waiting"] and summary["question"]["seed"] == 0

    def test_the_report_names_the_data(self, result):
        text = (result[0] / "report.html").read_text(encoding="utf-8")
        assert "272 rows of faithful.csv" in text and "How many components" in text

    def test_one_model_has_no_selection(self, tmp_path):
        run("fit", FAITHFUL, "--components", 2, "--covariance", "full", "--restarts", 1, "--out", tmp_path / "r")
        assert json.loads((tmp_path / "r/summary.json").read_text())["models"] == []
        assert "How many components" not in (tmp_path / "r/report.html").read_text(encoding="utf-8")

    def test_one_column_gives_numbers_and_csv_can_be_asked_for(self, tmp_path):
        options = ["--columns", "waiting", "--components", 2, "--covariance", "tied-full"]
        run("fit", FAITHFUL, *options, "--out", tmp_path / "r", "--assignments-format", "csv")
        mixture = mx.load(tmp_path / "r/model.safetensors")
        assert isinstance(mixture.components, mx.Normal) and "assignments.csv" in names(tmp_path / "r")
        np.testing.assert_allclose(mixture.components.loc.sort().values, [54.6136, 80.0903], atol=1e-3)
        np.testing.assert_allclose(mixture.components.scale, 5.869089, atol=1e-4)
        written = table(tmp_path / "r/assignments.csv")
        x = mx.datasets.old_faithful()[:, 1]
        np.testing.assert_allclose(written["log_density"], mixture.log_prob(x), rtol=1e-14)

    def test_kmeans(self, tmp_path):
        run("fit", FAITHFUL, "--components", 2, "--method", "kmeans", "--out", tmp_path / "r")
        mixture = mx.load(tmp_path / "r/model.safetensors")
        assert mixture.components.structure.tied and bool((mixture.weights == 0.5).all())

    def test_the_weak_prior_follows_the_number_of_components(self, tmp_path):
        options = ["--components", "3,4", "--covariance", "full", "--restarts", 1, "--prior", "weak"]
        run("fit", FAITHFUL, *options, "--out", tmp_path / "r")
        summary = json.loads((tmp_path / "r/summary.json").read_text())
        written = summary["fit"]["method"]["prior"]["components"]
        wanted = mx.Prior.weak(mx.datasets.old_faithful(), summary["fit"]["components"]).components
        np.testing.assert_allclose(written["scale"], wanted.scale)
        assert "NormalInverseWishart" in (tmp_path / "r/report.html").read_text(encoding="utf-8")

    def test_weights_are_a_column(self, tmp_path):
        x = mx.datasets.old_faithful()
        weight = torch.arange(272) % 3
        np.savez(tmp_path / "d.npz", a=x[:, 0], b=x[:, 1], n=weight)
        options = ["--columns", "a,b", "--weight", "n", "--components", 1, "--covariance", "full"]
        run("fit", tmp_path / "d.npz", *options, "--out", tmp_path / "r")
        mixture = mx.load(tmp_path / "r/model.safetensors")
        repeated = x.repeat_interleave(weight, dim=0)
        torch.testing.assert_close(mixture.mean, repeated.mean(0))
        assert len(table(tmp_path / "r/assignments.parquet")["row"]) == 272

    def test_the_same_seed_gives_the_same_files(self, result, tmp_path):
        run("fit", FAITHFUL, *SMALL, "--out", tmp_path / "again")
        for name in ("summary.json", "report.html", "model.safetensors"):
            assert (tmp_path / "again" / name).read_bytes() == (result[0] / name).read_bytes()

    def test_components_can_be_a_range_or_a_list(self, tmp_path):
        printed = run("select", FAITHFUL, "--components", "1:2,4", "--covariance", "spherical", "--restarts", 1).stdout
        assert sorted(line.split()[0] for line in printed.splitlines()[1:4]) == ["1", "2", "4"]


class TestFolder:
    def test_an_earlier_result_stays_unless_forced(self, tmp_path):
        options = ["fit", FAITHFUL, "--components", 1, "--covariance", "full", "--out", tmp_path / "r"]
        run(*options)
        (tmp_path / "r/mine.txt").write_text("old")
        assert "--force" in refused(*options)
        assert (tmp_path / "r/mine.txt").exists()
        assert run(*options, "--force").exit_code == 0
        assert names(tmp_path / "r") == FILES and names(tmp_path) == ["r"]

    @pytest.mark.parametrize("force", [[], ["--force"]])
    def test_what_is_not_ours_is_never_replaced(self, tmp_path, force):
        (tmp_path / "r").mkdir()
        (tmp_path / "r/summary.json").write_text('{"other": 1}')
        assert "was not written by mixtura" in refused("fit", FAITHFUL, *SMALL, "--out", tmp_path / "r", *force)
        assert names(tmp_path / "r") == ["summary.json"]
        (tmp_path / "file").write_text("mine")
        assert "was not written by mixtura" in refused("fit", FAITHFUL, *SMALL, "--out", tmp_path / "file", *force)

    def test_a_failure_leaves_nothing_and_keeps_the_old(self, tmp_path):
        run("fit", FAITHFUL, "--components", 1, "--covariance", "full", "--out", tmp_path / "r")
        before = (tmp_path / "r/summary.json").read_bytes()
        refused("fit", FAITHFUL, "--columns", "absent", "--out", tmp_path / "r", "--force")
        refused("fit", FAITHFUL, "--columns", "absent", "--out", tmp_path / "new")
        assert names(tmp_path) == ["r"] and (tmp_path / "r/summary.json").read_bytes() == before

    def test_the_old_comes_back_when_the_new_cannot_take_its_place(self, tmp_path, monkeypatch):
        options = ["fit", FAITHFUL, "--components", 1, "--covariance", "full", "--out", tmp_path / "r"]
        run(*options)
        (tmp_path / "r/mine.txt").write_text("old")
        plain = os.rename

        def broken(source, target):
            if source.name == "new":
                raise OSError(28, "No space left on device")
            plain(source, target)

        monkeypatch.setattr("mixtura._writing.os.rename", broken)
        assert "No space left" in refused(*options, "--force")
        assert names(tmp_path) == ["r"] and (tmp_path / "r/mine.txt").read_text() == "old"

    def test_the_place_must_exist(self, tmp_path):
        assert "existing folder" in refused("fit", FAITHFUL, "--out", tmp_path / "absent/r")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_the_place_must_be_writable(self, tmp_path):
        tmp_path.chmod(0o500)
        assert "cannot" in refused("fit", FAITHFUL, "--out", tmp_path / "r")

    def test_an_unwritable_place_is_said(self, tmp_path, monkeypatch):
        def denied(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("mixtura._claims.os.mkdir", denied)
        assert "cannot be written (Permission denied)" in refused("fit", FAITHFUL, "--out", tmp_path / "r")


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--columns", "eruption"], "Did you mean 'eruptions'?"),
            (["--weight", "n"], "--weight must be names of columns"),
            (["--components", "0"], "--components must be whole numbers of at least 1"),
            (["--components", "3:1"], "--components must be"),
            (["--components", "many"], "--components must be"),
            (["--components", "500", "--covariance", "full"], "at most the number of rows, 272"),
            (["--covariance", "round"], "--covariance must be"),
            (["--criterion", "dic"], "--criterion must be one of bic, aic, icl"),
            (["--method", "guess"], "--method em --prior weak"),
            (["--restarts", "0"], "--restarts must be"),
            (["--assignments-format", "xls"], "--assignments-format must be one of parquet, csv"),
        ],
    )
    def test_bad_options(self, options, said, tmp_path):
        assert said in refused("fit", FAITHFUL, *options, "--out", tmp_path / "r")
        assert names(tmp_path) == []

    def test_bad_data(self, tmp_path):
        out = ["--out", tmp_path / "r"]
        assert "must be a file that exists" in refused("fit", tmp_path / "absent.csv", *out)
        assert "--columns bill_length_mm,bill_depth_mm" in refused("fit", mx.datasets.path("penguins"), *out)
        columns = ("--columns", "body_mass_g,bill_depth_mm")
        gaps = refused("fit", mx.datasets.path("penguins"), *columns, "--method", "kmeans", *out)
        assert "learns through an observation" in gaps
        np.save(tmp_path / "t.npy", np.array(["a", "b"]))
        assert "numbers" in refused("fit", tmp_path / "t.npy", *out)
        assert names(tmp_path) == ["t.npy"]

    def test_bad_models(self, model, tmp_path):
        out = ["--out", tmp_path / "s.csv"]
        assert "no file" in refused("score", tmp_path / "absent", FAITHFUL, *out)
        (tmp_path / "short.safetensors").write_bytes(model.read_bytes()[:-9])
        assert "not a complete safetensors file" in refused("score", tmp_path / "short.safetensors", FAITHFUL, *out)
        assert "not a complete safetensors file" in refused("score", FAITHFUL, FAITHFUL, *out)
        newer = model.read_bytes().replace(b'\\"format\\": 3', b'\\"format\\": 9')
        (tmp_path / "newer.safetensors").write_bytes(newer)
        assert "Upgrade" in refused("score", tmp_path / "newer.safetensors", FAITHFUL, *out)
        one = mx.load(model)
        one.map(lambda t: t.expand(2, *t.shape)).save(tmp_path / "batch.safetensors")
        assert "one mixture" in refused("score", tmp_path / "batch.safetensors", FAITHFUL, *out)
        assert not (tmp_path / "s.csv").exists()

    def test_data_that_does_not_fit_the_model(self, model, tmp_path):
        out = ["--out", tmp_path / "s.csv"]
        assert "'eruptions', which is not one" in refused("score", model, mx.datasets.path("galaxies"), *out)
        assert "the 2 columns" in refused("score", model, FAITHFUL, "--columns", "waiting", *out)
        (tmp_path / "gap.csv").write_text("waiting,eruptions\n50,2\n,3\n")
        assert "row 1, column 'waiting'" in refused("assign", model, tmp_path / "gap.csv", *out)
        assert "must be a file that ends in" in refused("score", model, FAITHFUL, "--out", tmp_path / "s.xls")
        assert "N must be at least 1" in refused("sample", model, 0, *out)
        assert names(tmp_path) == ["gap.csv"]

    def test_an_index_is_left_out_and_that_is_said(self, tmp_path):
        lines = [f"{i},{e!r},{w!r}" for i, (e, w) in enumerate(mx.datasets.old_faithful().tolist())]
        (tmp_path / "d.csv").write_text("\n".join([",eruptions,waiting", *lines]))
        options = [tmp_path / "d.csv", "--components", 1, "--covariance", "full", "--restarts", 1]
        for command in (["fit", *options, "--out", tmp_path / "r"], ["select", *options]):
            assert "Left out: the first column (''), which has no name and numbers the rows." in run(*command).stdout
        assert mx.load(tmp_path / "r/model.safetensors").columns == ("eruptions", "waiting")
        assert "which has no name" in (tmp_path / "r/report.html").read_text(encoding="utf-8")
        dropped = run("select", *options, "--drop", "eruptions")
        assert dropped.exit_code == 0 and dropped.stdout.splitlines()[0].startswith("log-likelihood")


class TestPasses:
    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".arrow", ".feather"])
    def test_scores_in_every_format(self, model, tmp_path, suffix):
        path = tmp_path / f"s{suffix}"
        run("score", model, FAITHFUL, "--out", path)
        written, x = table(path), mx.datasets.old_faithful()
        assert written["row"] == list(range(272))
        np.testing.assert_allclose(written["log_density"], mx.load(model).log_prob(x), rtol=1e-14)

    def test_an_archive_of_arrays(self, model, tmp_path):
        run("assign", model, FAITHFUL, "--out", tmp_path / "a.npz")
        with np.load(tmp_path / "a.npz") as archive:
            assert archive["component"].tolist() == mx.load(model).assign(mx.datasets.old_faithful()).tolist()

    def test_a_model_finds_its_columns_in_any_order(self, model, tmp_path):
        x = mx.datasets.old_faithful()
        lines = [f"e{i},{w!r},{e!r}" for i, (e, w) in enumerate(x.tolist())]
        (tmp_path / "d.csv").write_text("\n".join(["name,waiting,eruptions", *lines]))
        run("score", model, tmp_path / "d.csv", "--out", tmp_path / "s.csv")
        np.testing.assert_allclose(table(tmp_path / "s.csv")["log_density"], mx.load(model).log_prob(x), rtol=1e-12)

    @pytest.mark.parametrize("command", ["score", "assign"])
    @pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
    def test_many_blocks_keep_the_order(self, model, tmp_path, suffix, command, monkeypatch):
        x = torch.randn(1001, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
        np.save(tmp_path / "x.npy", x)
        monkeypatch.setattr(mx.data.Rows, "suggested_size", 100)
        run(command, model, tmp_path / "x.npy", "--out", tmp_path / f"a{suffix}")
        written = table(tmp_path / f"a{suffix}")
        assert written["row"] == list(range(1001))
        np.testing.assert_allclose(written["log_density"], mx.load(model).log_prob(x), rtol=1e-12)

    def test_draws_follow_the_model_and_the_seed(self, model, tmp_path):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            run("sample", model, 70_000, "--seed", seed, "--out", tmp_path / f"{name}.parquet")
        a, b, c = (table(tmp_path / f"{name}.parquet") for name in "abc")
        assert a == b != c and list(a) == ["eruptions", "waiting"]
        x, mixture = torch.tensor([a["eruptions"], a["waiting"]]).T.double(), mx.load(model)
        error = (mixture.variance / len(x)).sqrt()
        assert bool(((x.mean(0) - mixture.mean).abs() < 4.5 * error).all()) and len(x) == 70_000

    def test_a_model_without_names_takes_the_table_as_it_is(self, tmp_path):
        mixture = mx.Mixture(torch.ones(2), mx.Normal(torch.tensor([0.0, 3.0]), torch.ones(2)))
        mixture.save(tmp_path / "m.safetensors")
        run("sample", tmp_path / "m.safetensors", 50, "--out", tmp_path / "x.csv")
        run("score", tmp_path / "m.safetensors", tmp_path / "x.csv", "--out", tmp_path / "s.csv")
        x = torch.tensor(table(tmp_path / "x.csv")["x"])
        np.testing.assert_allclose(table(tmp_path / "s.csv")["log_density"], mixture.log_prob(x), rtol=1e-5)

    def test_report(self, model, tmp_path):
        assert str(tmp_path / "r.html") in run("report", model, FAITHFUL, "--out", tmp_path / "r.html").stdout
        assert "The least likely rows" in (tmp_path / "r.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("command", ["score", "assign", "report"])
    def test_other_names_can_stand_for_the_models_columns(self, model, tmp_path, command):
        lines = [f"{e!r},{w!r}" for e, w in mx.datasets.old_faithful().tolist()]
        (tmp_path / "d.csv").write_text("\n".join(["length,pause", *lines]))
        out = tmp_path / ("r.html" if command == "report" else "s.csv")
        assert run(command, model, tmp_path / "d.csv", "--columns", "length,pause", "--out", out).exit_code == 0
        if command == "report":
            assert "columns length and pause" in out.read_text(encoding="utf-8")
        else:
            expected = mx.load(model).log_prob(mx.datasets.old_faithful())
            np.testing.assert_allclose(table(out)["log_density"], expected, rtol=1e-12)


class TestSelect:
    def test_the_end_of_the_range_is_said(self):
        options = ["--components", "1:2", "--covariance", "full", "--restarts", 2]
        assert "2, is the largest that was tried: try more." in run("select", FAITHFUL, *options).stdout

    def test_one_column_has_two_shapes(self):
        printed = run("select", mx.datasets.path("galaxies"), "--components", "2", "--restarts", 1).stdout
        assert sorted(line.split()[1] for line in printed.splitlines()[1:]) == ["full", "tied-full"]

    def test_prints_and_writes_nothing(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        printed = run("select", FAITHFUL, *SMALL).stdout
        assert len(printed.splitlines()) == 8 and printed.splitlines()[1].split()[:2] == ["3", "tied-full"]
        assert names(tmp_path) == []

    def test_writes_what_fit_writes_when_asked(self, tmp_path):
        run("select", FAITHFUL, "--components", 1, "--covariance", "full", "--out", tmp_path / "r")
        assert names(tmp_path / "r") == FILES

    def test_numbers_are_tried_with_two_shapes(self):
        printed = run("select", FAITHFUL, "--columns", "waiting", "--components", 2, "--restarts", 1).stdout
        assert sorted(line.split()[1] for line in printed.splitlines()[1:]) == ["full", "tied-full"]


class TestInterruption:
    def interrupt(self, monkeypatch, passes):
        """Ctrl-C during that pass over the rows."""
        import mixtura.learning.loop.method as loop

        plain, count = loop.expect, iter(range(10**6))

        def expect(*arguments):
            if next(count) == passes:
                raise KeyboardInterrupt
            return plain(*arguments)

        monkeypatch.setattr(loop, "expect", expect)

    @pytest.mark.parametrize("components", ["3", "2:4"])
    def test_the_best_so_far_is_written(self, monkeypatch, tmp_path, components):
        self.interrupt(monkeypatch, 30)
        # without a prior, small tables are learned from in one call, within which nothing is interrupted
        options = ["--components", components, "--covariance", "full", "--prior", "weak", "--restarts", 3]
        result = run("fit", FAITHFUL, *options, "--out", tmp_path / "r")
        assert result.exit_code == 130 and "best so far" in result.stderr
        assert names(tmp_path / "r") == FILES
        summary = json.loads((tmp_path / "r/summary.json").read_text())
        mixture, x = mx.load(tmp_path / "r/model.safetensors"), mx.datasets.old_faithful()
        assert summary["fit"]["log_likelihood"] == pytest.approx(mixture.log_prob(x).sum().item())
        assert components == "2:4" or summary["fit"]["reason"] == "INTERRUPTED"
        assert components == "3" or "before the search was interrupted" in summary["answer"]

    def test_before_there_is_anything_nothing_is_written(self, monkeypatch, tmp_path):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("mixtura.cli.question.read", interrupted)
        result = run("fit", FAITHFUL, "--out", tmp_path / "r")
        assert result.exit_code == 130 and "nothing was written" in result.stderr
        assert names(tmp_path) == []

    def test_a_library_in_c_may_answer_with_an_error_of_its_own(self, monkeypatch, tmp_path):
        """As matplotlib does: it was interrupted where it asks Python for an array, and says the array is wrong."""

        def translated(*_):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise RuntimeError("Invalid affine transformation matrix") from None

        monkeypatch.setattr("mixtura.cli.question.read", translated)
        handler = signal.getsignal(signal.SIGINT)
        result = run("fit", FAITHFUL, "--out", tmp_path / "r")
        assert result.exit_code == 130 and "nothing was written" in result.stderr and "affine" in result.stderr
        assert names(tmp_path) == [] and signal.getsignal(signal.SIGINT) is handler


class TestMissingExtras:
    def test_the_command_line_itself(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "mixtura.cli.app")
        monkeypatch.setitem(sys.modules, "typer", None)
        with pytest.raises(SystemExit, match=r"pip install 'mixtura\[cli\]'"):
            main()

    def test_plots_are_missed_before_the_work(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setattr("mixtura.cli.question.Question.ask", lambda _: pytest.fail("worked in vain"))
        assert "mixtura[plots]" in refused("fit", FAITHFUL, "--out", tmp_path / "r")
        assert names(tmp_path) == []

    def test_without_pyarrow_assignments_are_text(self, monkeypatch, tmp_path):
        np.save(tmp_path / "x.npy", mx.datasets.old_faithful().numpy())
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
        run(
            "fit",
            tmp_path / "x.npy",
            "--components",
            2,
            "--covariance",
            "full",
            "--restarts",
            1,
            "--out",
            tmp_path / "r",
        )
        assert "assignments.csv" in names(tmp_path / "r")
        assert "mixtura[files]" in refused("fit", FAITHFUL, "--out", tmp_path / "s")


def test_it_runs_as_a_program(tmp_path):
    command = [sys.executable, "-m", "mixtura.cli", "fit", FAITHFUL, "--components", "2", "--covariance", "full"]
    done = subprocess.run([*command, "--out", "r"], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "compiling for this machine, once" not in line]
    assert done.returncode == 0 and not said, done.stderr
    assert names(tmp_path / "r") == FILES
    again = subprocess.run([*command, "--out", "r"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "Traceback" not in again.stderr and "--force" in again.stderr


def test_version_and_help():
    assert run("--version").stdout.strip() == mx.__version__
    assert all(command in run("--help").stdout for command in ("fit", "select", "score", "assign", "sample", "demo"))


@pytest.mark.slow
def test_the_demo_ends_by_naming_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # a second run replaces the first
        last = run("demo").stdout.splitlines()[-1]
        assert last == f"Report: {tmp_path / 'mixtura-demo' / 'report.html'}"
    summary = json.loads((tmp_path / "mixtura-demo/summary.json").read_text())
    assert (summary["fit"]["components"], summary["fit"]["covariance"]) == (3, "tied-full")
    assert summary["fit"]["log_likelihood"] >= -1126.316
