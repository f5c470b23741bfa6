"""Tools as processes of their own, and Ctrl-C for them."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.source_code import ROOT

TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
#: What Python gives where a process has died of SIGINT; a shell shows it as 130.
DIED_OF_INTERRUPT = -signal.SIGINT
_SECONDS = 240  # none takes that long; one that hangs fails its test


def start(
    tool: str, folder: Path, *words: object, launcher: Sequence[str] = (), path: str = ""
) -> subprocess.Popen:
    """Start ``tools/{tool}`` in ``folder``, as the first process of a group.

    ``path`` is a folder of modules that go before all others.
    """
    paths = filter(None, (path, str(ROOT), os.environ.get("PYTHONPATH")))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    env.pop("PET_TRACEBACK", None)
    return subprocess.Popen(
        [sys.executable, *launcher, str(ROOT / "tools" / tool), *map(str, words)],
        cwd=folder,
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Wait for ``process``, and all that share its output; return its status, output and errors."""
    try:
        out, err = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, out, err


def run(
    tool: str, folder: Path, *words: object, launcher: Sequence[str] = (), path: str = ""
) -> tuple[int, str, str]:
    """Run ``tools/{tool}`` in ``folder``; return its status, what it printed, and its errors."""
    return finish(start(tool, folder, *words, launcher=launcher, path=path))


def press(process: subprocess.Popen) -> None:
    """Do what Ctrl-C in a terminal does: tell the process and all that it has started."""
    os.killpg(process.pid, signal.SIGINT)
