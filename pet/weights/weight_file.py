"""Reading a weight file: a torch file or a pickle of arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pet.structures import KeypointLayout
from pet.weights.file_kind import read_head
from pet.weights.formats import known_formats
from pet.weights.pickle_file import read_pickle_file
from pet.weights.torch_file import read_torch_file

#: Keys under which a file may store its state dict; "blobs" is Detectron's.
_WRAPPERS = ("model", "state_dict", "model_state_dict", "blobs")
#: The first class name in lists of other libraries.
_BACKGROUND = "__background__"
#: The pickled magic number at the beginning of torch's files before its zip format.
_OLD_TORCH_FILE = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


@dataclass(frozen=True)
class WeightFile:
    """The content of a weight file."""

    state: dict[str, Tensor]
    no_tensors: tuple[str, ...] = ()  # keys of the state dict with numbers and texts
    is_pet: bool = False  # whether it is a checkpoint of Pet
    class_names: tuple[str, ...] = ()  # without the background; in checkpoints of Pet
    keypoints: KeypointLayout | None = None  # in checkpoints of Pet
    expects: dict[str, Any] = field(default_factory=dict)  # config key -> value; if converted


def read_weight_file(path: str | Path) -> WeightFile:
    """Return the weights in ``path``, a file of ``torch.save`` or a pickle of numpy arrays.

    The kind is detected from the content, not the name. The state dict is the content itself, or
    its entry "model", "state_dict", "model_state_dict" or "blobs". Raises FileNotFoundError, and
    ValueError if the file is unreadable, refers to other Python objects (no code of it is run) or
    has no weights.
    """
    path = Path(path)
    head = read_head(path)
    content = read_pickle_file(path) if _is_pickle(head) else read_torch_file(path)
    state: Any = content
    extra: Mapping[str, Any] = {}
    if isinstance(content, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is not None:
            state, extra = content[wrapper], content
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} holds a {type(state).__name__}; {known_formats()}")
    weights = {str(key): _tensor(value) for key, value in state.items()}
    tensors = {key: value for key, value in weights.items() if value is not None}
    if not tensors:
        names = ", ".join(list(weights)[:5]) or "no keys"
        raise ValueError(f"{path} holds no tensors under {names}; {known_formats()}")
    expects = extra.get("expects")
    return WeightFile(
        tensors,
        tuple(key for key, value in weights.items() if value is None),
        "pet_version" in extra,
        _class_names(extra.get("class_names")),
        _keypoint_layout(extra.get("keypoints"), path),
        dict(expects) if isinstance(expects, Mapping) else {},
    )


def _class_names(content: Any) -> tuple[str, ...]:
    """Return the names of labels 1, 2, ... in a file, or () if it has none."""
    names = tuple(content) if _is_list_of(content, str) else ()
    return names[1:] if names[:1] == (_BACKGROUND,) else names


def _keypoint_layout(content: Any, path: Path) -> KeypointLayout | None:
    """Return the keypoints of a checkpoint of Pet, or None.

    Raises ValueError, which names the file ``path``, if the entry is malformed.
    """
    if not isinstance(content, Mapping):
        return None
    names: Any = content.get("names")
    skeleton: Any = content.get("skeleton")
    if not _is_list_of(names, str) or not _is_list_of(skeleton, list | tuple):
        raise ValueError(
            f'{path}: "keypoints" must hold "names" and "skeleton", lists of texts and of pairs; '
            f"it holds {content!r}"
        )
    for limb in skeleton:
        if len(limb) != 2 or any(point not in range(len(names)) for point in limb):
            raise ValueError(
                f'{path}: a limb of "skeleton" in "keypoints" must be two of the points 0 to '
                f"{len(names) - 1}; got {limb!r}"
            )
    return KeypointLayout(tuple(names), tuple((int(a), int(b)) for a, b in skeleton))


def _is_list_of(values: Any, kind: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values)


def _is_pickle(head: bytes) -> bool:
    """Whether a file is a plain pickle, not a torch file that begins with a pickle."""
    if head[:1] == b"\x80":
        return _OLD_TORCH_FILE not in head[:32]
    # Protocols 0 and 1 have no header: they begin with a dict, list, mark or name.
    return head[:1] in (b"(", b"}", b"]", b"c")


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value if isinstance(value, Tensor) else None
