"""What the command lines of all tools share."""

import argparse
import io
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from pet.config import (
    CfgNode,
    cfg,
    expand_home,
    freeze,
    merge_cfg_from_file,
    merge_cfg_from_list,
)
from pet.launch.processes import ChildError
from pet.utils.extensions import import_extensions
from pet.utils.files import DISK_ERRORS
from pet.utils.sigint import raising_interrupts, speaks_for_all

_USERS_ERRORS = (
    ValueError,
    KeyError,
    TypeError,
    FloatingPointError,
    ImportError,
    OSError,
)
_FILE_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
# No option of a tool has capitals.
_KEY_WITH_DASHES = re.compile(r"--[A-Z]")
_PRINTING = ("print(", "sys.stdout.")
_LESS_MEMORY = (
    "smaller or fewer images at once need less: TRAIN.BATCH_SIZE and TRAIN.SCALES, or "
    "TEST.IMS_PER_GPU and TEST.SCALE"
)
_PACKAGE = Path(__file__).resolve().parents[1]
# One frame of a printed traceback: the file, and the line of code.
_FRAME = re.compile(r'^ +File "(.+)", line \d+, in .+\n +(.+)$', re.MULTILINE)


class ToolParser(argparse.ArgumentParser):
    """A parser whose options may open with ``~``, and which says how a config key is written.

    A shell puts in the home folder for a word ``~/x``, but not in ``--out=~/x``.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Do as argparse does; a config key with dashes, or a ``~`` of nobody, ends the program."""
        words = list(sys.argv[1:] if args is None else args)
        for word in filter(_KEY_WITH_DASHES.match, words):
            key, equals, _ = word[2:].partition("=")
            self.error(
                f"{key} is a config key and no option: write {key}{equals or ' '}VALUE, without "
                "the dashes, behind all options"
            )
        found, rest = super().parse_known_args(words, namespace)
        for name, value in vars(found).items():
            if name != "opts":
                setattr(found, name, self._with_home(value))
        return found, rest

    def _with_home(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._with_home(item) for item in value]
        try:
            return expand_home(value, "the path") if isinstance(value, str) else value
        except ValueError as error:
            self.error(str(error))


def add_cfg_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg``, ``--import``, ``KEY VALUE ...`` and what launchers pass, after all others."""
    parser.add_argument("--cfg", required=True, metavar="FILE", help="YAML file under cfgs/")
    # Old launchers pass it, in either spelling; new ones set LOCAL_RANK.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    add_import_argument(parser)
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config keys to change, last on the command line: SOLVER.BASE_LR 0.01, or "
        "SOLVER.BASE_LR=0.01, ...",
    )


def add_import_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--import``, which gives ``imports``, for ``import_extensions``."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file, or module, of yours that registers parts; may be given several times",
    )


def positive_int(text: str) -> int:
    """Read a whole number from 1 on, as an argparse type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a whole number from 1 on, not {text!r}")
    return int(text)


def load_cfg(args: argparse.Namespace, node: CfgNode = cfg) -> None:
    """Merge the file and the pairs of ``add_cfg_arguments`` into ``node``, check and freeze it.

    A local rank on the command line becomes ``LOCAL_RANK``, unless that is set. Raises
    FileNotFoundError, KeyError, TypeError or ValueError, naming the key and what would do.
    """
    late = [word for word in args.opts if word.startswith("--")]
    if late:
        raise ValueError(f"{late[0]} must stand before the pairs KEY VALUE")
    if args.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    import_extensions(args.imports)
    merge_cfg_from_file(args.cfg, node)
    merge_cfg_from_list(args.opts, node)
    freeze(node)


