"""A file of a user's own, imported as ``--import`` does, and forgotten after the test."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pet.data.registry import DATASET_TYPES, TRANSFORMS
from pet.modeling.registry import BACKBONES, ROI_BOX_HEADS
from pet.utils.extensions import ENVIRONMENT, import_extensions

_TABLES = [(registry, "_parts") for registry in (DATASET_TYPES, TRANSFORMS)]
_TABLES += [(DATASET_TYPES, "_kinds"), (BACKBONES, "_parts"), (ROI_BOX_HEADS, "_parts")]


@contextmanager
def imported(path: Path) -> Iterator[None]:
    """Import the file ``path``; what it registers is gone when the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        for registry, table in _TABLES:
            patch.setattr(registry, table, dict(getattr(registry, table)))
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv(ENVIRONMENT, "")
        try:
            import_extensions([str(path)])
            yield
        finally:
            sys.modules.pop(path.stem, None)
