"""The losses of all branches on the RoIs of a batch.

N images, R RoIs over all images, F foreground among them.
"""

from collections.abc import Sequence
from typing import TypeGuard

from torch import Tensor

from pet.modeling.rcnn.cascade_rcnn import CascadeRCNN
from pet.modeling.rcnn.fast_rcnn import FastRCNN
from pet.modeling.rcnn.roi_branch import MayShareRes5, RoIBranch
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.modeling.rcnn.shared_res5 import SharedRes5
from pet.structures import Targets


def roi_losses(
    box_branch: FastRCNN | CascadeRCNN,
    branches: Sequence[RoIBranch],
    features: list[Tensor],
    rois: Sequence[SampledRoIs],
    targets: Sequence[Targets],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the losses and the metrics of ``box_branch``, then those of ``branches``.

    Branches that share res5 with it get the res5 computed once for all RoIs. Raises ValueError if
    two branches have a loss of the same name.
    """
    foreground: Tensor | None = None
    if any(_shares_res5(branch) for branch in branches):
        assert isinstance(box_branch, FastRCNN)
        logits, deltas, foreground = SharedRes5(box_branch).predict(features, rois)
        losses, metrics = box_branch.losses_of(logits, deltas, rois, targets)
    else:
        losses, metrics = box_branch.losses(features, rois, targets)
    for branch in branches:
        if _shares_res5(branch):
            assert foreground is not None
            found = branch.losses_on_res5(foreground, rois, targets)
        else:
            found = branch.losses(features, rois, targets)
        if twice := sorted(losses.keys() & found.keys()):
            raise ValueError(
                f"the branch {branch.attribute} has a loss that another part has as well: "
                f"{', '.join(twice)}; give it a name of its own"
            )
        losses |= found
    return losses, metrics


def _shares_res5(branch: RoIBranch) -> TypeGuard[MayShareRes5]:
    return isinstance(branch, MayShareRes5) and branch.shares_res5
