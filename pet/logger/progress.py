"""Progress of long work: a bar on a terminal, otherwise a log line every 30 seconds."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from pet.logger.log_text import format_duration

_logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 30.0

Item = TypeVar("Item")


def show_progress(items: Iterable[Item], label: str, total: int, unit: str) -> Iterator[Item]:
    """Yield ``items`` and show how many of ``total`` are done."""
    if sys.stderr.isatty():
        yield from tqdm(items, label, total, unit=f" {unit}", dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if done == total or now - last > _SECONDS_BETWEEN_LINES:
            last, each = now, (now - start) / done
            eta = format_duration((total - done) * each)
            _logger.info("%s: %d/%d %s, %.3f s each, eta %s", label, done, total, unit, each, eta)
