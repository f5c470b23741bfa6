"""Further parts of a checkpoint besides model, optimizer and scheduler."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

_logger = logging.getLogger(__name__)

# Types that can be loaded with ``weights_only=True``. Subclasses cannot, such as numpy.float64 (of
# float) and named tuples.
_MAPPINGS, _SEQUENCES = (dict, OrderedDict), (list, tuple, torch.Size)
_PLAIN = (str, bytes, bool, int, float, complex, torch.dtype, type(None))


@runtime_checkable
class Stateful(Protocol):
    """An object with a state dict that a checkpoint can contain, such as an ``nn.Module``."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state: tensors, numbers and texts, in dicts, lists and tuples."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Load ``state``, whose tensors are on the CPU."""
        ...


class CheckpointParts:
    """Named parts; each is an entry of the checkpoint."""

    def __init__(self, reserved: frozenset[str]) -> None:
        """``reserved``: names that no part may have."""
        self._reserved = reserved
        self._parts: dict[str, Stateful] = {}

    def add(self, name: str, part: Stateful) -> None:
        """Add ``part``.

        Raises ValueError if ``name`` is empty, reserved or taken, and TypeError if ``part`` has no
        state dict.
        """
        if not name or name in self._reserved or name in self._parts:
            taken = ", ".join(sorted(self._reserved | self._parts.keys()))
            raise ValueError(
                f"a checkpoint cannot hold a further part named {name!r}; give another name than "
                f"{taken}"
            )
        if not isinstance(part, Stateful):
            raise TypeError(
                f"the part {name!r} of checkpoints needs the methods state_dict() and "
                f"load_state_dict(state); {type(part).__name__} lacks them"
            )
        self._parts[name] = part

    def state(self) -> dict[str, Mapping[str, Any]]:
        """Return the state of each part by name.

        Raises TypeError, which names part and entry, for an object that ``weights_only=True`` does
        not load.
        """
        states = {name: part.state_dict() for name, part in self._parts.items()}
        for name, state in states.items():
            _check_plain(state, name)
        return states

    def load(self, content: Mapping[str, Any], path: Path) -> None:
        """Load the state of each part from the checkpoint ``content`` of the file ``path``.

        Warns of parts that are not in the file, which keep their state, and of parts of the file
        that this run does not have. Raises ValueError, which names file and part, if a part rejects
        its state.
        """
        for name, part in self._parts.items():
            if name not in content:
                _logger.warning("%s holds no part %r, which starts from the beginning", path, name)
                continue
            try:
                part.load_state_dict(content[name])
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise ValueError(
                    f"the part {name!r} of {path} does not fit this run: {error}; give the run a "
                    "CKPT of its own, or leave out the feature that the part belongs to"
                ) from error
        unused = sorted(content.keys() - self._reserved - self._parts.keys())
        if unused:
            _logger.warning(
                "%s also holds %s, which this run has no use for: its own checkpoints will be "
                "without",
                *(path, ", ".join(unused)),
            )


def _check_plain(value: Any, where: str) -> None:
    if type(value) in _MAPPINGS:
        for key, item in value.items():
            _check_plain(key, where)
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) in _SEQUENCES:
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif type(value) not in _PLAIN and not isinstance(value, Tensor):
        raise TypeError(
            f"the state {where} is a {type(value).__name__}, and a checkpoint holds tensors, "
            "numbers and texts alone, in dicts, lists and tuples"
        )
