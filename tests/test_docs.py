"""The documents against the code: what they quote, name and link to exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pet.config import CfgNode, default_cfg

_ROOT = Path(__file__).resolve().parents[1]
_PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (_ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    return (_ROOT / page).read_text(encoding="utf-8")


def keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        yield prefix + name
        if isinstance(value, CfgNode):
            yield from keys(value, f"{prefix}{name}.")


@pytest.mark.parametrize("page", _PAGES)
def test_quoted_code_stands_in_the_source(page):
    source = "\n".join(path.read_text(encoding="utf-8") for path in (_ROOT / "pet").rglob("*.py"))
    for language, block in _BLOCK.findall(read(page)):
        if language == "python" and not block.startswith("from"):
            assert block in source


@pytest.mark.parametrize("page", _PAGES)
def test_config_keys_exist(page):
    known = set(keys(default_cfg()))
    sections = "|".join(key for key in known if isinstance(default_cfg().get(key), CfgNode))
    named = re.findall(rf"\b(?:{sections})(?:\.[A-Z][A-Z_0-9]*)+\b", read(page))
    assert {key for key in named if not key.startswith("DATASETS.")} <= known


def anchors(path: Path) -> set[str]:
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", _BLOCK.sub("", read(page))):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        path = (_ROOT / page).parent / file if file else _ROOT / page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def test_both_tutorials_show_the_same_commands():
    def commands(page: str) -> list[str]:
        return [block for language, block in _BLOCK.findall(read(page)) if not language]

    english, chinese = commands("docs/tutorial.md"), commands("docs/tutorial.zh.md")
    assert len(english) == len(chinese)
    assert [b for b in english if "python" in b] == [b for b in chinese if "python" in b]


def test_the_model_zoo_names_every_config():
    page = read("docs/model_zoo.md")
    stems = {path.stem for path in (_ROOT / "cfgs").rglob("*.yaml") if path.stem[:5] != "base_"}
    assert {stem for stem in stems if f"`{stem}`" not in page} == set()
