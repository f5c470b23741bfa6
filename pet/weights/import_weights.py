"""Reading a weight file of any known format as a state dict with Pet's keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pet.structures import KeypointLayout
from pet.structures.keypoint_layout import COCO_PERSON
from pet.weights.coco_classes import BY_CATEGORY_ID, CONTIGUOUS
from pet.weights.config_requirements import concerning
from pet.weights.formats import Importer, find_importer, known_formats
from pet.weights.formats.pet import PetImporter, has_trunk
from pet.weights.weight_file import WeightFile, read_weight_file
from pet.weights.wrapped_models import without_wrappers

#: Layers with one output for each class and the background.
_CLASSIFIERS = (
    "Fast_RCNN.predictor.cls_score.bias",
    "Cascade_RCNN.stages.0.predictor.cls_score.bias",
)


@dataclass(frozen=True)
class ImportedWeights:
    """Weights with Pet's keys, and the keys of their file that were not used."""

    source: str  # the file
    format: str  # name of the importer that recognised it
    family: str  # publisher of such files
    state: Mapping[str, Tensor]
    used: int  # keys of the file that went into the state
    not_needed: tuple[str, ...]  # keys of the file that Pet does not read
    no_place: tuple[str, ...]  # keys of the file that Pet has no place for
    expects: Mapping[str, Any]  # config key -> the value that the weights need
    class_names: tuple[str, ...]  # without the background; () if unknown
    # Whether class_names come from the file; otherwise they are assumed to be COCO's if a published
    # detector has as many classes.
    names_classes: bool = False
    keypoints: KeypointLayout | None = None  # None if there are none, or they are unknown


def import_weights(path: str | Path, family: str = "") -> ImportedWeights:
    """Read the weight file at ``path`` and rename its keys to Pet's.

    ``family`` is the publisher ("torchvision", "detectron2", ...); by default it is detected from
    the keys. Prefixes of wrappers (``module.``, ``_orig_mod.``, ``model.``) are removed. Raises
    FileNotFoundError, and ValueError if the file is unreadable, unknown, of another family, or has
    impossible shapes.
    """
    file = read_weight_file(path)
    try:
        bare = without_wrappers(file.state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    importer, state = _recognise(file, bare, path, family)
    try:
        converted = importer.convert(state)
        expects = concerning({**converted.expects, **file.expects}, converted.state)
        class_names = file.class_names or _coco_names(converted.state, expects)
    except ValueError as error:
        raise ValueError(f"{path} ({importer.name}): {error}") from None
    return ImportedWeights(
        source=str(path),
        format=importer.name,
        family=importer.family,
        state=converted.state,
        used=len(state) - len(converted.not_needed) - len(converted.no_place),
        not_needed=(*converted.not_needed, *file.no_tensors),
        no_place=converted.no_place,
        expects=expects,
        class_names=class_names,
        names_classes=bool(file.class_names),
        keypoints=file.keypoints or _coco_keypoints(converted.state, expects),
    )


def count_classes(state: Mapping[str, Tensor], background_output: bool = False) -> int | None:
    """Return the number of classes, with the background, of a detector's ``state`` (Pet's keys).

    None for weights that are not a detector's, or of a detector without classes.
    ``background_output`` is ``RETINANET.BACKGROUND_OUTPUT``, which the weights of a RetinaNet do
    not show. Raises ValueError if a RetinaNet has fewer than four box outputs.
    """
    for classifier in _CLASSIFIERS:
        if classifier in state:
            return len(state[classifier])
    head = "RetinaNet.head"
    classes, boxes = (state.get(f"{head}.{layer}.bias") for layer in ("cls_logits", "bbox_pred"))
    if classes is None or boxes is None:
        return None
    if len(boxes) < 4:
        raise ValueError(f"{head}.bbox_pred.bias has {len(boxes)} outputs, and an anchor needs 4")
    outputs = len(classes) // (len(boxes) // 4)  # of each anchor, which has 4 for its box
    return outputs if background_output else outputs + 1


def count_keypoints(state: Mapping[str, Tensor]) -> int | None:
    """Return the number of keypoints that ``state`` (Pet's keys) predicts, or None."""
    bias = state.get("Keypoint_RCNN.predictor.deconv.bias")
    return None if bias is None else len(bias)


def _coco_keypoints(
    state: Mapping[str, Tensor], expects: Mapping[str, Any]
) -> KeypointLayout | None:
    """Return COCO's keypoints of people if a published detector predicts as many, else None."""
    return COCO_PERSON if expects and count_keypoints(state) == len(COCO_PERSON) else None


def _recognise(
    file: WeightFile, bare: Mapping[str, Tensor], path: str | Path, family: str
) -> tuple[Importer, Mapping[str, Tensor]]:
    """Return the importer for ``file``, and the state dict; ``bare`` has no wrapper prefixes."""
    if file.is_pet and family in ("", "pet"):
        # A user's model may itself have submodules with the names of wrappers.
        return PetImporter(), bare if has_trunk(bare) else file.state
    importer = find_importer(bare, family)
    if importer is not None:
        return importer, bare
    other = PetImporter() if file.is_pet else find_importer(bare)
    if other is None:
        keys = list(file.state)
        more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
        raise ValueError(
            f"{path} is of a kind that Pet does not know, with keys {', '.join(keys[:5])}{more}; "
            f"{known_formats()}"
        )
    advice = "Pet reads it as it is" if other.family == "pet" else f"give --from {other.family}"
    raise ValueError(f"{path} is no file of {family}, it looks like {other.name}; {advice}")


def _coco_names(state: Mapping[str, Tensor], expects: Mapping[str, Any]) -> tuple[str, ...]:
    """Return COCO's class names if a published detector predicts as many, else ()."""
    num_classes = count_classes(state, bool(expects.get("RETINANET.BACKGROUND_OUTPUT")))
    if num_classes == 2 and _coco_keypoints(state, expects) is not None:
        return ("person",)
    if num_classes is None or "MODEL.CLASS_LABELS" not in expects:
        return ()
    contiguous = expects["MODEL.CLASS_LABELS"] == "contiguous"
    names = CONTIGUOUS if contiguous else BY_CATEGORY_ID
    return names if num_classes == len(names) + 1 else ()
