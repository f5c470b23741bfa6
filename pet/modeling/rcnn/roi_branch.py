"""A branch on RoIs beside the boxes': what it is given, and what it must have.

N images, R RoIs over all images, F foreground among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from pet.modeling.rcnn.cascade_rcnn import CascadeRCNN
from pet.modeling.rcnn.fast_rcnn import FastRCNN
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.structures import Detections, Targets


@dataclass(frozen=True)
class RoISource:
    """What the builder of a branch is given, beside the config."""

    dim_in: int  # channels of the feature maps
    spatial_scale: tuple[float, ...]  # of the levels that RoIs are pooled from, finest first
    num_classes: int  # K + 1, with the background
    box_branch: FastRCNN | CascadeRCNN


@runtime_checkable
class RoIBranch(Protocol):
    """A branch; it is an ``nn.Module``, too.

    Where it also is an ``AddsInViews``, test-time augmentation shows it several views.
    """

    attribute: str  # of the model, and so the prefix of its weights: "Mask_RCNN"

    def losses(
        self, features: list[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return its losses, name -> scalar, of names that no other part has.

        ``features`` (N, C, H_l, W_l) float32. Foreground RoI f of an image stands for the object
        ``rois[n].matched[f]`` of ``targets[n]``. Without any RoI, too, the losses depend on the
        weights, as all processes must have gradients for the same ones.
        """

    def add(self, features: list[Tensor], detections: list[Detections]) -> list[Detections]:
        """Return ``detections``, in pixels of the network input, with what it predicts.

        That is ``mask_probs``, ``keypoints``, or entries of ``extras``.
        """


@runtime_checkable
class MayShareRes5(Protocol):
    """A branch that may stand on res5 of the box branch ("C4"), computed once for all."""

    @property
    def shares_res5(self) -> bool:
        """Whether it does; else it pools for itself."""

    def losses_on_res5(
        self, foreground: Tensor, rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return what ``losses`` does, given res5 (F, C, h, w) of the foreground."""
