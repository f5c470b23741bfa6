"""The interface between engine and model: the calls of every family, and optional abilities.

The engine knows no family. If a config key asks for more than training and detecting, the engine
asks the model for an ability, which is a few methods; ``abilities.py`` maps keys to abilities.
N detections of an image, levels l of feature maps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from pet.config import CfgNode
from pet.modeling.anchors import AnchorGenerator
from pet.structures import Detections, ImageList, Targets


class DetectionModel(Protocol):
    """A detector; it is an ``nn.Module``, too."""

    training: bool

    def forward(self, images: ImageList, targets: Sequence[Targets] | None = None) -> Any:
        """Return losses in training, detections in eval.

        In training: a dict of ``losses`` and ``metrics`` (each name -> scalar) and ``total_loss``,
        which is minimised. In eval, without ``targets``: a list of ``Detections``, one per image,
        best first, in pixels of the network input.
        """


# Abilities of a model ----------------------------------------------------------------------------


@runtime_checkable
class CompilesDense(Protocol):
    """Has parts that torch.compile can make faster, for ``SOLVER.COMPILE``."""

    def compile_dense(self) -> None:
        """Compile them in place; the names of the parameters stay."""


@runtime_checkable
class DetectsInViews(Protocol):
    """Can see an image in several views, for ``TEST.BBOX_AUG`` and the others."""

    def features(self, images: ImageList) -> list[Tensor]:
        """Return the feature maps (N, C, H_l, W_l) from which everything is predicted."""

    def detect_boxes(
        self, features: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return the boxes of each image, in pixels of the network input.

        ``sizes`` N (height, width) of the images.
        """

    def join(self, found: Sequence[Detections]) -> Detections:
        """Merge the detections of several views, in pixels of one image, and return those kept."""


@runtime_checkable
class HasBranches(Protocol):
    """Has branches that add to its boxes; ``MODEL.ROI_BRANCHES`` may name more."""

    def branches(self) -> "Sequence[Branch]":
        """Return the branches, in the order that they add to detections."""

    def branch_features(self, features: list[Tensor]) -> list[Tensor]:
        """Return ``features`` as the branches read them."""


@runtime_checkable
class TellsResultKinds(Protocol):
    """Tells its kinds of results; without this ability they are those that ``MODEL`` asks for."""

    @classmethod
    def result_kinds(cls, cfg: CfgNode) -> Sequence[str]:
        """Return the kinds that a model of ``cfg`` gives, of "bbox", "segm" and "keypoints"."""


@dataclass(frozen=True)
class DetectionLimit:
    """The most detections of an image."""

    most: int
    key: str  # the config key that sets it


@runtime_checkable
class TellsDetectionLimit(Protocol):
    """Tells the most detections of an image, for a warning about crowded images."""

    @classmethod
    def detection_limit(cls, cfg: CfgNode) -> DetectionLimit | None:
        """Return the limit of a model of ``cfg``, or None if it has none."""


@dataclass(frozen=True, kw_only=True)
class AnchorRule:
    """The anchors of a model, and the IoU from which on one learns a box."""

    anchors: AnchorGenerator
    fg_iou: float  # an anchor is foreground from this IoU on, and the best of a box at any
    section: str  # of the config: it has ANCHOR_SIZES, ASPECT_RATIOS and FG_IOU_THRESHOLD


@runtime_checkable
class TellsAnchors(Protocol):
    """Tells its anchors, to check whether they fit the boxes of a data set."""

    @classmethod
    def anchor_rule(cls, cfg: CfgNode) -> AnchorRule | None:
        """Return the anchors of a model of ``cfg``, or None if it has none."""


# Branches ----------------------------------------------------------------------------------------


class Branch(Protocol):
    """A part of a model that adds to detections: masks, keypoints, ``extras``."""

    def add(self, features: list[Tensor], detections: list[Detections]) -> list[Detections]:
        """Return ``detections``, in pixels of the network input, with the branch's predictions.

        ``features`` come from ``branch_features``.
        """


@dataclass(frozen=True)
class SeenDetections:
    """Detections of one image as a view shows them."""

    features: list[Tensor]  # of the view, as the branches read them
    detections: Detections  # N, in pixels of the view
    flipped: bool  # whether left and right are exchanged


@runtime_checkable
class AddsInViews(Protocol):
    """A branch that sees its detections in several views; others see them in one."""

    views_key: str  # the section of TEST that says in which views: "MASK_AUG", ...

    def add_in_views(
        self,
        views: Iterable[SeenDetections],
        detections: Detections,
        point_order: Sequence[int],
    ) -> Detections:
        """Return ``detections`` with the branch's predictions from all ``views`` of them.

        The first view is not mirrored; views are computed lazily. ``point_order`` as
        ``KeypointLayout.flip_order`` gives it, () if no view of ``TEST.KPS_AUG`` is mirrored.
        """
