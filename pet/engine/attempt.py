"""Work that may fail in some of the processes, and does not stop the others."""

import logging
from collections.abc import Callable
from contextlib import nullcontext

import torch

from pet.engine.interrupt import Interrupt
from pet.launch.command_line import line_for
from pet.utils import comm

_logger = logging.getLogger(__name__)

#: The trouble of a process in which Ctrl-C was pressed.
INTERRUPTED = "Ctrl-C was pressed"


def attempt(
    work: Callable[[], None], interrupt: Interrupt | None, device: torch.device
) -> list[str]:
    """Do ``work``; return what went wrong in each process, "" for nothing, the same in all.

    No process waits for one whose work failed. Ctrl-C ends the work if ``interrupt`` handles it; if
    it is pressed twice, KeyboardInterrupt is raised. ``device`` is that of the processes'
    communication. The work must not wait for other processes.
    """
    trouble = ""
    try:
        with interrupt.raising() if interrupt else nullcontext():
            work()
    except KeyboardInterrupt:
        if interrupt is None or interrupt.came_twice:
            raise
        trouble = INTERRUPTED
    except Exception as error:
        trouble = line_for(error) or f"{type(error).__name__}: {error}"
        if line_for(error) is None:
            _logger.exception("an error that is none of the user's, in a scoring")
    if trouble and device.type == "cuda":
        torch.cuda.empty_cache()  # training needs the memory
    return comm.gather_texts(trouble, device)
