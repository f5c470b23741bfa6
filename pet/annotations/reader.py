"""Reading an annotation file of COCO's format: the one place where that is done.

What a file says is checked here, once, by rules that training and testing share. A large file is
read in pieces, and what was found is kept beside the output, for the next start and for the other
processes of the machine.
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

    What a large file holds is kept in the folder ``cache``, where that is given, and taken from
    there as long as the file has its size and time. Deleting it is safe. Raises FileNotFoundError
    where there is no such file, and ValueError, naming it, the entry, and what is wrong, where it
    is no file of COCO's format or its ids do not fit together; what is wrong with single
    annotations is put on record instead.
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
    """Return the columns of ``file`` from ``cache``, where they are put first if need be."""
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
    # The processes of a machine wait for the first, and map what it has written.
    with locked(kept.with_suffix(".lock")):
        columns = _open(kept, source)
        if columns is not None:
            return columns
        with atomic_path(kept) as path, open(path, "wb+") as opened:
            convert(file, opened, source)
        return Columns.from_file(kept)


def _open(kept: Path, source: Mapping[str, Any]) -> Columns | None:
    """Return what is kept; None where it is missing, damaged, or of another state of the file."""
    try:
        columns = Columns.from_file(kept)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return columns if columns.facts.get("source") == source else None
