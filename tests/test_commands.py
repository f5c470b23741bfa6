"""The commands that the documents and the heads of the configs show, given to the tools' parsers.

Nothing is run: the words are parsed, and what they say of the config is merged and checked.
"""

import argparse
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pet.config import default_cfg
from pet.launch.command_line import load_cfg
from tests.source_code import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGS = sorted((ROOT / "cfgs").rglob("*.yaml"))
#: In the place of a config that the reader is to write, or that a run will have written.
ANY_CONFIG = "cfgs/rcnn/mscoco/e2e_mask_rcnn_R-50-FPN_1x.yaml"
READERS = {"FILE", "my.yaml", "cfgs/rcnn/mine.yaml", "ckpts/mine/config.yaml"}

_TOOL = re.compile(r"\b(?:python|torchrun) (?:.* )?(tools/\S+\.py)(.*)")
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> Iterator[str]:
    """Yield the texts of a page, or of the head of a config, in which commands stand."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        yield "\n".join(re.findall(r"^# ?(.*)$", text, re.MULTILINE))
        return
    yield from _BLOCK.findall(text)
    yield from re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))


def commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each tool that is started there, and its words."""
    for block in blocks(path):
        text = re.sub(r"\\\n *", " ", block)
        for name, value in re.findall(r"^(\w+)=(\S+)$", text, re.MULTILINE):
            text = text.replace(f"${name}", value)
        for line in text.splitlines():
            if match := _TOOL.search(line):
                yield match[1], shlex.split(match[2], comments=True)


#: For tools that take a config, but no keys.
NOTHING_ELSE = {"opts": [], "shorts": [], "local_rank": None}


@cache
def parser(tool: str) -> argparse.ArgumentParser:
    return runpy.run_path(str(ROOT / tool))["_parser"]()


def check(tool: str, words: list[str]) -> None:
    """Raise what the start of ``tool`` with ``words`` would, ValueError for a usage message."""
    try:
        args = parser(tool).parse_args(words)
    except SystemExit:
        raise ValueError(f"{tool} does not take {words}") from None
    name = getattr(args, "cfg", None)
    if name is None:
        return
    words = vars(args) | {"cfg": ROOT / (ANY_CONFIG if name in READERS else name), "imports": []}
    load_cfg(argparse.Namespace(**{**NOTHING_ELSE, **words}), default_cfg())


@pytest.mark.parametrize("path", [*PAGES, *CONFIGS], ids=lambda path: str(path.relative_to(ROOT)))
def test_each_command_is_one(path):
    for tool, words in commands(path):
        check(tool, words)


def test_commands_are_found():
    assert len(list(commands(ROOT / "README.md"))) > 10
    assert all(any(commands(path)) for path in CONFIGS if "mscoco" in path.parts)


@pytest.mark.parametrize(
    "words",
    [
        ["DATA_DIR", "data", "--cfg", ANY_CONFIG],
        ["--cfg", ANY_CONFIG, "DATA_DIR", "data", "--import", "a.py"],
        ["--cfg", ANY_CONFIG, "SOLVER.LR", "1"],
        ["--cfg", ANY_CONFIG, "SOLVER.BASE_LR", "-1"],
    ],
)
def test_a_wrong_command_is_found(words):
    with pytest.raises((ValueError, KeyError)):
        check("tools/rcnn/train_net.py", words)
