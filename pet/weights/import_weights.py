"""From a file of weights, whoever wrote it, to a state dict with Pet's keys."""

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

#: The layers that have an output for each class and the background.
_CLASSIFIERS = (
    "Fast_RCNN.predictor.cls_score.bias",
    "Cascade_RCNN.stages.0.predictor.cls_score.bias",
)


@dataclass(frozen=True)
class ImportedWeights:
    """Weights by Pet's keys, and what became of the keys of their file."""

    source: str  # the file
    format: str  # name of the importer that knew it
    family: str  # who publishes such files
    state: Mapping[str, Tensor]
    used: int  # keys of the file that went into the state
    not_needed: tuple[str, ...]  # keys of the file that Pet does not read
    no_place: tuple[str, ...]  # keys of the file that Pet has no place for
    expects: Mapping[str, Any]  # config key -> the value that the weights need
    class_names: tuple[str, ...]  # without the background; () where they are not known
    # Whether the file itself names them; COCO's are taken for those of a published detector that
    # has as many.
    names_classes: bool = False
    keypoints: KeypointLayout | None = None  # None where there are none, or they are not known


def import_weights(path: str | Path, family: str = "") -> ImportedWeights:
    """Read the file at ``path`` and give its weights Pet's names.

    ``family`` says who published it ("torchvision", "detectron2", ...); left out, the keys tell.
    What wrappers put into the keys (``module.``, ``_orig_mod.``, ``model.``) is taken out. Raises
    FileNotFoundError, and ValueError where the file is unreadable, unknown, of another family, or
    of shapes that cannot be meant.
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
    """Return the number of classes, with the background, that a detector's ``state`` is for.

    By Pet's keys; None where it is no detector's, or one without classes. ``background_output`` as
    ``RETINANET.BACKGROUND_OUTPUT``: it cannot be seen in a RetinaNet's weights. Raises ValueError
    where they are for no anchor.
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
    """Return the number of points that a ``state`` by Pet's keys predicts; None for no branch."""
    bias = state.get("Keypoint_RCNN.predictor.deconv.bias")
    return None if bias is None else len(bias)


def _coco_keypoints(
    state: Mapping[str, Tensor], expects: Mapping[str, Any]
) -> KeypointLayout | None:
    """Return the points of COCO's people where a published detector predicts as many."""
    return COCO_PERSON if expects and count_keypoints(state) == len(COCO_PERSON) else None


def _recognise(
    file: WeightFile, bare: Mapping[str, Tensor], path: str | Path, family: str
) -> tuple[Importer, Mapping[str, Tensor]]:
    """Return who knows the weights of ``file``, and these; ``bare`` is without wrappers."""
    if file.is_pet and family in ("", "pet"):
        # A model of the user's own may have such names itself.
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
    """Return the names of COCO's classes where a published detector predicts as many."""
    num_classes = count_classes(state, bool(expects.get("RETINANET.BACKGROUND_OUTPUT")))
    if num_classes == 2 and _coco_keypoints(state, expects) is not None:
        return ("person",)
    if num_classes is None or "MODEL.CLASS_LABELS" not in expects:
        return ()
    contiguous = expects["MODEL.CLASS_LABELS"] == "contiguous"
    names = CONTIGUOUS if contiguous else BY_CATEGORY_ID
    return names if num_classes == len(names) + 1 else ()
