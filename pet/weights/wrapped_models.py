"""Removing the prefixes that model wrappers add to the keys of a state dict."""

import re
from collections.abc import Mapping

from torch import Tensor

#: Prefixes of every key: of DataParallel and DistributedDataParallel, and of a LightningModule.
_PREFIXES = ("module.", "model.")
#: Names that only torch's wrappers use, for compiled, sharded and checkpointed modules, which may
#: be parts of a model.
_ANYWHERE = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
#: The counter of torch's AveragedModel, a key next to the wrapped model.
_COUNTER = "n_averaged"


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with the keys of the bare model; nested wrappers are removed, too.

    A prefix is removed only if all keys have it. The counter of an averaged model is left out.
    Raises ValueError if two keys become equal.
    """
    others = [key for key in state if key != _COUNTER]
    if _all_begin(others, "module."):
        state = {key: state[key] for key in others}
    keys = [_ANYWHERE.sub("", key) for key in state]
    while prefix := next((p for p in _PREFIXES if _all_begin(keys, p)), ""):
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
