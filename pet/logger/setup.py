"""Logging to the terminal and to the log file of a run."""

import logging
import sys
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from pet.utils.comm import get_rank

LOG_FILE = "log.txt"
_logger = logging.getLogger("pet")


class _WarnOnceHandler(logging.Handler):
    """A handler that warns once if its output cannot be written, and never stops the run.

    It keeps trying to write, as a full disk may have space again later.
    """

    place = "the output"
    _has_warned = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Warn once of an OSError; print the traceback of any other error, which is a bug."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_warned:
            self._has_warned = True
            with suppress(OSError):
                print(f"WARNING: the log does not reach {self.place}: {error}", file=sys.stderr)


class _FileHandler(_WarnOnceHandler, logging.FileHandler):
    """Appends to a file."""


class _BarSafeHandler(_WarnOnceHandler):
    """Prints to stdout without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print ``record``, above the progress bar if there is one."""
        try:
            tqdm.write(_printable(self.format(record)), file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


def _printable(text: str) -> str:
    """Return ``text`` with escapes for characters that stdout's encoding does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class _Formatter(logging.Formatter):
    """Formats the plain message, with the level before warnings and errors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of ``record``."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname}: {text}"


def setup_logging(folder: str | Path | None = None, rank: int | None = None) -> None:
    """Send the messages of all ``pet`` loggers to the terminal and append them to folder/log.txt.

    Only rank 0 does so; other ranks print only errors. ``rank`` defaults to that of the process
    group. A second call replaces the first.
    """
    rank = get_rank() if rank is None else rank
    close_logging()
    handlers: list[logging.Handler] = [_BarSafeHandler()]
    if rank != 0:
        handlers[0].setLevel(logging.ERROR)
    elif folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Path(folder) / LOG_FILE
        file = _FileHandler(path, encoding="utf-8", errors="backslashreplace")
        file.place = str(path)
        handlers.append(file)
    for handler in handlers:
        handler.setFormatter(_Formatter())
        _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    # If a library configures the root logger, lines must not be printed twice.
    _logger.propagate = False


def close_logging() -> None:
    """Undo ``setup_logging`` and close the log file."""
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        handler.close()
    _logger.setLevel(logging.NOTSET)
    _logger.propagate = True


def logging_rank(message: str, distributed: bool = False, local_rank: int = 0) -> None:
    """Log ``message`` once per machine: if ``distributed``, only with ``local_rank`` 0."""
    if not distributed or local_rank == 0:
        _logger.info("%s", message)
