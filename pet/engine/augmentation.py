"""Testing on several views of an image, mirrored and resized, and joining the detections.

The model joins the boxes of all views. Branches that support it (masks and keypoints, as in
Detectron) then see the joined boxes in several views, other branches in one.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.data.build import make_test_batch
from pet.modeling.abilities import check_abilities
from pet.modeling.contract import (
    AddsInViews,
    Branch,
    DetectsInViews,
    HasBranches,
    SeenDetections,
)
from pet.ops.boxes import flip_boxes, scale_boxes
from pet.ops.keypoints import scale_keypoints
from pet.structures import Detections, ImageList, KeypointLayout

#: The sections of TEST that configure views: for boxes, and for branches.
_BOXES, _OF_BRANCHES = "BBOX_AUG", ("MASK_AUG", "KPS_AUG")


@dataclass(frozen=True)
class View:
    """One way to look at an image."""

    short_side: int  # length of the shorter side, in pixels of the network input
    max_size: int  # longest allowed side, in the same pixels
    flipped: bool = False  # whether left and right are exchanged


class _SeenImage:
    """One image; feature maps of a view that several steps need are computed once."""

    def __init__(
        self, model: nn.Module, image: np.ndarray, cfg: CfgNode, kept_views: Collection[View]
    ) -> None:
        """Take ``image`` (H, W, 3) uint8 BGR; keep the feature maps of ``kept_views`` in memory."""
        self.device = next(model.parameters()).device
        self.model = cast(DetectsInViews, model)
        self.image, self.cfg = image, cfg
        self.kept_views = kept_views
        self.kept: dict[View, tuple[list[Tensor], tuple[int, int]]] = {}

    def features(self, view: View) -> tuple[list[Tensor], tuple[int, int]]:
        """Return the feature maps of a view and its (height, width)."""
        if view in self.kept:
            return self.kept[view]
        picture = np.ascontiguousarray(self.image[:, ::-1]) if view.flipped else self.image
        batch = make_test_batch([picture], self.cfg, (view.short_side, view.max_size))
        found = self.model.features(batch.to(self.device)), batch.sizes[0]
        if view in self.kept_views:
            self.kept[view] = found
        return found


class AugmentedDetector(nn.Module):
    """A model that sees each image in several views."""

    def __init__(
        self,
        model: nn.Module,
        views: Mapping[str, Sequence[View]],
        cfg: CfgNode = cfg,
        keypoint_order: Sequence[int] = (),
    ) -> None:
        """Wrap a ``DetectsInViews``; images are resized by the present values of ``cfg``.

        ``views`` by section of ``TEST``, the first of each not mirrored; boxes come from those of
        "BBOX_AUG". If keypoints are seen in mirrored views, ``keypoint_order`` is the result of
        ``KeypointLayout.flip_order``.
        """
        super().__init__()
        self.model = model
        self.views = {section: tuple(some) for section, some in views.items()}
        self.keypoint_order = tuple(keypoint_order)
        self.cfg = cfg.clone()
        # Maps that several steps need are computed once. They take memory until the image is done:
        # 90 MB for a view of 800 x 1333 pixels and a pyramid of 256 channels.
        steps = [self.views[_BOXES], *(self._views_of(branch) for branch in _branches(model))]
        uses = Counter(view for some in steps for view in some)
        self.shared_views = {view for view, times in uses.items() if times > 1}

    def forward(self, images: ImageList) -> list[Detections]:
        """Return the detections of each of ``images``, not resized yet, in their own pixels."""
        return [
            self._detect(images.tensor[n, :, :height, :width].permute(1, 2, 0).cpu().numpy())
            for n, (height, width) in enumerate(images.sizes)
        ]

    def _detect(self, image: np.ndarray) -> Detections:
        """Return the detections of one image, (H, W, 3) uint8 BGR."""
        size = (image.shape[0], image.shape[1])
        seen = _SeenImage(self.model, image, self.cfg, self.shared_views)
        found = [self._boxes(seen, view).resized(size) for view in self.views[_BOXES]]
        merged = found[0] if len(found) == 1 else seen.model.join(found)
        for branch in _branches(self.model):
            views = self._in_views(seen, self._views_of(branch), merged)
            if isinstance(branch, AddsInViews):
                merged = branch.add_in_views(views, merged, self.keypoint_order)
            else:
                merged = _in_one_view(branch, next(views), merged)
        return merged

    def _boxes(self, image: _SeenImage, view: View) -> Detections:
        """Return the detections in a view, in its pixels, with mirroring undone."""
        features, size = image.features(view)
        [found] = image.model.detect_boxes(features, [size])
        return replace(found, boxes=flip_boxes(found.boxes, size[1])) if view.flipped else found

    def _views_of(self, branch: Branch) -> Sequence[View]:
        """Return the views in which a branch sees its detections."""
        if isinstance(branch, AddsInViews):
            return self.views[branch.views_key]
        return self.views[_BOXES][:1]

    def _in_views(
        self, image: _SeenImage, views: Sequence[View], detections: Detections
    ) -> Iterator[SeenDetections]:
        """Yield ``detections``, in pixels of the image, as each of ``views`` shows them."""
        model = cast(HasBranches, self.model)
        for view in views:
            features, size = image.features(view)
            moved = _in_view(detections, view, size)
            yield SeenDetections(model.branch_features(features), moved, view.flipped)


def _branches(model: nn.Module) -> Sequence[Branch]:
    return model.branches() if isinstance(model, HasBranches) else ()


def _in_one_view(branch: Branch, view: SeenDetections, detections: Detections) -> Detections:
    """Return ``detections``, in pixels of the image, with the additions of ``branch`` in ``view``.

    The view is not mirrored.
    """
    [added] = branch.add(view.features, [replace(view.detections, keypoints=None)])
    keypoints = detections.keypoints
    if added.keypoints is not None:
        (height, width), (seen_height, seen_width) = detections.size, added.size
        keypoints = scale_keypoints(added.keypoints, width / seen_width, height / seen_height)
    return replace(added, boxes=detections.boxes, size=detections.size, keypoints=keypoints)


def _in_view(detections: Detections, view: View, size: tuple[int, int]) -> Detections:
    """Return ``detections`` in the pixels of a view of ``size``, none dropped."""
    height, width = detections.size
    boxes = scale_boxes(detections.boxes, size[1] / width, size[0] / height)
    boxes = flip_boxes(boxes, size[1]) if view.flipped else boxes
    return replace(detections, boxes=boxes, size=size)


def with_augmentation(
    model: nn.Module, cfg: CfgNode = cfg, keypoint_layout: KeypointLayout | None = None
) -> nn.Module:
    """Return ``model``, wrapped if ``TEST.BBOX_AUG``, ``MASK_AUG`` or ``KPS_AUG`` is on.

    ``keypoint_layout`` tells which keypoints change places in a mirrored image. Raises ValueError
    if that is needed and unknown, or if ``model``, or the branch that a section is for, does not
    support several views.
    """
    enabled = [name for name in (_BOXES, *_OF_BRANCHES) if cfg.TEST[name].ENABLED]
    if not enabled:
        return model
    check_abilities(cfg, "testing", model)
    assert isinstance(model, DetectsInViews)
    seeing = {b.views_key for b in _branches(model) if isinstance(b, AddsInViews)}
    _check_sections(enabled, seeing, cfg)
    base = View(cfg.TEST.SCALE, cfg.TEST.MAX_SIZE)
    views = {
        _BOXES: _views(base, cfg.TEST.BBOX_AUG),
        "MASK_AUG": _views(base, cfg.TEST.MASK_AUG),
        "KPS_AUG": _views(base, cfg.TEST.KPS_AUG),
    }
    mirrors_points = "KPS_AUG" in enabled and cfg.TEST.KPS_AUG.H_FLIP
    order = _flip_order(keypoint_layout) if mirrors_points else ()
    return AugmentedDetector(model, views, cfg, order)


def _check_sections(enabled: Sequence[str], seeing: Collection[str], cfg: CfgNode) -> None:
    """Raise ValueError if no branch uses an enabled section, or a branch names an unknown one.

    ``seeing`` are the sections of ``TEST`` that the branches name.
    """
    for name in enabled:
        if name in _OF_BRANCHES and name not in seeing:
            raise ValueError(
                f"TEST.{name}.ENABLED asks for a branch that sees its detections in these views, "
                f"which the model of MODEL.TYPE {cfg.MODEL.TYPE} lacks; give TEST.{name}.ENABLED "
                "False"
            )
    if unknown := sorted(set(seeing) - {_BOXES, *_OF_BRANCHES}):
        raise ValueError(
            f"a branch of the model sees its detections in the views of TEST.{unknown[0]}, and "
            f"there is no such section; its views_key must be one of {_BOXES}, "
            f"{', '.join(_OF_BRANCHES)}"
        )


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


def _views(base: View, section: CfgNode) -> list[View]:
    """Return the views of a section of ``TEST``: ``base`` first, or only ``base`` if it is off."""
    if not section.ENABLED:
        return [base]
    views = [base, *(View(scale, section.MAX_SIZE) for scale in section.SCALES)]
    return views + [replace(view, flipped=True) for view in views] if section.H_FLIP else views
