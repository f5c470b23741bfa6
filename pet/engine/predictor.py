"""A trained model as a function: from images to detections in their own pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from pet.config import CfgNode, cfg, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.data.build import build_image_reader, make_test_batch
from pet.engine.augmentation import with_augmentation
from pet.layers.fold import prepare_for_inference
from pet.modeling.abilities import check_abilities
from pet.modeling.build import build_model
from pet.structures import Detections
from pet.utils.autocast import autocast
from pet.utils.env import resolve_device
from pet.weights.import_weights import (
    ImportedWeights,
    count_classes,
    count_keypoints,
    import_weights,
)
from pet.weights.load import load_weights, require_weights

Picture = str | Path | np.ndarray  # a file, or (H, W, 3) uint8 BGR as OpenCV reads it
Pictures = list[str] | list[Path] | list[np.ndarray] | list[Picture] | tuple[Picture, ...]


class Predictor:
    """A trained model that takes image files or arrays and returns ``Detections``.

    It copies its config, so that one process can hold several predictors.

    Attributes: ``cfg``, that copy, frozen, with the ``MODEL.NUM_CLASSES`` and ``TEST.WEIGHTS`` in
    use; ``class_names``, from label 1 on; ``keypoint_layout``, the names and limbs of the
    keypoints, or None if there are none or they are unknown; ``model``, which is prepared for
    inference and cannot be trained, and ``device``.
    """

    def __init__(self, cfg: CfgNode = cfg, weights: str | Path | None = None) -> None:
        """Build the model that ``cfg`` describes and load ``weights`` into it.

        ``weights`` defaults to ``TEST.WEIGHTS`` or, if that is empty, the last checkpoint in
        ``CKPT``. A ``MODEL.NUM_CLASSES`` or ``KRCNN.NUM_KEYPOINTS`` of -1 is taken from them.
        Raises FileNotFoundError if there are none, and ValueError if they are unreadable or of
        another model.
        """
        self.cfg = cfg.clone()
        self.cfg.defrost()
        file = _find_weights(self.cfg, weights)
        self.cfg.TEST.WEIGHTS = str(file)
        require_weights(file, "TEST.WEIGHTS")
        check_abilities(self.cfg, "testing")
        imported = import_weights(file)
        if self.cfg.MODEL.RPN_ONLY:
            self.cfg.MODEL.NUM_CLASSES = 2  # the background and an object of any class
        elif self.cfg.MODEL.NUM_CLASSES == -1:
            self.cfg.MODEL.NUM_CLASSES = _num_classes(imported, self.cfg)
        if self.cfg.MODEL.KEYPOINT_ON and self.cfg.KRCNN.NUM_KEYPOINTS == -1:
            self.cfg.KRCNN.NUM_KEYPOINTS = _num_keypoints(imported)
        freeze(self.cfg)
        self.device = resolve_device(self.cfg.DEVICE)
        model = build_model(self.device, self.cfg)
        report = load_weights(model, imported, strict=True, cfg=self.cfg)
        prepare_for_inference(model.eval(), self.cfg.TEST.PRECISION)
        self.model = with_augmentation(model, self.cfg, report.keypoints).eval()
        self.keypoint_layout = report.keypoints
        labels = range(1, self.cfg.MODEL.NUM_CLASSES)
        self.class_names = ("object",) if self.cfg.MODEL.RPN_ONLY else report.class_names
        if len(self.class_names) != len(labels):
            self.class_names = tuple(f"class {label}" for label in labels)

    @classmethod
    def from_config(
        cls, path: str | Path, weights: str | Path | None = None, opts: Sequence[Any] = ()
    ) -> "Predictor":
        """Return the predictor of the YAML file at ``path``, changed by ``[KEY, value, ...]``.

        The global config is not used. Raises the errors of merging a config and of ``Predictor``.
        """
        node = default_cfg()
        merge_cfg_from_file(path, node)
        merge_cfg_from_list(opts, node)
        return cls(node, weights)

    @overload
    def __call__(self, images: Picture, batch_size: int = ...) -> Detections: ...

    @overload
    def __call__(self, images: Pictures, batch_size: int = ...) -> list[Detections]: ...

    def __call__(
        self, images: Picture | Pictures, batch_size: int = 8
    ) -> Detections | list[Detections]:
        """Return the detections of an image, in its own pixels, or those of each in a list.

        An image is the path of a file, read upright unless ``INPUT.ORIENTATION`` is "stored", or a
        (H, W, 3) uint8 array in BGR order. The images of a list may differ in size. Up to
        ``batch_size`` of them are padded to one size and processed together, as in torchvision;
        the model sees the padding at the borders, so that detections change slightly. With 1, each
        is processed alone. The tensors are on the CPU and not shared. Raises TypeError or
        ValueError for anything but an image, and the errors of ``ImageReader.read``.
        """
        if not isinstance(images, list | tuple):
            _check_picture(images, "the image")
            return self._detect([images])[0]
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}")
        for index, image in enumerate(images):
            _check_picture(image, f"image {index} of the list")
        batches = (images[n : n + batch_size] for n in range(0, len(images), batch_size))
        return [found for batch in batches for found in self._detect(batch)]

    def _detect(self, images: Sequence[Picture]) -> list[Detections]:
        read = build_image_reader(self.cfg).read
        pictures = [i if isinstance(i, np.ndarray) else read(i) for i in images]
        with torch.inference_mode(), autocast(self.device, self.cfg.TEST.PRECISION):
            found = self.model(make_test_batch(pictures, self.cfg).to(self.device))
        # Outside inference mode, so that the results are ordinary tensors.
        return [
            detections.to("cpu").resized((picture.shape[0], picture.shape[1]))
            for picture, detections in zip(pictures, found, strict=True)
        ]


def _find_weights(cfg: CfgNode, weights: str | Path | None) -> Path:
    """Return the file of trained weights; raises FileNotFoundError if none is named or exists."""
    given = weights or cfg.TEST.WEIGHTS
    if not given and not cfg.CKPT:
        raise FileNotFoundError(
            "there are no weights to predict with: give the file as weights, or as TEST.WEIGHTS"
        )
    file = Path(given or Path(cfg.CKPT) / "model_latest.pth")
    if not given and not file.is_file():
        raise FileNotFoundError(
            f"there are no weights to predict with: {file} does not exist; give the file as "
            "weights or TEST.WEIGHTS, or train with the same config first"
        )
    return file


def _num_classes(weights: ImportedWeights, cfg: CfgNode) -> int:
    """Return the number of classes, with the background, that ``weights`` are for.

    Class names in the file are counted first, as a model of the user may have no layer that is
    known to score classes.
    """
    if weights.class_names:
        return len(weights.class_names) + 1
    count = count_classes(weights.state, cfg.RETINANET.BACKGROUND_OUTPUT)
    if count is None:
        raise ValueError(
            f"{weights.source} (TEST.WEIGHTS) does not say how many classes it is for, as it has "
            "no names of classes and no layer that scores them; give the weights of a trained "
            "detector, or MODEL.NUM_CLASSES, with the background"
        )
    return count


def _num_keypoints(weights: ImportedWeights) -> int:
    """Return the number of points that ``weights`` are for, from their names or else a count."""
    if weights.keypoints is not None:
        return len(weights.keypoints.names)
    count = count_keypoints(weights.state)
    if count is None:
        raise ValueError(
            f"{weights.source} (TEST.WEIGHTS) has no keypoint branch, which MODEL.KEYPOINT_ON asks "
            "for"
        )
    return count


def _check_picture(image: Any, name: str) -> None:
    """Raise TypeError or ValueError, with a remedy, if ``image`` is not a picture."""
    wanted = "give the path of a file, or a (height, width, 3) uint8 array in BGR order"
    if isinstance(image, str | Path):
        return
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} is a {type(image).__name__}; {wanted}")
    if image.dtype != np.uint8:
        raise TypeError(f"{name} is an array of {image.dtype}, not of 0..255 as uint8; {wanted}")
    if image.ndim == 3 and image.shape[2] == 3 and image.size:
        return
    raise ValueError(f"{name} has the shape {image.shape}{_guess(image)}; {wanted}")


def _guess(image: np.ndarray) -> str:
    """Return a guess of the kind of a misshapen array, and how to make an image of it."""
    if not image.size:
        return ", and no pixels"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return ", a grey image; cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) makes three channels of it"
    if image.ndim == 3 and image.shape[2] == 4:
        return ", with an alpha channel; image[:, :, :3] leaves it out"
    if image.ndim == 3 and image.shape[0] == 3:
        return ", channels first; image.transpose(1, 2, 0) puts them last"
    if image.ndim == 4:
        return ", a stack of images; list(images) takes it apart"
    return ""
