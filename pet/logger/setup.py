"""Where Pet's log messages go: the terminal and a file of the run, each once."""

import logging
import sys
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from pet.utils.comm import get_rank

LOG_FILE = "log.txt"
_logger = logging.getLogger("pet")


class _OneComplaint(logging.Handler):
    """Says once, in a line, that its place cannot be written: the run is worth more than its log.

    It goes on trying: a full disk may have room again.
    """

    place = "the output"
    _complained = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Say what kept ``record`` from being written; show the traceback of a bug."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._complained:
            self._complained = True
            with suppress(OSError):
                print(f"WARNING: the log does not reach {self.place}: {error}", file=sys.stderr)


class _FileHandler(_OneComplaint, logging.FileHandler):
    """Appends to a file."""


class _BarSafeHandler(_OneComplaint):
    """Prints to stdout without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print ``record``, above the bar where there is one."""
        try:
            tqdm.write(_printable(self.format(record)), file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


def _printable(text: str) -> str:
    """Return ``text`` with numbers for the characters that stdout's encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class _Formatter(logging.Formatter):
    """The message as it is, with the level before warnings and errors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of ``record``."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname}: {text}"


def setup_logging(folder: str | Path | None = None, rank: int | None = None) -> None:
    """Send the messages of all ``pet`` loggers to the terminal and, appended, to folder/log.txt.

    Only rank 0 does; the other ranks (by default the process group's) print errors alone. A
    second call replaces the first.
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
    # A library that configures the root logger must not make every line come twice.
    _logger.propagate = False


def close_logging() -> None:
    """Undo ``setup_logging``, and close its file."""
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        handler.close()
    _logger.setLevel(logging.NOTSET)
    _logger.propagate = True


def logging_rank(message: str, distributed: bool = False, local_rank: int = 0) -> None:
    """Log ``message`` once a machine: of several processes, from the one with local rank 0."""
    if not distributed or local_rank == 0:
        _logger.info("%s", message)