def run_tool(main: Callable[[], None]) -> None:
    """Run the ``main`` of a tool; what its user did wrong ends it with one line and status 2.

    That is a ValueError, KeyError, TypeError, FloatingPointError, ImportError or OSError which Pet
    itself raised, any path that is missing, forbidden, or in the way, a full disk, too little
    memory, and a reader of the output that went away. Every other error is a bug and keeps its
    traceback, and with PET_TRACEBACK=1 in the environment all do. Ctrl-C gives one line too, and
    the status that a shell shows as 130. Of the processes of a launcher, one prints the line.
    """
    _print_any_name()
    with raising_interrupts():
        try:
            main()
            _flush_output()
        except KeyboardInterrupt as error:
            if not _wants_traceback():
                _tell_interrupted(str(error) or "interrupted")
            raise  # Python ends by SIGINT then, so that a shell ends its script or loop, too
        except Exception as error:
            line = None if _wants_traceback() else _line_for(error)
            if line is None:
                raise
            _tell(f"error: {line}")
            raise SystemExit(2) from None


def _wants_traceback() -> bool:
    return os.environ.get("PET_TRACEBACK") == "1"


def _print_any_name() -> None:
    """Let a character that the terminal's encoding lacks be printed as its number."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _flush_output() -> None:
    """Write out what was printed; nothing is to be said where nobody reads any longer."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, so that Python does not fail on it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_interrupted(line: str) -> None:
    """Print ``line`` in the place of the traceback of a KeyboardInterrupt."""
    if speaks_for_all():
        _print_error(line)
    sys.excepthook = lambda *_: None


def _tell(line: str) -> None:
    """Print ``line``, and hand it to torchrun, whose summary stands below all else.

    Of several processes one prints it, and torchrun shows those of the others.
    """
    told = _tell_torchrun(line)
    if speaks_for_all() or not told:
        _print_error(line)


def _tell_torchrun(line: str) -> bool:
    """Write ``line`` where torchrun looks for the error of a process; return whether it does."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not path:
        return False
    # The form that torch.distributed.elastic.multiprocessing.errors.ErrorHandler writes.
    content = {"message": line, "extraInfo": {"py_callstack": line, "timestamp": int(time.time())}}
    try:
        Path(path).write_text(json.dumps({"message": content}), encoding="utf-8")
    except OSError:
        return False
    return True


def _print_error(line: str) -> None:
    with suppress(OSError):  # nobody reads that either
        print(line, file=sys.stderr, flush=True)


def _line_for(error: Exception) -> str | None:
    """Return what to tell the user of ``error``, or None where it is a bug."""
    text = _traceback_of(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"not enough memory: {_message(error, text) or 'no more to be had'}; {_LESS_MEMORY}"
    if not isinstance(error, _USERS_ERRORS):
        return None
    if isinstance(error, OSError) and _last_code(text).startswith(_PRINTING):
        _drop_output()
        return f"the output cannot be written, so the tool stopped: {error}"
    return _message(error, text) if _is_users(error, text) else None


def _traceback_of(error: Exception) -> str:
    """Return the traceback as printed where ``error`` first arose, be it in another process."""
    if isinstance(error.__cause__, ChildError):
        return str(error.__cause__)
    return "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=False))


def _is_users(error: Exception, text: str) -> bool:
    """Whether Pet raised ``error`` on purpose, or a file is not to be had."""
    if isinstance(error, _FILE_ERRORS) or getattr(error, "errno", None) in DISK_ERRORS:
        return True
    frames = _FRAME.findall(text)
    if not frames:
        return False
    file, code = frames[-1]
    return Path(file).is_relative_to(_PACKAGE) and code.startswith("raise ")


def _last_code(text: str) -> str:
    """Return the line of code in which the error of a traceback arose."""
    frames = _FRAME.findall(text)
    return frames[-1][1] if frames else ""


def _message(error: Exception, text: str) -> str:
    """Return the message of ``error``, freed of the traceback that a loader's worker adds."""
    if "Original Traceback" not in str(error):
        return str(error)
    tail = text[list(_FRAME.finditer(text))[-1].end() :]
    lines = [line for line in tail.strip("\n").splitlines() if not line.startswith("    ")]
    return "\n".join(lines).partition(": ")[2]
