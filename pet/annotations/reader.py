"""Reading annotation files in COCO's format.

A file is checked once, by rules that training and testing share. A large file is read in pieces,
and the result is cached next to the output, for later runs and for other processes on the machine.
"""

import hashlib
import io
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pet.annotations.columns import Columns
from pet.annotations.convert import LARGE, VERSION, convert
from pet.annotations.table import Annotations
from pet.utils.files import atomic_path, locked

_logger = logging.getLogger(__name__)


def read_annotations(file: str | Path, cache: Path | None = None) -> Annotations:
    """Return the content of ``file``, checked.

    The content of a large file is cached in the folder ``cache``, if given, and read from there
    while size and time of the file stay the same. The cache may be deleted. Raises
    FileNotFoundError, and ValueError, which names file, entry and fault, if the file is not in
    COCO's format or its ids are inconsistent. Flaws of single annotations are recorded instead.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file}; {_what_is_there(file)}")
    if cache is None or file.stat().st_size < LARGE:
        return Annotations(file, _in_memory(file))
    try:
        return Annotations(file, _kept(file, cache))
    except OSError as error:
        _logger.warning("what %s holds cannot be kept in %s: %s", file, cache, error)
        return Annotations(file, _in_memory(file))


def _what_is_there(file: Path) -> str:
    return "it is a folder" if file.is_dir() else "give the path of a file in COCO's format"


def _in_memory(file: Path) -> Columns:
    memory = io.BytesIO()
    convert(file, memory, {})
    return Columns.from_memory(memory)


def _kept(file: Path, cache: Path) -> Columns:
    """Return the columns of ``file`` from ``cache``, after writing them there if needed."""
    state = file.stat()
    source: dict[str, Any] = {
        "version": VERSION,
        "file": str(file.resolve()),
        "size": state.st_size,
        "time": state.st_mtime_ns,
        "bytes": sys.byteorder,
    }
    name = hashlib.sha256(source["file"].encode("utf-8", "surrogateescape")).hexdigest()[:12]
    kept = cache / f"{file.stem}-{name}.columns"
    cache.mkdir(parents=True, exist_ok=True)
    # The first process on a machine writes the file; the others wait for it and map it.
    with locked(kept.with_suffix(".lock")):
        columns = _open(kept, source)
        if columns is not None:
            return columns
        with atomic_path(kept) as path, open(path, "wb+") as opened:
            convert(file, opened, source)
        return Columns.from_file(kept)


def _open(kept: Path, source: Mapping[str, Any]) -> Columns | None:
    """Return the cached columns, or None if they are missing, damaged or outdated."""
    try:
        columns = Columns.from_file(kept)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return columns if columns.facts.get("source") == source else None
