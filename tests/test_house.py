"""What the README and the documentation promise about the package holds."""

import ast
import importlib.util
import re
import shlex
import shutil
import sys
from graphlib import TopologicalSorter
from operator import attrgetter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mixtura
from mixtura.cli.app import app

ROOT = Path(__file__).parents[1]


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_python_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", read(page), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})


def test_commands_of_the_guide_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("table.csv", "more.csv"):
        shutil.copy(mixtura.datasets.path("old_faithful"), name)
    typed = re.findall(r"^    mixtura (\S.*?)(?: {2,}.*)?$", read("docs/commands.md"), re.MULTILINE)
    assert len(typed) > 5
    for command in typed:
        if command != "demo":  # it has a test of its own
            quick = ["--covariance", "full", "--restarts", "1"] if command.startswith(("fit", "select")) else []
            result = CliRunner().invoke(app, [*shlex.split(command), *quick])
            assert result.exit_code == 0, (command, result.output)


def test_every_public_name_is_in_the_reference():
    listed = set(re.findall(r"^   (\w+)$", read("docs/api.md"), re.MULTILINE))
    public = {name for name in mixtura.__all__ if not name.startswith("_")}
    assert public <= listed, f"not in docs/api.md: {sorted(public - listed)}"


def test_relative_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)", read(page))]
    local = [(page, link) for page, link in links if "://" not in link]
    broken = [(page.name, link) for page, link in local if not (page.parent / link).exists()]
    assert local and not broken, broken


def test_the_citation_names_this_version():
    assert f"version: {mixtura.__version__}\n" in read("CITATION.cff")


# -- what CONTRIBUTING.md says of the code holds of it

SOURCES = sorted((ROOT / "src" / "mixtura").rglob("*.py"))
OPTIONAL = {
    "PIL",  # comes with matplotlib
    "arviz",
    "matplotlib",
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "pymc",
    "rich",
    "scipy",
    "sklearn",
    "typer",
    "xarray",
}


def functions():
    """Every function with the file it stands in."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(ROOT)}: {node.name}", node


def test_files_are_short():
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: lines for name, lines in long.items() if lines > 400}


def test_functions_are_short():
    def lines(node):
        body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
        return body[-1].end_lineno - body[0].lineno + 1

    assert not {name: lines(node) for name, node in functions() if lines(node) > 26}


def test_only_optional_packages_are_imported_inside_functions():
    found = {
        (name, ast.unparse(one))
        for name, node in functions()
        for one in ast.walk(node)
        if isinstance(one, (ast.Import, ast.ImportFrom))
    }
    needs_one = {"cli/__init__.py: main"}  # a module of ours that needs one at its top
    ours = {(name, text) for name, text in found if not OPTIONAL & set(re.findall(r"\w+", text))}
    assert found and not {(name, text) for name, text in ours if not name.endswith(tuple(needs_one))}


def test_input_is_never_checked_by_assert():
    asserts = [name for name, node in functions() for one in ast.walk(node) if isinstance(one, ast.Assert)]
    assert not [name for name in asserts if "mixtura/testing/" not in name]


# -- the map is true: what imports what, which names there are, and the way of a row


@pytest.fixture(scope="module")
def drawing():
    """The script that draws the map."""
    spec = importlib.util.spec_from_file_location("map_of_rooms", ROOT / "docs" / "map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rooms_import_from_those_below_only(drawing):
    height = {name: i for i, layer in enumerate(drawing.LAYERS) for name in layer}
    found = {(drawing.room(one), drawing.room(other)) for one, all_ in drawing.imports().items() for other in all_}
    assert len(found) > 40
    upward = [(one, other) for one, other in found if one != other and height[one] <= height[other]]
    assert not upward, f"a room imports upward: {upward}"


def test_no_files_import_each_other_in_a_circle_but_for_types(drawing):
    list(TopologicalSorter(drawing.imports()).static_order())  # CycleError names the circle


def test_imports_are_found_wherever_they_stand(drawing, tmp_path, monkeypatch):
    """Inside of functions and through packages, but not those for types: the checks above see what there is to see."""
    code = {
        "mixtura/__init__.py": "",
        "mixtura/low/__init__.py": "from .deep import x",
        "mixtura/low/deep.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..high import y",
        "mixtura/high.py": "def f():\n    from .low.deep import x\n    from . import low\n    import mixtura.low",
    }
    for name, text in code.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(drawing, "ROOT", tmp_path)
    found = drawing.imports()
    assert found["mixtura.high"] == {"mixtura.low", "mixtura.low.deep"}
    assert found["mixtura.low"] == {"mixtura.low.deep"} and not found["mixtura.low.deep"]


def test_the_drawing_is_that_of_the_code(drawing):
    drawn = drawing.PICTURE.read_text(encoding="utf-8")
    assert drawn == drawing.picture(), "draw the map again: python docs/map.py"


def test_the_map_names_every_public_name_and_no_other():
    surface = read("docs/architecture.md").split("## The public surface")[1].split("## Numerics")[0]
    there, _, planned = surface.partition("*Planned*")
    public = {name for name in mixtura.__all__ if not name.startswith("_")}
    absent = sorted(name for name in public if not re.search(rf"\b{name}\b", there))
    assert not absent, f"not in docs/architecture.md: {absent}"
    for path in re.findall(r"\bmx\.((?:\w+\.)*\w+)", there):
        attrgetter(path)(mixtura)
    for path in re.findall(r"\bmx\.(\w+)", planned):
        assert not hasattr(mixtura, path), f"{path} is there and is said to be planned"


def test_a_row_goes_from_the_command_to_the_report_as_the_map_says(tmp_path, monkeypatch):
    """Every function that the page names is called by the command that it names, for a file that is not small."""
    monkeypatch.setattr("mixtura.data.files._SMALL", 0)
    section = read("docs/architecture.md").split("### One row")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `(.+?\.py)` \| (.+?) \|", section, re.MULTILINE)
    said = {(file, function) for file, names in lines for function in re.findall(r"`(.+?)`", names)}
    called: set[tuple[str, str]] = set()

    def watch(frame, event, argument):
        called.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    typed = f"fit {mixtura.datasets.path('old_faithful')} --components 2 --covariance full --out {tmp_path / 'result'}"
    assert typed.split()[2:6] == re.search(r"`mixtura fit data.csv (.+) --out result`", section)[1].split()
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        result = CliRunner().invoke(app, typed.split())
    finally:
        sys.setprofile(before)
    assert result.exit_code == 0, result.output
    rooms = f"{Path(mixtura.__file__).parent}/"
    found = {(file.removeprefix(rooms), function) for file, function in called}
    assert len(said) > 30 and said <= found, f"not on the way: {sorted(said - found)}"
