"""The interface of branches on RoIs other than the box branch.

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
    """The arguments of a branch's builder, besides the config."""

    dim_in: int  # channels of the feature maps
    spatial_scale: tuple[float, ...]  # of the levels that RoIs are pooled from, finest first
    num_classes: int  # K + 1, with the background
    box_branch: FastRCNN | CascadeRCNN


@runtime_checkable
class RoIBranch(Protocol):
    """A branch; it is an ``nn.Module``, too.

    If it also is an ``AddsInViews``, test-time augmentation shows it several views.
    """

    attribute: str  # of the model, and so the prefix of its weights: "Mask_RCNN"

    def losses(
        self, features: list[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return its losses, name -> scalar, with names that no other part uses.

        ``features`` (N, C, H_l, W_l) float32. Foreground RoI f of image n is matched to the object
        ``rois[n].matched[f]`` of ``targets[n]``. The losses must depend on the weights even without
        RoIs, as all processes must have gradients for the same weights.
        """

    def add(self, features: list[Tensor], detections: list[Detections]) -> list[Detections]:
        """Return ``detections``, in pixels of the network input, with its predictions.

        These are ``mask_probs``, ``keypoints``, or entries of ``extras``.
        """


@runtime_checkable
class MayShareRes5(Protocol):
    """A branch that may use res5 of the box branch ("C4"), computed once for all."""

    @property
    def shares_res5(self) -> bool:
        """Whether it does; otherwise it pools its own RoIs."""

    def losses_on_res5(
        self, foreground: Tensor, rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return the losses, as ``losses``, from res5 (F, C, h, w) of the foreground."""
