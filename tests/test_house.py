"""What the README and the documentation promise about the package holds."""

import re
from pathlib import Path

import pytest

import mixtura

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
