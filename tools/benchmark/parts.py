"""Parts of a long check, each in processes of its own and with a time limit of its own.

So that one that fails, or hangs, does not hide what the others find. Needs Python alone, as it also
has to say what is missing.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
LOG = "log.txt"

OK, FAILED, TIMEOUT, SKIPPED = "ok", "failed", "timeout", "skipped"

_LEAST = 5.0  # seconds without which a part is not begun
_SECONDS_TO_END = 3.0  # that a process has when it is told to
_LAST_LINES, _SHOWN = 20, 4  # of the log of a part that did not go well: kept, and printed


@dataclass(frozen=True)
class Reading:
    """What a part has found."""

    figures: Mapping[str, Any]
    summary: str = ""  # on one line
    problem: str = ""  # why it has not gone well, for all that its commands say


@dataclass(frozen=True)
class Part:
    """A part of a check."""

    name: str  # a word, that of its folder, too
    title: str
    limit: float  # seconds
    commands: tuple[tuple[str, ...], ...]  # one after the other, up to one that fails
    read: Callable[[Path], Reading]  # from its folder, which may lack anything
    needs: tuple[str, ...] = ()  # modules without which it is not begun
    env: Mapping[str, str] = field(default_factory=dict)
    discard: tuple[str, ...] = ()  # of its folder, what is removed once it has been read


@dataclass(frozen=True)
class Outcome:
    """How a part went."""

    name: str
    title: str
    status: str  # OK, FAILED, TIMEOUT or SKIPPED
    problem: str = ""  # why it is not OK
    summary: str = ""
    seconds: float = 0.0
    seconds_of_commands: Sequence[float] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    last_lines: Sequence[str] = ()  # of its log, where it is not OK


def run_parts(
    parts: Sequence[Part],
    out: Path,
    env: Mapping[str, str],
    limit: float,
    missing: Collection[str],
    save: Callable[[Sequence[Outcome]], None],
) -> list[Outcome]:
    """Run ``parts``, each in a folder of its name in ``out``, within ``limit`` seconds in all.

    ``env`` is the environment of their processes; a part that needs one of the ``missing`` modules
    is skipped, and so is one for which no time is left. All outcomes so far are given to ``save``
    after each part.
    """
    end = time.monotonic() + limit
    outcomes = [Outcome(part.name, part.title, SKIPPED, "not begun yet") for part in parts]
    for index, part in enumerate(parts):
        left = end - time.monotonic()
        lacking = [name for name in part.needs if name in missing]
        head = f"== {index + 1}/{len(parts)} {part.name}: {part.title}"
        if lacking:
            outcome = replace(outcomes[index], problem=f"it needs {', '.join(lacking)}")
        elif left < _LEAST:
            outcome = replace(outcomes[index], problem=f"no time was left of {limit:.0f} s")
        else:
            most = min(part.limit, left)
            print(f"{head}, at most {most:.0f} s", flush=True)
            outcome = run_part(part, out / part.name, env, most)
        if outcome.status == SKIPPED:
            print(head, flush=True)
        outcomes[index] = outcome
        save(outcomes)
        print("\n".join(f"   {line}" for line in describe(outcome)), flush=True)
    return outcomes


def describe(outcome: Outcome) -> list[str]:
    """Return status, seconds and findings of a part on a line, and then the end of its log."""
    taken = "" if outcome.status == SKIPPED else f" in {outcome.seconds:.1f} s"
    words = [f"{outcome.status}{taken}", outcome.problem, outcome.summary]
    return ["; ".join(filter(None, words)), *(f"| {line}" for line in outcome.last_lines[-_SHOWN:])]


def run_part(part: Part, folder: Path, env: Mapping[str, str], limit: float) -> Outcome:
    """Run a part within ``limit`` seconds; all that it prints goes into ``LOG`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    taken: list[float] = []
    status, problem = OK, ""
    with open(folder / LOG, "w", encoding="utf-8") as log:
        for command in part.commands:
            begin = time.monotonic()
            log.write(f"$ {shlex.join(command)}\n")
            log.flush()
            code = _run(command, log, {**env, **part.env}, start + limit - begin)
            taken.append(time.monotonic() - begin)
            if code is None:
                status, problem = TIMEOUT, f"stopped after {limit:.0f} s"
            elif code:
                status, problem = FAILED, _how(code)
            if status != OK:
                break
    reading = _read(part, folder)
    for path in (found for pattern in part.discard for found in folder.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if status == OK and reading.problem:
        status, problem = FAILED, reading.problem
    return Outcome(
        part.name,
        part.title,
        status,
        problem,
        reading.summary,
        time.monotonic() - start,
        taken,
        reading.figures,
        () if status == OK else _last_lines(folder / LOG),
    )


def _run(
    command: Sequence[str], log: IO[str], env: Mapping[str, str], seconds: float
) -> int | None:
    """Return the status of ``command``, or None where it did not end within ``seconds``."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env=dict(env),
        start_new_session=True,  # so that it ends with all processes that it has started
    )
    try:
        return process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _how(code: int) -> str:
    return f"ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _read(part: Part, folder: Path) -> Reading:
    try:
        return part.read(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return Reading({}, problem=f"no results to be read ({type(error).__name__}: {error})")


def _last_lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_LAST_LINES:]
