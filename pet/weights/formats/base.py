"""What the importers of foreign formats share."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

#: The last part of a key: the parameters and buffers of a layer.
_PARAMETERS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
#: The layers of a ResNet by torchvision's names, which are Pet's behind "Conv_Body.".
TRUNK_LAYER = r"(?:conv1|bn1|layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01]))"
#: A key of such a ResNet, its classifier, of one layer or several, among them.
RESNET_KEY = re.compile(rf"{TRUNK_LAYER}\.\w+|fc\..+")
#: The weight of a trunk's norm, by Pet's keys; res5 may be a head.
_TRUNK_NORM = re.compile(
    r"((?:Conv_Body|Fast_RCNN\.head\.layer4)\.(?:.*\.)?(?:bn\d|downsample\.1))\.weight"
)

#: Foreign keys of models that Pet does not have, and what such a model is called.
_NOT_MODELLED = (
    (r"^head\.|top_block|extra_blocks", "a one-stage detector other than RetinaNet"),
    (r"sem_seg_head", "a branch of semantic segmentation"),
)

#: The layers of a foreign key, as a pattern, and Pet's, with the pattern's groups as \1, \2, ...
Rule = tuple[str, str]


@dataclass(frozen=True)
class Converted:
    """What became of the keys of a file: each is used, not needed, or without a place."""

    state: dict[str, Tensor]  # by Pet's keys
    not_needed: tuple[str, ...] = ()  # keys of the file that are known, and not read by Pet
    no_place: tuple[str, ...] = ()  # keys of the file that Pet has no place for
    expects: Mapping[str, Any] = field(default_factory=dict)  # config key -> what the weights need


class Importer(Protocol):
    """Recognises one format by the keys of its state dict, and renames them to Pet's."""

    #: What the format is called in messages.
    name: str
    #: Who publishes it: a choice of ``--from`` in tools/convert_weights.py, or "pet" for our own.
    family: str

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` is of this format."""

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys; raises ValueError where a shape cannot be meant."""


def rename(
    state: Mapping[str, Tensor],
    pet_key: Callable[[str], str | None],
    not_needed: str = r"(?!)",
) -> Converted:
    """Give every key of ``state`` the name that ``pet_key`` returns; None means no place.

    Keys that fit the pattern ``not_needed`` as a whole are dropped. Raises ValueError where two
    keys get one name.
    """
    renamed: dict[str, Tensor] = {}
    source_of: dict[str, str] = {}
    dropped, no_place = [], []
    for key, value in state.items():
        if re.fullmatch(not_needed, key):
            dropped.append(key)
            continue
        new = pet_key(key)
        if new is None:
            no_place.append(key)
            continue
        if new in renamed:
            raise ValueError(f"{source_of[new]} and {key} both mean {new}; one of them must go")
        renamed[new], source_of[new] = value, key
    return Converted(renamed, tuple(dropped), tuple(no_place))


def by_rules(rules: Sequence[Rule]) -> Callable[[str], str | None]:
    """Return the function that names a key by the first rule whose pattern is its layer."""

    def pet_key(key: str) -> str | None:
        layer, _, parameter = key.rpartition(".")
        for pattern, template in rules if parameter in _PARAMETERS else ():
            if match := re.fullmatch(pattern, layer):
                return f"{match.expand(template)}.{parameter}"
        return None

    return pet_key


def with_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the trunk's norms mean 0 and variance 1 where ``state`` has weight and bias alone.

    Detectron folds the statistics into the two.
    """
    filled = dict(state)
    for key, value in state.items():
        norm = _TRUNK_NORM.fullmatch(key)
        if norm:
            filled.setdefault(f"{norm[1]}.running_mean", torch.zeros_like(value))
            filled.setdefault(f"{norm[1]}.running_var", torch.ones_like(value))
    return filled


def describe_no_place(keys: Sequence[str], count: int | None = None) -> str:
    """Name the first ``count`` of ``keys``, or all, and the models that they look like."""
    models = [name for pattern, name in _NOT_MODELLED if any(re.search(pattern, k) for k in keys)]
    more = f" and {len(keys) - count} more" if count and len(keys) > count else ""
    hint = f" (this looks like {' and '.join(models)}, which Pet does not have)" if models else ""
    return f"{len(keys)} keys have no place in Pet{hint}: {', '.join(keys[:count])}{more}"
