"""Testing on several views of an image, mirrored and at other sizes, and joining what is found.

The detections of all views together pass NMS once more; the masks of those left, and the heatmaps
of their keypoints, are the mean over the views (as in Detectron).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.data.build import make_test_batch
from pet.modeling.rcnn.fast_rcnn import DetectionRule, build_detection_rule, suppress
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN, as_pooled
from pet.ops.boxes import flip_boxes, scale_boxes
from pet.ops.keypoints import scale_keypoints
from pet.structures import Detections, ImageList, KeypointLayout


@dataclass(frozen=True)
class View:
    """One way to look at an image."""

    short_side: int  # length of the shorter side, in pixels of the network input
    max_size: int  # longest allowed side, likewise
    flipped: bool = False  # whether left and right are exchanged


class _SeenImage:
    """One image, whose feature maps in a view are computed once where several steps need them."""

    def __init__(
        self, model: Generalized_RCNN, image: np.ndarray, cfg: CfgNode, kept_views: Collection[View]
    ) -> None:
        """Take ``image`` (H, W, 3) uint8 BGR; the maps of ``kept_views`` stay in memory."""
        self.model, self.image, self.cfg = model, image, cfg
        self.kept_views = kept_views
        self.kept: dict[View, tuple[list[Tensor], tuple[int, int]]] = {}

    def features(self, view: View) -> tuple[list[Tensor], tuple[int, int]]:
        """Return the feature maps of a view and its (height, width)."""
        if view in self.kept:
            return self.kept[view]
        picture = np.ascontiguousarray(self.image[:, ::-1]) if view.flipped else self.image
        batch = make_test_batch([picture], self.cfg, (view.short_side, view.max_size))
        found = self.model.features(batch.to(_device_of(self.model))), batch.sizes[0]
        if view in self.kept_views:
            self.kept[view] = found
        return found


class AugmentedDetector(nn.Module):
    """A model that sees each image in several views."""

    def __init__(
        self,
        model: Generalized_RCNN,
        box_views: Sequence[View],
        mask_views: Sequence[View],
        rule: DetectionRule,
        cfg: CfgNode = cfg,
        keypoint_views: Sequence[View] = (),
        keypoint_order: Sequence[int] = (),
    ) -> None:
        """``rule`` joins the detections of the views; ``cfg``, as it is now, says how to resize.

        The first of ``keypoint_views`` is not mirrored; with one that is, ``keypoint_order`` is
        what ``KeypointLayout.flip_order`` gives.
        """
        super().__init__()
        self.model = model
        self.box_views, self.mask_views = tuple(box_views), tuple(mask_views)
        self.keypoint_views, self.keypoint_order = tuple(keypoint_views), list(keypoint_order)
        self.rule = rule
        self.cfg = cfg.clone()
        # What several steps need is computed once; until the image is done it takes memory, of a
        # view of 800 x 1333 pixels and a pyramid of 256 channels 90 MB.
        uses = Counter((*self.box_views, *self.mask_views, *self.keypoint_views))
        self.shared_views = {view for view, times in uses.items() if times > 1}

    def forward(self, images: ImageList) -> list[Detections]:
        """Return the detections of each of ``images``, which are not resized, in their pixels."""
        return [
            self._detect(images.tensor[n, :, :height, :width].permute(1, 2, 0).cpu().numpy())
            for n, (height, width) in enumerate(images.sizes)
        ]

    def _detect(self, image: np.ndarray) -> Detections:
        """Return the detections of one image, (H, W, 3) uint8 BGR."""
        size = (image.shape[0], image.shape[1])
        seen = _SeenImage(self.model, image, self.cfg, self.shared_views)
        found = [self._boxes(seen, view).resized(size) for view in self.box_views]
        merged = found[0] if len(found) == 1 else self._join(found)
        if self.model.Mask_RCNN is not None:
            masks = [self._masks(seen, view, merged) for view in self.mask_views]
            merged = replace(
                merged,
                mask_probs=torch.stack(masks).mean(dim=0),
                mask_paste=self.model.Mask_RCNN.paste_method,
            )
        if self.model.Keypoint_RCNN is not None:
            merged = replace(merged, keypoints=self._keypoints(seen, merged))
        return merged

    def _join(self, found: Sequence[Detections]) -> Detections:
        """Return those of the boxes of several views that NMS leaves of all together."""
        boxes = torch.cat([per_view.boxes for per_view in found])
        scores = torch.cat([per_view.scores for per_view in found])
        labels = torch.cat([per_view.labels for per_view in found])
        keep, scores = suppress(boxes, scores, labels, self.rule)
        drop_empty = found[0].drop_empty
        return Detections(boxes[keep], scores, labels[keep], found[0].size, drop_empty=drop_empty)

    def _boxes(self, image: _SeenImage, view: View) -> Detections:
        """Return the detections in a view, in its pixels, but not mirrored any more."""
        features, size = image.features(view)
        [found] = self.model.detect_boxes(features, [size])
        return replace(found, boxes=flip_boxes(found.boxes, size[1])) if view.flipped else found

    def _masks(self, image: _SeenImage, view: View, detections: Detections) -> Tensor:
        """Return the mask (N, M, M) of each of ``detections`` as the view shows it."""
        features, size = image.features(view)
        assert self.model.Mask_RCNN is not None
        moved = _in_view(detections, view, size)
        [seen] = self.model.Mask_RCNN.add_masks(as_pooled(features), [moved])
        assert seen.mask_probs is not None
        return seen.mask_probs.flip(-1) if view.flipped else seen.mask_probs

    def _keypoints(self, image: _SeenImage, detections: Detections) -> Tensor:
        """Return the keypoints (N, P, 3) of ``detections``, at the scale of the first view."""
        assert self.model.Keypoint_RCNN is not None
        heatmaps, seen = [], []
        for view in self.keypoint_views:
            features, size = image.features(view)
            seen.append(_in_view(replace(detections, mask_probs=None), view, size))
            logits = self.model.Keypoint_RCNN(as_pooled(features), [seen[-1].boxes])
            heatmaps.append(logits[:, self.keypoint_order].flip(-1) if view.flipped else logits)
        mean = torch.stack(heatmaps).mean(dim=0)
        (height, width), (seen_height, seen_width) = detections.size, seen[0].size
        keypoints = self.model.Keypoint_RCNN.decode(mean, seen[0].boxes)
        return scale_keypoints(keypoints, width / seen_width, height / seen_height)


def _in_view(detections: Detections, view: View, size: tuple[int, int]) -> Detections:
    """Return ``detections`` in the pixels of a view of ``size``, none dropped."""
    height, width = detections.size
    boxes = scale_boxes(detections.boxes, size[1] / width, size[0] / height)
    boxes = flip_boxes(boxes, size[1]) if view.flipped else boxes
    return replace(detections, boxes=boxes, size=size)


def with_augmentation(
    model: nn.Module, cfg: CfgNode = cfg, keypoint_layout: KeypointLayout | None = None
) -> nn.Module:
    """Return ``model`` or, where ``TEST.BBOX_AUG``, ``MASK_AUG`` or ``KPS_AUG`` is on, it in views.

    ``keypoint_layout`` says which keypoints change places in a mirrored image. Raises ValueError
    where that is needed and not known, and where ``model`` is none of Pet's.
    """
    box = cfg.TEST.BBOX_AUG
    mask = cfg.TEST.MASK_AUG
    points = cfg.TEST.KPS_AUG
    if not (box.ENABLED or mask.ENABLED or points.ENABLED):
        return model
    if not isinstance(model, Generalized_RCNN):
        raise ValueError(
            "TEST.BBOX_AUG, TEST.MASK_AUG and TEST.KPS_AUG need MODEL.TYPE generalized_rcnn; got "
            f"{cfg.MODEL.TYPE}; give ENABLED False"
        )
    base = View(cfg.TEST.SCALE, cfg.TEST.MAX_SIZE)
    box_views = mask_views = keypoint_views = [base]
    if box.ENABLED:
        box_views = _views(base, box.H_FLIP, box.SCALES, box.MAX_SIZE)
    if mask.ENABLED:
        mask_views = _views(base, mask.H_FLIP, mask.SCALES, mask.MAX_SIZE)
    order: tuple[int, ...] = ()
    if points.ENABLED and model.Keypoint_RCNN is not None:
        keypoint_views = _views(base, points.H_FLIP, points.SCALES, points.MAX_SIZE)
        order = _flip_order(keypoint_layout) if points.H_FLIP else ()
    dense = model.RetinaNet
    rule = build_detection_rule(cfg) if dense is None else dense.detection_rule
    return AugmentedDetector(model, box_views, mask_views, rule, cfg, keypoint_views, order)


def _flip_order(layout: KeypointLayout | None) -> tuple[int, ...]:
    if layout is None:
        raise ValueError(
            "TEST.KPS_AUG.H_FLIP needs the names of the keypoints, to know which of them are "
            "pairs, and the weights do not tell them; give a checkpoint of a run, or H_FLIP False"
        )
    try:
        return layout.flip_order()
    except ValueError as error:
        raise ValueError(f"{error}, or give TEST.KPS_AUG.H_FLIP False") from None


def _views(base: View, flip: bool, scales: Sequence[int], max_size: int) -> list[View]:
    views = [base, *(View(scale, max_size) for scale in scales)]
    return views + [replace(view, flipped=True) for view in views] if flip else views


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
