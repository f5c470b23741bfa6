"""Layers with an output per class or keypoint, compared by the names that they were trained for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pet.structures.class_names import UNUSED_CLASS

#: The last layers of the heads; the boxes of RPN and RetinaNet do not depend on the class.
_OF_CLASSES = re.compile(
    r"(?!RPN\.|Conv_Body|RetinaNet\.head\.bbox_pred\.)(?:.+\.)?"
    r"(cls_score|bbox_pred|mask_logits|cls_logits)\.(?:weight|bias)"
)
_OF_KEYPOINTS = re.compile(r"Keypoint_RCNN\.predictor\.deconv\.(?:weight|bias)")
#: Number of outputs of a class-agnostic layer.
_AGNOSTIC = {"bbox_pred": 4, "mask_logits": 1}


@dataclass(frozen=True)
class OtherMeaning:
    """Layers that were trained for other classes or keypoints than those of the data."""

    what: str  # "classes" or "keypoints"
    trained: tuple[str, ...]  # the names at training, in order of the outputs
    present: tuple[str, ...]  # the names in the data, in the same order
    keys: tuple[str, ...]  # the weights of the layers

    def describe(self, source: str, kept: str) -> str:
        """Return a warning about the file ``source``; ``kept`` are the weights that were kept."""
        pairs = [f"{now!r} was {was!r}" for was, now in different(self.trained, self.present)]
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        same = set(self.trained) == set(self.present)
        return (
            f"the weights of {source} were trained for "
            f"{f'the same {self.what} in another order' if same else f'other {self.what}'}: "
            f"{', '.join(pairs[:3])}{more}; their layers were kept as they are ({kept}): "
            "TRAIN.REINIT_MISMATCHED True starts them at random"
        )


def is_of_classes(key: str) -> bool:
    """Whether ``key`` belongs to a layer that may have an output per class."""
    return _OF_CLASSES.fullmatch(key) is not None


def of_other_meaning(
    state: Mapping[str, Tensor],
    classes: tuple[Sequence[str], Sequence[str]],
    keypoints: tuple[Sequence[str], Sequence[str]],
) -> list[OtherMeaning]:
    """Return the layers in ``state`` (Pet's keys) for other ``classes`` or ``keypoints``.

    Each of these is a pair of names: those that the weights were trained for, and those of the
    data; () if unknown. Names are compared output by output.
    """
    found = []
    for what, (trained, present), keys in (
        ("classes", classes, _class_layers(state)),
        ("keypoints", keypoints, filter(_OF_KEYPOINTS.fullmatch, state)),
    ):
        layers = tuple(keys) if different(trained, present) else ()
        if layers:
            found.append(OtherMeaning(what, tuple(trained), tuple(present), layers))
    return found


def _class_layers(state: Mapping[str, Tensor]) -> Iterable[str]:
    for key, value in state.items():
        if (match := _OF_CLASSES.fullmatch(key)) and len(value) != _AGNOSTIC.get(match[1]):
            yield key


def different(trained: Sequence[str], present: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of names that differ; pairs with ``UNUSED_CLASS`` do not count."""
    return [
        (was, now)
        for was, now in zip(trained, present, strict=False)
        if was != now and UNUSED_CLASS not in (was, now)
    ]
