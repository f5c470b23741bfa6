"""A progress bar and a log line for reading many files."""

import logging
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from pet.data.image_file import shown_path

_logger = logging.getLogger(__name__)

_MANY = 1000  # files, which take seconds

Item = TypeVar("Item")


def show_reading(items: Collection[Item], source: Path) -> Iterator[Item]:
    """Yield ``items``, the files of ``source``, with a bar on a terminal if there are many."""
    many = len(items) >= _MANY
    if many:
        _logger.info("reading %s: %d pictures", shown_path(source), len(items))
    hidden = not many or not sys.stderr.isatty()
    yield from tqdm(items, f"reading {source.name}", unit=" pictures", disable=hidden)
