"""Files that are either whole or not there."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# The disk is full, the user's share of it is, a file is too large for it, it is only for reading.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold the lock of the file ``path``, which is made, while the block runs.

    Other processes of this machine wait for it. On Windows nothing is locked.
    """
    with open(path, "a") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def naming_path(path: str | Path) -> Iterator[None]:
    """Let an OSError of the block, one of ``DISK_ERRORS``, name ``path`` if it names no file."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends well.

    The block must write the yielded file, and close it. It is then synced to the disk and renamed,
    so that a reader, or a crash, sees the old file or the new one. After an error in the block the
    temporary file is removed and ``path`` is as it was. The suffix of ``path`` is kept, and its
    folder is made where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with naming_path(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a crash; Windows opens no folders and needs none of it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
