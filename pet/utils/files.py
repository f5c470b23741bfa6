"""Atomic file writes, file locks, and disk errors that name the file."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# Disk full, quota exceeded, file too large, read-only file system.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a lock on the file ``path`` while the block runs; the file is created.

    Other processes on this machine wait for the lock. On Windows there is no lock.
    """
    with open(path, "a") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def naming_path(path: str | Path) -> Iterator[None]:
    """Set ``path`` as the file name of ``DISK_ERRORS`` in the block that have none."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; after the block it replaces ``path``.

    The block must write the yielded file and close it. The file is then synced to the disk and
    renamed, so that a reader sees the old file or the new one, even after a crash. After an error
    in the block the temporary file is removed and ``path`` is unchanged. The temporary path has the
    suffix of ``path``. The folder is created if it is missing.
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
    """Sync ``folder``, so that a rename in it survives a crash; not needed on Windows."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
