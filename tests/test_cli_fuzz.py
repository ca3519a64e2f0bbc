"""Damaged files, odd arguments, full disks and signals: results or errors of ours, and nothing half-written."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow
import pytest
from pyarrow import feather, parquet
from typer.testing import CliRunner

import mixtura as mx
from mixtura.cli import main
from mixtura.cli.app import app
from mixtura.data import column_names, grouping, read_table, rows
from mixtura.errors import MixtureError

FAITHFUL, PENGUINS = str(mx.datasets.path("old_faithful")), str(mx.datasets.path("penguins"))
FILES = ["assignments.parquet", "model.safetensors", "report.html", "summary.json"]

# -- bytes

N = 120
COLUMNS = {"a": np.linspace(-1, 2, N), "b": np.arange(N) ** 2, "w": np.arange(N) % 3}
TABLE = pyarrow.table({**COLUMNS, "t": [f"x{i % 7}" for i in range(N)]})


def write_stream(path):
    with pyarrow.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=50)


KINDS = {
    "x.csv": lambda path: TABLE.to_pandas().to_csv(path, index=False),
    "x.csv.gz": lambda path: TABLE.to_pandas().to_csv(path, index=False),
    "x.tsv": lambda path: TABLE.to_pandas().to_csv(path, index=False, sep="\t"),
    "x.parquet": lambda path: parquet.write_table(TABLE, path, row_group_size=70),
    "x.feather": lambda path: feather.write_feather(TABLE, path, chunksize=60),
    "plain.arrow": lambda path: feather.write_feather(TABLE, path, compression="uncompressed"),
    "stream.arrow": write_stream,
    "x.npz": lambda path: np.savez(path, **COLUMNS),
    "packed.npz": lambda path: np.savez_compressed(path, **COLUMNS),
    "x.npy": lambda path: np.save(path, np.column_stack([*COLUMNS.values()])),
}


def flipped(whole, draw, low=0, high=None):
    damaged, place = bytearray(whole), draw.randrange(8 * low, 8 * (high or len(whole)))
    damaged[place // 8] ^= 1 << place % 8
    return damaged


DAMAGE = {
    "a bit": flipped,
    "a bit of the head": lambda whole, draw: flipped(whole, draw, 0, min(100, len(whole))),
    "a bit of the tail": lambda whole, draw: flipped(whole, draw, max(0, len(whole) - 400)),
    "many bits": lambda whole, draw: flipped(flipped(flipped(flipped(whole, draw), draw), draw), draw),
    "the end": lambda whole, draw: whole[: draw.randrange(len(whole))],
    "more bytes": lambda whole, draw: whole[:40] + draw.randbytes(9) + whole[40:],
    "zeros": lambda whole, draw: (lambda i: whole[:i] + bytes(16) + whole[i + 16 :])(draw.randrange(len(whole))),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tables_are_read_or_refused(kind, damage, tmp_path):
    path, draw = tmp_path / kind, random.Random(kind + damage)
    KINDS[kind](path)
    whole, columns = path.read_bytes(), None if kind == "x.npy" else ["a", "b"]
    for _ in range(8):
        path.write_bytes(DAMAGE[damage](whole, draw))
        for ask in (
            lambda: rows(path, columns).tensor(),
            lambda: rows(path, columns, "w" if columns else None).total_weight,
            lambda: column_names(path),
            lambda: grouping(path, "t"),
            lambda: read_table(path),
        ):
            try:
                ask()
            except (MixtureError, TypeError) as error:
                assert str(error).startswith("`"), error  # of the house's form, TypeErrors too


# -- arguments


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with a result and tables that are hard to learn from."""
    room = tmp_path_factory.mktemp("room")
    texts = {
        "empty": "",
        "head": "a,b\n",
        "one": "a,b\n1,2\n",
        "two": "a,b\n1,2\n3,5\n",
        "same": "a,b\n" + "1,2\n" * 50,
        "nan": "a,b\n" + "nan,nan\n" * 20,
        "inf": "a,b\n1,2\ninf,3\n4,5\n",
        "big": "a,b\n" + "".join(f"{i}e300,{i * i}\n" for i in range(20)),
        "text": "a,b\nx,y\nz,w\n",
        "gap": "a,b\n" + "".join(f"{i},{'' if i % 3 else i * i}\n" for i in range(40)),
        "odd": "a,b,w,e\n" + "".join(f"{i},{i * i % 7},{i % 5 - 1},{-1 if i == 3 else 1}\n" for i in range(40)),
        "a;b,c": '"a,b","c""d",é\n' + "".join(f"{i},{i * i % 11},{i % 4}\n" for i in range(40)),
    }
    for name, text in texts.items():
        (room / f"{name}.csv").write_text(text)
    (room / "folder.csv").mkdir()
    arrays = {
        "v": np.arange(30.0) ** 2,
        "c": np.zeros(4, complex),
        "cube": np.zeros((2, 2, 2)),
        "none": np.zeros((0, 2)),
    }
    for name, array in arrays.items():
        np.save(room / f"{name}.npy", array)
    np.savez(room / "nothing.npz")
    (room / "link").symlink_to(room / "base")
    (room / "nowhere.csv").symlink_to(room / "absent")
    assert run("fit", FAITHFUL, "--components", 1, "--covariance", "full", "--out", room / "base").exit_code == 0
    return room


