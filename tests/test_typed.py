"""The package says that it is typed, and type checkers see what it returns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mixtura as mx

HERE = Path(__file__).parent


def test_the_mark_of_typed_packages_is_there():
    assert (Path(mx.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_a_fit_has_the_type_of_its_method():
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, HERE / "typed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] >= 1
    assert [one["message"] for one in found["generalDiagnostics"]] == []
