"""The examples of docs/extending.md, as files of a user's own."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from tests.source_code import ROOT


def example(word: str) -> str:
    """Return the one Python file on the page that has ``word`` in it."""
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    [text] = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in b]
    return text


def import_example(word: str, folder: Path) -> ModuleType:
    """Write that file into ``folder`` and import it, as ``--import`` would."""
    file = folder / "example_of_the_page.py"
    file.write_text(example(word))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
