"""The branches on RoIs that a config asks for: Pet's by switches, others by name."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from pet.config import CfgNode, cfg
from pet.modeling import registry
from pet.modeling.rcnn.keypoint_rcnn import KeypointRCNN
from pet.modeling.rcnn.mask_rcnn import MaskRCNN
from pet.modeling.rcnn.roi_branch import RoIBranch, RoISource


@dataclass(frozen=True)
class _Switch:
    """A branch of Pet that a key of ``MODEL`` switches on."""

    key: str  # the key of MODEL that switches it on
    name: str  # its name in the registry
    attribute: str  # of the model, None if it is off


SWITCHES = (
    _Switch("MASK_ON", "mask", MaskRCNN.attribute),
    _Switch("KEYPOINT_ON", "keypoint", KeypointRCNN.attribute),
)


def build_roi_branches(source: RoISource, cfg: CfgNode = cfg) -> Iterator[tuple[str, nn.Module]]:
    """Yield attribute and branch of each one that ``cfg`` asks for, Pet's own first.

    Raises KeyError for an unknown name, and TypeError if the builder returns no branch.
    """
    own = [switch.name for switch in SWITCHES if cfg.MODEL[switch.key]]
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


_PARTS = ("attribute", "losses", "add")
