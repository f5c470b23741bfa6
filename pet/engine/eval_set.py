"""A data set to test on: its images, its ground truth, and the classes of a model in it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pet.annotations import Annotations
from pet.config import CfgNode
from pet.data.build import build_dataset, cache_folder
from pet.data.dataset import Dataset, ground_truth_of
from pet.engine.class_match import ClassMatch, match_classes
from pet.evaluation.coco import scored_classes
from pet.evaluation.lvis import warn_of_low_limit
from pet.modeling.abilities import detection_limit

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalSet:
    """A data set to test on, with the classes of a model matched to its own."""

    name: str
    data: Dataset
    match: ClassMatch
    by_name: bool  # whether classes were matched by name; if not, they are the data set's
    truth: Annotations  # the ground truth of the score


def read_eval_set(
    name: str, class_names: Sequence[str], cfg: CfgNode, names_classes: bool = True
) -> EvalSet:
    """Read and check data set ``name``, for a model of the classes ``class_names``.

    With ``names_classes`` False the names are guessed, and not used if none fits. Raises KeyError,
    FileNotFoundError or ValueError for files, pictures, annotations or classes that do not do.
    """
    data = build_dataset((name,), is_train=False, cfg=cfg)
    trained = () if cfg.MODEL.RPN_ONLY else tuple(class_names)
    if not names_classes and not set(trained) & set(data.class_names):
        trained = ()  # COCO's classes, guessed from their number, do not fit
    match = match_classes(trained, name, data.class_names, data.category_ids)
    if match.note:
        _logger.log(logging.WARNING if match.is_partial else logging.INFO, "%s", match.note)
    truth = ground_truth_of(data, cache_folder(cfg))
    places = truth.places(data.image_ids)
    lacking = [n for n, place in zip(data.image_ids, places, strict=True) if place < 0]
    if lacking:
        raise ValueError(
            f"{truth.file} lacks {len(lacking)} of the images of data set {name!r}, which it is to "
            f"score; the first ids are {lacking[:5]}"
        )
    if truth.has_annotations and not cfg.MODEL.RPN_ONLY:
        scored_classes(truth, data.class_names, data.category_ids)
    _warn_of_crowded_images(truth, data, cfg)
    return EvalSet(name, data, match, bool(trained), truth)


def own_scores(data: Dataset) -> tuple[str, ...]:
    """Return the scores that the format of a data set has besides, or in place of, COCO's."""
    return tuple(getattr(data, "scores", ()))


def _warn_of_crowded_images(truth: Annotations, data: Dataset, cfg: CfgNode) -> None:
    """Warn if a model may detect fewer objects in an image than there are, or than LVIS counts."""
    limit = detection_limit(cfg)
    if limit is not None and "lvis" in own_scores(data):
        warn_of_low_limit(data.name, limit.most, limit.key)
    counts = truth.objects_per_image()[truth.places(data.image_ids)]
    if limit is not None and counts.size and counts.max() > limit.most:
        _logger.warning(
            "%d of the images of %s have more than %d objects, the most image %d with %d, but %s "
            "lets at most %d be found in an image; raise it to find more",
            (counts > limit.most).sum(),
            data.name,
            limit.most,
            data.image_ids[counts.argmax()],
            counts.max(),
            limit.key,
            limit.most,
        )
