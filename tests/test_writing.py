"""Results are written by one at a time, appear whole or not at all, and nothing of a process that died stays behind."""

import signal
import subprocess
import sys
import threading

import pytest
import torch
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli.app import app

FAITHFUL = str(mx.datasets.path("old_faithful"))
QUICK = ["--components", "1", "--covariance", "full", "--restarts", "1"]
FILES = ["assignments.parquet", "model.safetensors", "report.html", "summary.json"]
SLOW = "import time, sys; from mixtura.cli.question import Question; plain = Question.ask\n"
SLOW += "def ask(self):\n    print('asked', flush=True); sys.stdin.readline(); return plain(self)\n"
SLOW += "Question.ask = ask\nfrom mixtura.cli import main\nmain()"


def run(*arguments):
    """Runs a command; an unexpected exception is raised here."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path):
    """Starts a fit in another process, which goes on once it is told to; waits until it has begun."""
    started = []

    def start(out, *more):
        command = [sys.executable, "-c", SLOW, "fit", FAITHFUL, *QUICK, "--out", str(out), *more]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "asked\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_of_two_writers_the_second_is_refused(writer, tmp_path):
    first = writer(tmp_path / "r")
    for more in ([], ["--force"]):
        second = run("fit", FAITHFUL, *QUICK, "--out", tmp_path / "r", *more)
        assert second.exit_code == 1 and str(first.pid) in second.stderr
        assert "being written" in second.stderr and "another name" in second.stderr
    assert run("fit", FAITHFUL, *QUICK, "--out", tmp_path / "other").exit_code == 0
    out, error = first.communicate("go on\n")
    assert first.returncode == 0, error
    assert names(tmp_path) == ["other", "r"] and names(tmp_path / "r") == FILES


@pytest.mark.slow
def test_what_appears_meanwhile_is_not_replaced(writer, tmp_path):
    first = writer(tmp_path / "r")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine.txt").write_text("mine")
    _, error = first.communicate("go on\n")
    assert first.returncode == 1 and "Traceback" not in error and "exists" in error
    assert names(tmp_path) == ["r"] and names(tmp_path / "r") == ["mine.txt"]


@pytest.mark.parametrize("again", [pytest.param("r", marks=pytest.mark.slow), "other"])
def test_what_a_killed_process_left_is_cleaned_by_the_next(writer, tmp_path, again):
    first = writer(tmp_path / "r")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(names(tmp_path)) == 2  # its folder and its lock, and nothing under the name itself
    assert not (tmp_path / "r").exists()
    assert run("fit", FAITHFUL, *QUICK, "--out", tmp_path / again).exit_code == 0
    assert names(tmp_path) == [again]


@pytest.mark.slow
def test_what_a_living_process_has_is_left_alone(writer, tmp_path):
    first = writer(tmp_path / "r")
    before = names(tmp_path)
    assert run("fit", FAITHFUL, *QUICK, "--out", tmp_path / "other").exit_code == 0
    mx.load(tmp_path / "other" / "model.safetensors").save(tmp_path / "m.safetensors")
    assert names(tmp_path) == sorted([*before, "m.safetensors", "other"])
    first.communicate("go on\n")
    assert first.returncode == 0 and names(tmp_path / "r") == FILES


def test_folders_that_only_look_like_ours_are_left_alone(tmp_path):
    for name in (".r.mixtura", ".r.lock", ".mixtura", "r.mixtura"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    (tmp_path / ".notes").write_text("mine")
    before = names(tmp_path)
    assert run("fit", FAITHFUL, *QUICK, "--out", tmp_path / "s").exit_code == 0
    assert names(tmp_path) == sorted([*before, "s"])


def test_a_result_that_was_being_replaced_comes_back(tmp_path):
    """Killed between the two renames, a run leaves neither the old nor the new under the name: the old returns."""
    out = tmp_path / "r"
    assert run("fit", FAITHFUL, *QUICK, "--out", out).exit_code == 0
    kill = "import os; plain = os.rename\n"
    kill += "def rename(a, b):\n    os.kill(os.getpid(), 9) if str(a).endswith('new') else plain(a, b)\n"
    kill += "os.rename = rename\nfrom mixtura.cli import main\nmain()"
    command = [sys.executable, "-c", kill, "fit", FAITHFUL, *QUICK, "--out", str(out), "--force"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    assert not out.exists()
    assert run("sample", tmp_path / "nothing", 3, "--out", tmp_path / "s.csv").exit_code == 1
    assert run("fit", FAITHFUL, *QUICK, "--out", tmp_path / "other").exit_code == 0
    assert names(tmp_path) == ["other", "r"] and names(out) == FILES


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_tables_have_one_writer_too(name, tmp_path, monkeypatch):
    mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
    mixture.save(tmp_path / "m.safetensors")
    inside = []

    def draws(*_):
        if not inside:
            inside.append(None)
            inside.append(run("sample", tmp_path / "m.safetensors", 3, "--out", tmp_path / name))
        yield {"x": torch.zeros(3)}

    monkeypatch.setattr("mixtura.cli.app.draws", draws)
    assert run("sample", tmp_path / "m.safetensors", 3, "--out", tmp_path / name).exit_code == 0
    assert inside[1].exit_code == 1 and "being written" in inside[1].stderr
    assert names(tmp_path) == sorted(["m.safetensors", name])


def test_saves_at_the_same_time_wait_for_each_other(tmp_path):
    """Whoever is last stays; nobody fails, and every file that is read meanwhile is whole."""
    made = [mx.Mixture(torch.ones(2), mx.Normal(torch.full((2,), float(i)), torch.ones(2))) for i in range(4)]
    failed = []

    def save(mixture):
        try:
            for _ in range(25):
                mixture.save(tmp_path / "m.safetensors")
                mx.load(tmp_path / "m.safetensors")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(mixture,)) for mixture in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and names(tmp_path) == ["m.safetensors"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "Input/output error")])
@pytest.mark.parametrize("name", ["s.csv", "s.parquet", "s.npz"])
def test_a_full_disk_leaves_the_old_file_and_says_so(name, error, tmp_path, monkeypatch):
    mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
    mixture.save(tmp_path / "m.safetensors")
    (tmp_path / name).write_text("old")

    def draws(*_):
        yield {"x": torch.zeros(3)}
        raise error

    monkeypatch.setattr("mixtura.cli.app.draws", draws)
    result = run("sample", tmp_path / "m.safetensors", 3, "--out", tmp_path / name)
    assert result.exit_code == 1 and error.strerror in result.stderr and str(tmp_path / name) in result.stderr
    assert names(tmp_path) == sorted(["m.safetensors", name]) and (tmp_path / name).read_text() == "old"


SMALL = """
import resource, sys, torch, mixtura as mx
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
try:
    mixture.save(sys.argv[1])