def run(*arguments):
    """Runs a command; an unexpected exception is raised here."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


NAMES = [
    "",
    "a",
    "a,b",
    "b,a",
    "a,a",
    ",",
    '"',
    "eruptions",
    "waiting,eruptions",
    "nope",
    '"a,b"',
    "é",
    "w",
    "\0",
    "a" * 500,
]
NUMBERS = ["-1", "0", "1", "2", "", "a", "1.5", "nan", "inf", "9" * 30, str(2**63), "2:1", "1:", ":3", "1,,2", "300"]
OPTIONS = {
    "--columns": NAMES,
    "--drop": NAMES,
    "--weight": NAMES,
    "--errors": NAMES,
    "--components": NUMBERS,
    "--covariance": [
        "VVE",
        "EVE",
        "low-rank-1",
        "low-rank-0",
        "low-rank-99",
        "tied-spherical",
        "",
        "nope",
        "full,full",
    ],
    "--criterion": ["aic", "icl", "", "BIC"],
    "--method": ["kmeans", "", "EM"],
    "--prior": ["weak", ""],
    "--seed": NUMBERS,
    "--restarts": [one for one in NUMBERS if len(one) < 3],
    "--max-iterations": [one for one in NUMBERS if len(one) < 3],
    "--tolerance": NUMBERS,
}
OUT = [
    "{room}",
    "{room}/base",
    "{room}/link",
    "{room}/no/such",
    "",
    ".",
    "..",
    "/",
    "/dev/null",
    "/dev/null/x",
    "/proc/x",
]
OUT += ["{room}/" + "n" * 300, "~nobody/x", "{room}/a\nb.csv", "{room}/folder.csv", "{room}/nowhere.csv", "/dev/full"]


def odd_command(draw, room):
    """A command that would work, with one or two of its arguments replaced by odd ones."""
    out = [str(room / "out.csv")]
    data = [
        FAITHFUL,
        PENGUINS,
        *map(str, room.glob("*.[cn]*")),
        "",
        "-",
        str(room),
        "/dev/null",
        str(room / "absent.csv"),
    ]
    model = [str(room / "base" / "model.safetensors"), FAITHFUL, "", str(room)]
    plain = ["--components", "2", "--covariance", "full", "--restarts", "1", "--max-iterations", "3"]
    places = {"--out": [one.format(room=room) for one in OUT] + [str(room / f"t{end}") for end in (".xls", "", ".npz")]}
    some = {name: OPTIONS[name] for name in ("--columns", "--errors")}
    command, odd = draw.choice(
        [
            (["fit", FAITHFUL, *plain, "--out", str(room / "out")], {1: data, **OPTIONS, **places}),
            (["select", FAITHFUL, *plain], {1: data, **OPTIONS}),
            (["score", model[0], FAITHFUL, "--out", *out], {1: model, 2: data, **some, **places}),
            (["assign", model[0], FAITHFUL, "--out", *out], {1: model, 2: data, **some, **places}),
            (["report", model[0], FAITHFUL, "--out", *out], {1: model, 2: data, **some, **places}),
            (["sample", model[0], "5", "--out", *out], {1: model, 2: NUMBERS[:8], "--seed": NUMBERS, **places}),
        ]
    )
    for place in draw.sample(list(odd), draw.choice([1, 1, 2])):
        value = draw.choice(odd[place])
        if isinstance(place, int):
            command[place] = value
        elif place in command:
            command[command.index(place) + 1] = value
        else:
            command += [place, value]
    return command


def check_odd_commands(seed, count, room):
    draw, before = random.Random(seed), sorted(os.listdir(room))
    for _ in range(count):
        command = odd_command(draw, room)
        result = run(*command)
        assert result.exit_code in (0, 1, 2), command
        assert "Traceback" not in result.output and "codec" not in result.output, command
        if result.exit_code == 1:
            assert result.stderr.startswith("Error: ") and "[Errno" not in result.stderr, (command, result.stderr)
            assert sorted(os.listdir(room)) == before, command
        for path in set(os.listdir(room)) - set(before):
            whole = path.partition(".")[0] in ("out", "t", "a\nb") or path == "absent"
            assert whole and (path != "out" or sorted(os.listdir(room / path)) == FILES), command
            os.system(f"rm -r '{room / path}'")


@pytest.mark.parametrize("seed", range(2))
def test_odd_commands(seed, room):
    check_odd_commands(seed, 25, room)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 26))
def test_many_odd_commands(seed, room):
    check_odd_commands(seed, 50, room)


# -- signals and full disks


OPTIONS_OF_A_FIT = ["--components", "2", "--covariance", "full", "--restarts", "2", "--force"]


def child(folder):
    """Begins a fit in a process of its own; returns its number."""
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        said = os.open(os.devnull, os.O_WRONLY)
        os.dup2(said, 1), os.dup2(said, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["mixtura", "fit", FAITHFUL, *OPTIONS_OF_A_FIT, "--out", str(folder / "r")])
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        os._exit(code)


def ended(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def is_whole(path):
    whole = sorted(os.listdir(path)) == FILES and mx.load(path / "model.safetensors").columns == (
        "eruptions",
        "waiting",
    )
    page = (path / "report.html").read_text(encoding="utf-8").rstrip()
    return whole and page.endswith("</html>") and read_table(path / "assignments.parquet").num_rows == 272


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_at_any_time(kind, tmp_path):
    folder, draw = tmp_path / "room", random.Random(0)
    folder.mkdir()
    begun = time.monotonic()
    assert ended(child(folder)) == 0
    whole = time.monotonic() - begun
    for _ in range(20):
        number = child(folder)
        time.sleep(draw.uniform(0, 1.1 * whole))
        os.kill(number, kind)
        code = ended(number)
        assert code in ((0, 130) if kind is signal.SIGINT else (0, -kind))
        assert code != 130 or os.listdir(folder) == ["r"]
        assert ended(child(folder)) == 0 and os.listdir(folder) == ["r"] and is_whole(folder / "r")


LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from mixtura.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 1, 100, 1000, 1500, 3000, 10_000, 30_000, 60_000])
def test_a_disk_with_little_room(limit, tmp_path):
    typed = ["fit", FAITHFUL, *OPTIONS_OF_A_FIT, "--out", str(tmp_path / "r")]
    assert run(*typed).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit), *typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.startswith("Error: --out must"), done.stderr
    assert "Traceback" not in done.stderr and "File too large" in done.stderr
    assert os.listdir(tmp_path) == ["r"] and is_whole(tmp_path / "r")
