"""What wrappers put into the keys of a state dict, and the keys without it."""

import re
from collections.abc import Mapping

from torch import Tensor

#: In front of every key: DataParallel and its distributed form; a LightningModule's ``model``.
_IN_FRONT = ("module.", "model.")
#: Names that only torch's wrappers have, of compiled, sharded and checkpointed modules. A part of a
#: model may be wrapped as well as the whole.
_ANYWHERE = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
#: What torch's AveragedModel counts, beside the model that it wraps.
_COUNTER = "n_averaged"


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with the keys that the model has by itself, however often it was wrapped.

    What a wrapper puts in front is taken off where all keys have it. The counter of an averaged
    model is left out. Raises ValueError where two keys become one.
    """
    others = [key for key in state if key != _COUNTER]
    if _all_begin(others, "module."):
        state = {key: state[key] for key in others}
    keys = [_ANYWHERE.sub("", key) for key in state]
    while prefix := next((p for p in _IN_FRONT if _all_begin(keys, p)), ""):
        keys = [key.removeprefix(prefix) for key in keys]
    bare: dict[str, Tensor] = {}
    source_of: dict[str, str] = {}
    for key, (source, value) in zip(keys, state.items(), strict=True):
        if key in bare:
            raise ValueError(f"{source_of[key]} and {source} both mean {key}; one of them must go")
        bare[key], source_of[key] = value, source
    return bare


def _all_begin(keys: list[str], prefix: str) -> bool:
    return bool(keys) and all(key.startswith(prefix) and key != prefix for key in keys)