except mx.errors.MixtureError as error:
    print(error)
"""


def test_no_room_for_a_model(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(tmp_path / "m.safetensors")], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("`path` must") and str(tmp_path / "m.safetensors") in done.stdout, done
    assert names(tmp_path) == []


def test_without_locks_a_second_writer_is_refused_all_the_same(tmp_path, monkeypatch):
    """On file systems and platforms without locks the folder itself tells that somebody writes."""
    monkeypatch.setattr("mixtura._claims.fcntl", None)
    mixture = mx.Mixture(torch.ones(1), mx.Normal(torch.zeros(1), torch.ones(1)))
    inside = []

    def draws(*_):
        if not inside:
            inside.append(None)
            inside.append(run("sample", tmp_path / "m.safetensors", 3, "--out", tmp_path / "s.csv"))
        yield {"x": torch.zeros(3)}

    mixture.save(tmp_path / "m.safetensors")
    monkeypatch.setattr("mixtura.cli.app.draws", draws)
    assert run("sample", tmp_path / "m.safetensors", 3, "--out", tmp_path / "s.csv").exit_code == 0
    assert inside[1].exit_code == 1 and "being written" in inside[1].stderr and "remove" in inside[1].stderr
    assert names(tmp_path) == ["m.safetensors", "s.csv"]
