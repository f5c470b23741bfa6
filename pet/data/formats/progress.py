"""A progress bar and a log line for reading many files."""

import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from pet.data.image_file import shown_path

_logger = logging.getLogger(__name__)

_MANY = 1000  # files, which take seconds

Item = TypeVar("Item")


def show_reading(items: Iterable[Item], count: int, source: Path) -> Iterator[Item]:
    """Yield ``items``, ``count`` pictures of ``source``, with a bar on a terminal if many."""
    if count >= _MANY:
        _logger.info("reading %s: %d pictures", shown_path(source), count)
    hidden = count < _MANY or not sys.stderr.isatty()
    yield from tqdm(items, f"reading {source.name}", count, unit=" pictures", disable=hidden)
