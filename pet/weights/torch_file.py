"""Writing torch files, and reading them without executing code from them."""

import pickle
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from pet.utils.files import atomic_path
from pet.weights.file_kind import read_head

#: torch's list of allowed classes is shared by all threads, so one file is read at a time.
_READ_LOCK = threading.Lock()


class _Namespace:
    """The stand-in for ``argparse.Namespace``, in which training scripts store their options.

    It discards its content.
    """

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Ignore ``state``."""


def write_torch_file(content: Any, path: str | Path) -> None:
    """Write ``content``, tensors and plain types, to ``path``, atomically.

    Raises OSError with the path if writing fails.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # After a failed write torch raises RuntimeError: "unexpected pos ...".
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_torch_file(path: str | Path) -> Any:
    """Return the content of the torch file ``path``, on the CPU: tensors and plain types only.

    An ``argparse.Namespace`` becomes an empty object. Raises FileNotFoundError, and ValueError if
    the file is no torch file, is truncated, or refers to other Python objects. No code of the file
    is run.
    """
    path = Path(path)
    head = read_head(path)
    allowed = safe_globals([(_Namespace, "argparse.Namespace")])
    try:
        with _READ_LOCK, allowed, warnings.catch_warnings():
            # torch warns about plain pickles; the error below is clearer.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, error, is_pickle=head[:1] == b"\x80") from None
    except Exception as error:
        # A damaged file may raise any exception: from the archive, the pickle or a tensor.
        raise _unreadable(path, error) from None


def _refused(path: Path, error: pickle.UnpicklingError, is_pickle: bool) -> ValueError:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
    if wanted is None and not is_pickle:
        return _unreadable(path, error)
    what = f"it asks for {wanted.group(1)}" if wanted else "it is a plain pickle"
    return ValueError(
        f"{path} is refused, and nothing of it was run: {what}, and opening that could run any "
        "program; only tensors, numbers and texts in lists and dicts are read, as "
        "torch.save(model.state_dict(), path) writes them. If you trust whoever wrote it, save the "
        "weights alone, where it was written: content = torch.load(path, weights_only=False); "
        'torch.save(content["model"], "weights.pth"), or content["state_dict"] of a file of '
        "Lightning"
    )


def _unreadable(path: Path, error: Exception) -> ValueError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "nsupported" in line), lines[0] if lines else "")
    return ValueError(
        f"{path} ({path.stat().st_size} bytes) is no readable torch file: it is cut off, damaged, "
        f"or of another kind ({type(error).__name__}: {reason.split('. ')[0]})"
    )
