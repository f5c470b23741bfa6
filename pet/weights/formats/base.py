"""Helpers for the importers of foreign formats."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

#: The last part of a key: the parameters and buffers of a layer.
_PARAMETERS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
#: Names of a ResNet's layers in torchvision, which Pet uses after the prefix "Conv_Body.".
TRUNK_LAYER = r"(?:conv1|bn1|layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01]))"
#: A key of such a ResNet, including the classifier, which may have several layers.
RESNET_KEY = re.compile(rf"{TRUNK_LAYER}\.\w+|fc\..+")
#: The weight of a norm in a trunk, in Pet's keys; res5 may be a head.
_TRUNK_NORM = re.compile(
    r"((?:Conv_Body|Fast_RCNN\.head\.layer4)\.(?:.*\.)?(?:bn\d|downsample\.1))\.weight"
)

#: Patterns of foreign keys of models that Pet does not have, and the name of such a model.
_NOT_MODELLED = (
    (r"^head\.|top_block|extra_blocks", "a one-stage detector other than RetinaNet"),
    (r"sem_seg_head", "a branch of semantic segmentation"),
)

#: Pattern of a foreign layer name, and Pet's name, with the pattern's groups as \1, \2, ...
Rule = tuple[str, str]


@dataclass(frozen=True)
class Converted:
    """A converted state dict, and the keys of the file that are not in it."""

    state: dict[str, Tensor]  # with Pet's keys
    not_needed: tuple[str, ...] = ()  # known keys of the file that Pet does not read
    no_place: tuple[str, ...] = ()  # keys of the file that Pet has no place for
    expects: Mapping[str, Any] = field(default_factory=dict)  # config key -> required value


class Importer(Protocol):
    """Recognises one format by the keys of its state dict, and renames them to Pet's."""

    #: The name of the format in messages.
    name: str
    #: The publisher: a choice of ``--from`` in tools/convert_weights.py, or "pet".
    family: str

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has this format."""

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` with Pet's keys; raises ValueError for an impossible shape."""


def rename(
    state: Mapping[str, Tensor],
    pet_key: Callable[[str], str | None],
    not_needed: str = r"(?!)",
) -> Converted:
    """Rename every key of ``state`` by ``pet_key``, which returns None for a key without a place.

    Keys that match the pattern ``not_needed`` are dropped. Raises ValueError if two keys get the
    same name.
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
    """Return a function that renames a key by the first rule whose pattern matches its layer."""

    def pet_key(key: str) -> str | None:
        layer, _, parameter = key.rpartition(".")
        for pattern, template in rules if parameter in _PARAMETERS else ():
            if match := re.fullmatch(pattern, layer):
                return f"{match.expand(template)}.{parameter}"
        return None

    return pet_key


def with_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add mean 0 and variance 1 to norms of the trunk that have only weight and bias.

    Detectron folds the statistics into weight and bias.
    """
    filled = dict(state)
    for key, value in state.items():
        norm = _TRUNK_NORM.fullmatch(key)
        if norm:
            filled.setdefault(f"{norm[1]}.running_mean", torch.zeros_like(value))
            filled.setdefault(f"{norm[1]}.running_var", torch.ones_like(value))
    return filled


def describe_no_place(keys: Sequence[str], count: int | None = None) -> str:
    """Return a message with the first ``count`` of ``keys`` (None: all) and their likely model."""
    models = [name for pattern, name in _NOT_MODELLED if any(re.search(pattern, k) for k in keys)]
    more = f" and {len(keys) - count} more" if count and len(keys) > count else ""
    hint = f" (this looks like {' and '.join(models)}, which Pet does not have)" if models else ""
    return f"{len(keys)} keys have no place in Pet{hint}: {', '.join(keys[:count])}{more}"
