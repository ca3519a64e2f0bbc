"""Draws the map of the rooms from the code's own imports: `python docs/map.py` writes docs/_static/map.svg.

An arrow leads from a room to each room that it needs and does not already have through another. Imports for types alone
do not count. `LAYERS` is the order that the imports must keep; `tests/test_house.py` holds them to it.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"
PICTURE = Path(__file__).parent / "_static" / "map.svg"

LAYERS = (
    ("_collecting", "_version", "errors"),
    ("_claims",),
    ("_value", "_writing", "datasets"),
    ("kernels",),
    ("components",),
    ("data", "priors"),
    ("mixture",),
    ("observation", "divergences"),
    ("scoring",),
    ("learning",),
    ("conditional",),
    ("sklearn", "plots", "testing"),
    ("report",),
    ("bayes", "diffusion"),
    ("cli",),
    ("mixtura",),
)
"""Rooms, and files that stand alone, from the ground up: each imports from those before it only."""

Imports = dict[str, set[str]]


def files() -> dict[str, Path]:
    """Every module by its full name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> Imports:
    """What each module of ours imports of ours, for more than types; a package on the way is imported, too."""
    modules = files()
    return {name: {one for target in _named(name, path, modules) for one in _on_the_way(name, target)}
            for name, path in modules.items()}  # fmt: skip


def rooms(found: Imports) -> Imports:
    """What each room imports of others; a room is a folder, or a file that stands alone."""
    between: Imports = {}
    for name, targets in found.items():
        between.setdefault(room(name), set()).update(room(target) for target in targets)
    return {name: targets - {name} for name, targets in between.items()}


def room(module: str) -> str:
    """The room of a module."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def needed(between: Imports) -> Imports:
    """The imports without those that a room has through another one."""

    def reached(name: str) -> set[str]:
        return between[name].union(*map(reached, between[name])) if between[name] else set()

    return {name: targets - set().union(*map(reached, targets)) for name, targets in between.items()}


def _named(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            targets = [f"{base}.{one.name}" for one in node.names]
            yield from (target if target in modules else base for target in targets if base in modules)
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in modules)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _at_run_time(child)


def _on_the_way(name: str, target: str) -> Iterator[str]:
    parts = target.split(".")
    whole = (".".join(parts[: n + 1]) for n in range(1, len(parts)))
    yield from (one for one in whole if one != name and not name.startswith(f"{one}."))


# -- the picture

WIDE, HIGH, APART, DOWN, LEFT = 232, 70, 20, 24, 8


def picture() -> str:
    """The picture of the rooms that are folders, faces above, as SVG."""
    folders = {path.parent.name for path in ROOT.glob("mixtura/*/__init__.py")}
    lines = [[name for name in layer if name in folders] for layer in reversed(LAYERS)]
    lines = [line for line in lines if line]
    width = 2 * LEFT + max(map(len, lines)) * (WIDE + APART) - APART
    places = {
        name: (width / 2 + (i - (len(line) - 1) / 2) * (WIDE + APART), LEFT + j * (HIGH + DOWN))
        for j, line in enumerate(lines) for i, name in enumerate(line)
    }  # fmt: skip
    arrows = {name: targets & folders for name, targets in needed(rooms(imports())).items() if name in folders}
    drawn = [_arrow(places[name], places[target]) for name in sorted(arrows) for target in sorted(arrows[name])]
    height = 2 * LEFT + len(lines) * (HIGH + DOWN) - DOWN
    return "\n".join(
        [_HEAD.format(width=width, height=height), *drawn, *map(_box, places, places.values()), "</svg>\n"]
    )


def _box(name: str, at: tuple[float, float]) -> str:
    x, y = at[0] - WIDE / 2, at[1]
    path = ROOT / "mixtura" / name / "__init__.py"
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0].replace("`", "")
    lines = textwrap.wrap(said, 38, max_lines=3, placeholder=" ...")
    spans = [f'<tspan x="{at[0]:g}" dy="1.25em">{escape(line)}</tspan>' for line in lines]
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        f'<text class="name" x="{at[0]:g}" y="{y + 18:g}">{name}</text>'
        f'<text x="{at[0]:g}" y="{y + 20:g}">{"".join(spans)}</text>'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (u, v) = (start[0], start[1] + HIGH), (end[0], end[1] - 5)
    return f'<path d="M{x:g},{y:g} C{x:g},{(y + v) / 2:g} {u:g},{(y + v) / 2:g} {u:g},{v:g}" marker-end="url(#tip)"/>'


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" \
aria-label="The rooms of Mixtura; each imports from those below it only">
<style>
rect {{ fill: #f2f7fa; stroke: #2a6f97; }}
path {{ fill: none; stroke: #5f7a8a; stroke-width: 1.3; }}
text {{ font: 11px system-ui, sans-serif; fill: #333; text-anchor: middle; }}
.name {{ font-size: 14px; font-weight: 600; fill: #174a67; }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0,0 L8,4 L0,8 Z" style="fill: #5f7a8a; stroke: none"/></marker></defs>"""


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
