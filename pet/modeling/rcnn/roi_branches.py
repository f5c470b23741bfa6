"""The branches on RoIs that a config asks for: Pet's by switches, others by name."""

from collections.abc import Iterator

from torch import nn

from pet.config import CfgNode, cfg
from pet.config.check_heads import BRANCH_SWITCHES
from pet.modeling import registry
from pet.modeling.rcnn.keypoint_rcnn import KeypointRCNN
from pet.modeling.rcnn.mask_rcnn import MaskRCNN
from pet.modeling.rcnn.roi_branch import RoIBranch, RoISource

#: Attributes of the model for Pet's own branches; they are None if the branch is off.
OWN_ATTRIBUTES = (MaskRCNN.attribute, KeypointRCNN.attribute)
#: What a branch must have.
_PARTS = ("attribute", "losses", "add")


def build_roi_branches(source: RoISource, cfg: CfgNode = cfg) -> Iterator[tuple[str, nn.Module]]:
    """Yield attribute and branch of each one that ``cfg`` asks for, Pet's own first.

    Raises KeyError for an unknown name, and TypeError if the builder returns no branch.
    """
    own = [name for name, key in BRANCH_SWITCHES.items() if cfg.MODEL[key]]
    for name in (*own, *cfg.MODEL.ROI_BRANCHES):
        branch = registry.ROI_BRANCHES[name](source, cfg)
        if not isinstance(branch, nn.Module) or not isinstance(branch, RoIBranch):
            lacking = [what for what in _PARTS if not hasattr(branch, what)]
            raise TypeError(
                f"RoI branch {name!r} (MODEL.ROI_BRANCHES) is a {type(branch).__name__}; it must "
                f"be an nn.Module with {', '.join(_PARTS)}, and lacks "
                f"{', '.join(lacking) or 'being one'}"
            )
        yield branch.attribute, branch
