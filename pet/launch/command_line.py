"""Arguments, config merging and error reporting that all tools share."""

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
from pet.utils.sigint import is_reporting_rank, raising_interrupts

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
# One frame of a printed traceback: file and line of code.
_FRAME = re.compile(r'^ +File "(.+)", line \d+, in .+\n +(.+)$', re.MULTILINE)


class ToolParser(argparse.ArgumentParser):
    """A parser that expands ``~`` in options, and explains a config key written as an option.

    A shell expands ``~/x``, but not ``--out=~/x``.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; exit with an error for ``--SOME.KEY`` and ``~unknown_user``."""
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


def add_cfg_arguments(parser: argparse.ArgumentParser, weights_key: str = "") -> None:
    """Add ``--cfg``, short names of keys, ``--import`` and ``KEY VALUE ...``; call this last.

    ``--weights`` stands for ``weights_key``; "" does not add it.
    """
    parser.add_argument("--cfg", required=True, metavar="FILE", help="YAML file under cfgs/")
    _add_short_name(parser, "--data-path", "DATA", "FOLDER")
    if weights_key:
        _add_short_name(parser, "--weights", weights_key, "FILE")
    parser.add_argument(
        "--num-classes",
        dest="shorts",
        action="extend",
        default=[],
        type=_classes_pair,
        metavar="K",
        help="short for MODEL.NUM_CLASSES K+1: classes without the background",
    )
    # Old launchers pass the local rank in one of these spellings; new ones set LOCAL_RANK.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    add_import_argument(parser)
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config keys to change, last on the command line: SOLVER.BASE_LR 0.01, or "
        "SOLVER.BASE_LR=0.01, ...",
    )


def _add_short_name(parser: argparse.ArgumentParser, option: str, key: str, kind: str) -> None:
    """Add ``option``, whose value is set for ``key``."""
    parser.add_argument(
        option,
        dest="shorts",
        action="extend",
        default=[],
        type=lambda text: [key, text],
        metavar=kind,
        help=f"short for {key} {kind}",
    )


def _classes_pair(text: str) -> list[str]:
    """Return the pair KEY VALUE for a number of classes without the background."""
    return ["MODEL.NUM_CLASSES", str(positive_int(text) + 1)]


def add_import_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--import``; the parsed ``imports`` are for ``import_extensions``."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file, or module, of yours that registers parts; may be given several times",
    )


def positive_int(text: str) -> int:
    """Parse a whole number >= 1; an argparse type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a whole number from 1 on, not {text!r}")
    return int(text)


def load_cfg(args: argparse.Namespace, node: CfgNode = cfg) -> None:
    """Merge the arguments of ``add_cfg_arguments`` into ``node``, then check and freeze it.

    A local rank on the command line sets ``LOCAL_RANK`` if that is not set. Raises
    FileNotFoundError, KeyError, TypeError or ValueError that name the key and the remedy.
    """
    late = [word for word in args.opts if word.startswith("--")]
    if late:
        raise ValueError(f"{late[0]} must stand before the pairs KEY VALUE")
    if args.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    import_extensions(args.imports)
    merge_cfg_from_file(args.cfg, node)
    merge_cfg_from_list([*args.shorts, *args.opts], node)
    freeze(node)


def run_tool(main: Callable[[], None]) -> None:
    """Run the ``main`` of a tool; an error of its user exits with one line and status 2.

    Errors of the user are a ValueError, KeyError, TypeError, FloatingPointError, ImportError or
    OSError that Pet raised, a path that is missing, forbidden or of the wrong kind, a full disk,
    too little memory, and a closed output pipe. All other errors are bugs and print a traceback;
    with PET_TRACEBACK=1 in the environment all errors do. Ctrl-C prints one line, too, and the
    shell sees status 130. Of the processes of a launcher, one prints the line.
    """
    _print_any_name()
    with raising_interrupts():
        try:
            main()
            _flush_output()
        except KeyboardInterrupt as error:
            if not _wants_traceback():
                _tell_interrupted(str(error) or "interrupted")
            raise  # Python then dies of SIGINT, so that a shell also stops its script or loop
        except Exception as error:
            line = None if _wants_traceback() else line_for(error)
            if line is None:
                raise
            _tell(f"error: {line}")
            raise SystemExit(2) from None


def _wants_traceback() -> bool:
    return os.environ.get("PET_TRACEBACK") == "1"


def _print_any_name() -> None:
    """Make stdout print escapes for characters that its encoding does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _flush_output() -> None:
    """Flush stdout; a closed pipe is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()


def _drop_output() -> None:
    """Redirect stdout to the null device, so that Python's flush at exit does not fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_interrupted(line: str) -> None:
    """Print ``line`` instead of the traceback of a KeyboardInterrupt."""
    if is_reporting_rank():
        _print_error(line)
    sys.excepthook = lambda *_: None


def _tell(line: str) -> None:
    """Print ``line``, and pass it to torchrun for the summary at its end.

    Under torchrun only rank 0 prints; torchrun shows the lines of the others.
    """
    told = _tell_torchrun(line)
    if is_reporting_rank() or not told:
        _print_error(line)


def _tell_torchrun(line: str) -> bool:
    """Write ``line`` into the error file of torchrun; return False if there is none."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not path:
        return False
    # The format of torch.distributed.elastic.multiprocessing.errors.ErrorHandler.
    content = {"message": line, "extraInfo": {"py_callstack": line, "timestamp": int(time.time())}}
    try:
        Path(path).write_text(json.dumps({"message": content}), encoding="utf-8")
    except OSError:
        return False
    return True


def _print_error(line: str) -> None:
    with suppress(OSError):  # stderr is closed, too
        print(line, file=sys.stderr, flush=True)


def line_for(error: Exception) -> str | None:
    """Return the line that tells the user about ``error``, or None if it is a bug."""
    text = _traceback_of(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"not enough memory: {_message(error, text) or 'none is left'}; {_LESS_MEMORY}"
    if not isinstance(error, _USERS_ERRORS):
        return None
    if isinstance(error, OSError) and _last_code(text).startswith(_PRINTING):
        _drop_output()
        return f"the output cannot be written, so the tool stopped: {error}"
    return _message(error, text) if _is_users(error, text) else None


def _traceback_of(error: Exception) -> str:
    """Return the traceback of ``error``, from the child process if it was raised there."""
    if isinstance(error.__cause__, ChildError):
        return str(error.__cause__)
    return "".join(traceback.format_exception(type(error), error, error.__traceback__, chain=False))


def _is_users(error: Exception, text: str) -> bool:
    """Whether Pet raised ``error`` deliberately, or a file cannot be used."""
    if isinstance(error, _FILE_ERRORS) or getattr(error, "errno", None) in DISK_ERRORS:
        return True
    frames = _FRAME.findall(text)
    if not frames:
        return False
    file, code = frames[-1]
    return Path(file).is_relative_to(_PACKAGE) and code.startswith("raise ")


def _last_code(text: str) -> str:
    """Return the line of code that raised the error of the traceback ``text``."""
    frames = _FRAME.findall(text)
    return frames[-1][1] if frames else ""


def _message(error: Exception, text: str) -> str:
    """Return the message of ``error``, without the traceback that a loader's worker adds."""
    if "Original Traceback" not in str(error):
        return str(error)
    tail = text[list(_FRAME.finditer(text))[-1].end() :]
    lines = [line for line in tail.strip("\n").splitlines() if not line.startswith("    ")]
    return "\n".join(lines).partition(": ")[2]
