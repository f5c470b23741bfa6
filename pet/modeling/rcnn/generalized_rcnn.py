"""The R-CNN family as one model: trunk, pyramid, proposals, and a branch for each task."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Imported for the parts they register.
import pet.modeling.backbones
import pet.modeling.fpn
import pet.modeling.rcnn.heads  # noqa: F401
from pet.config import CfgNode, cfg
from pet.layers.pixel_norm import PixelNorm
from pet.modeling import registry
from pet.modeling.contract import AnchorRule, DetectionLimit
from pet.modeling.postprocessing import join_views
from pet.modeling.rcnn.cascade_rcnn import CascadeRCNN, build_cascade_rcnn
from pet.modeling.rcnn.fast_rcnn import FastRCNN, build_fast_rcnn
from pet.modeling.rcnn.keypoint_rcnn import KeypointRCNN
from pet.modeling.rcnn.mask_rcnn import MaskRCNN
from pet.modeling.rcnn.retinanet import RetinaNet, build_retinanet, build_retinanet_anchors
from pet.modeling.rcnn.roi_branch import RoIBranch, RoISource
from pet.modeling.rcnn.roi_branches import OWN_ATTRIBUTES, build_roi_branches
from pet.modeling.rcnn.roi_losses import roi_losses
from pet.modeling.rcnn.roi_sampling import sample_rois
from pet.modeling.rcnn.rpn import RPN, build_rpn, build_rpn_anchors
from pet.ops.full_precision import full_precision
from pet.structures import Detections, ImageList, Targets

# The coarsest level that RoIs are pooled from; only the RPN uses P6 (FPN, section 4.2).
_COARSEST_ROI_SCALE = 1 / 32
# P3, the finest level of FPN.BODY fpn_p6p7, which a RetinaNet has.
_FINEST_RETINANET_SCALE = 1 / 8


class Generalized_RCNN(nn.Module):  # noqa: N801  the name its users know
    """Faster R-CNN, with or without a pyramid, and the models that extend it.

    ``MODEL.MASK_ON`` makes it Mask R-CNN, ``MODEL.KEYPOINT_ON`` Keypoint R-CNN, both together a
    model of both, ``MODEL.CASCADE_ON`` Cascade R-CNN; ``MODEL.ROI_BRANCHES`` adds the user's
    branches; with ``MODEL.RPN_ONLY`` it gives only proposals. ``MODEL.RETINANET_ON`` makes it
    RetinaNet, which has none of these.

    In training ``model(images, targets)`` returns a dict of ``losses`` and ``metrics`` (each name
    -> scalar) and ``total_loss``, the sum of the losses; in eval ``model(images)`` returns the
    detections of each image.
    """

    Mask_RCNN: MaskRCNN | None
    Keypoint_RCNN: KeypointRCNN | None

    def __init__(self, cfg: CfgNode = cfg) -> None:
        """Assemble the model; raises KeyError for unknown parts, ValueError without classes."""
        super().__init__()
        num_classes = cfg.MODEL.NUM_CLASSES
        if num_classes < 2:
            raise ValueError(
                f"MODEL.NUM_CLASSES is {num_classes}; a model needs the number of classes with "
                "the background: set it, or take it from a data set by resolve_num_classes"
            )
        self.Pixel_Norm = PixelNorm(
            cfg.INPUT.CHANNEL_ORDER, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
        )

        # Backbone for feature extraction
        self.Conv_Body = registry.BACKBONES[cfg.MODEL.CONV_BODY](cfg)
        dim_in, spatial_scale = self.Conv_Body.dim_out, self.Conv_Body.spatial_scale

        # Feature pyramid
        self.Conv_Body_FPN: nn.Module | None = None
        if cfg.FPN.FPN_ON:
            self.Conv_Body_FPN = registry.FPN_BODIES[cfg.FPN.BODY](dim_in, spatial_scale, cfg)
            dim_in = self.Conv_Body_FPN.dim_out
            spatial_scale = self.Conv_Body_FPN.spatial_scale
        else:
            dim_in, spatial_scale = dim_in[-1], [spatial_scale[-1]]

        # Region proposals, or RetinaNet, which has no need of them
        self.RPN: RPN | None = None
        self.RetinaNet: RetinaNet | None = None
        if cfg.MODEL.RETINANET_ON:
            self.RetinaNet = build_retinanet(dim_in, spatial_scale, num_classes, cfg)
        else:
            self.RPN = build_rpn(dim_in, cfg)

        # A branch for each task, that for boxes first
        roi_scale = [scale for scale in spatial_scale if scale >= _COARSEST_ROI_SCALE]
        self.Fast_RCNN: FastRCNN | None = None
        self.Cascade_RCNN: CascadeRCNN | None = None
        if cfg.MODEL.CASCADE_ON:
            self.Cascade_RCNN = build_cascade_rcnn(dim_in, roi_scale, num_classes, cfg)
        elif not (cfg.MODEL.RPN_ONLY or cfg.MODEL.RETINANET_ON):
            self.Fast_RCNN = build_fast_rcnn(dim_in, roi_scale, num_classes, cfg)
        for attribute in OWN_ATTRIBUTES:  # Mask_RCNN and Keypoint_RCNN are None if they are off
            setattr(self, attribute, None)
        self._branches: list[str] = []
        if self.box_branch is not None:
            source = RoISource(dim_in, tuple(roi_scale), num_classes, self.box_branch)
            for attribute, branch in build_roi_branches(source, cfg):
                self._add_branch(attribute, branch)

    def _add_branch(self, attribute: str, branch: nn.Module) -> None:
        """Add ``branch`` to the model; raises ValueError if its name is taken."""
        if getattr(self, attribute, None) is not None:
            raise ValueError(
                f"a branch of MODEL.ROI_BRANCHES, {type(branch).__name__}, is to be {attribute!r} "
                "of the model, which has another part or method of that name; give it an attribute "
                "of its own"
            )
        setattr(self, attribute, branch)
        self._branches.append(attribute)

    def forward(
        self, images: ImageList, targets: Sequence[Targets] | None = None
    ) -> dict[str, object] | list[Detections]:
        """Return losses in training, detections in pixels of the network input in eval."""
        features = self.features(images)
        if self.training:
            assert targets is not None, "training needs targets"
            return self._losses(features, images, targets)
        if self.box_branch is None:
            return self.dense_part.detect(features, images.sizes)
        proposals = self._propose(features, images.sizes)
        features = self.branch_features(features)
        return self.add_details(features, self.box_branch.detect(features, proposals, images.sizes))

    def features(self, images: ImageList) -> list[Tensor]:
        """Return the maps (N, C, H_l, W_l) that proposals and branches read, finest first."""
        maps = self.Conv_Body(self.Pixel_Norm(images))
        return maps[-1:] if self.Conv_Body_FPN is None else self.Conv_Body_FPN(maps)

    @property
    def box_branch(self) -> FastRCNN | CascadeRCNN | None:
        """The branch that turns proposals into detections, or None without RoI heads."""
        return self.Fast_RCNN if self.Cascade_RCNN is None else self.Cascade_RCNN

    @property
    def dense_part(self) -> RPN | RetinaNet:
        """The part that predicts from anchors: all there is in a model without RoI heads."""
        part = self.RPN if self.RetinaNet is None else self.RetinaNet
        assert part is not None
        return part

    def branches(self) -> list[RoIBranch]:
        """Return the branches on RoIs other than the box branch."""
        return [getattr(self, attribute) for attribute in self._branches]

    @classmethod
    def detection_limit(cls, cfg: CfgNode) -> DetectionLimit | None:
        """Return the most detections of an image, or None if they are proposals."""
        if cfg.MODEL.RPN_ONLY:
            return None
        section = "RETINANET" if cfg.MODEL.RETINANET_ON else "FAST_RCNN"
        return DetectionLimit(cfg[section].DETECTIONS_PER_IMG, f"{section}.DETECTIONS_PER_IMG")

    @classmethod
    def anchor_rule(cls, cfg: CfgNode) -> AnchorRule:
        """Return the anchors of RPN or RetinaNet."""
        if cfg.MODEL.RETINANET_ON:
            levels = range(len(cfg.RETINANET.ANCHOR_SIZES))
            scales = [_FINEST_RETINANET_SCALE / 2**level for level in levels]
            anchors, section = build_retinanet_anchors(scales, cfg), "RETINANET"
        else:
            anchors, section = build_rpn_anchors(cfg), "RPN"
        fg_iou = cfg[section].FG_IOU_THRESHOLD
        return AnchorRule(anchors=anchors, fg_iou=fg_iou, section=section)

    def compile_dense(self) -> None:
        """Compile the trunk, the pyramid and the head on anchors, each by torch.compile.

        The names of the parameters stay. The branches, whose shapes change, are not compiled.
        """
        for part in (self.Conv_Body, self.Conv_Body_FPN, self.dense_part.head):
            if part is not None:
                part.compile()

    def _losses(
        self, features: list[Tensor], images: ImageList, targets: Sequence[Targets]
    ) -> dict[str, object]:
        metrics: dict[str, Tensor] = {}
        box_branch = self.box_branch
        if box_branch is None:
            losses = self.dense_part.losses(features, targets)
        else:
            assert self.RPN is not None
            proposals, losses = self.RPN(features, images.sizes, targets)
            features = self.branch_features(features)
            rois = sample_rois(proposals, targets, box_branch.sampling_rule)
            of_rois, metrics = roi_losses(box_branch, self.branches(), features, rois, targets)
            losses.update(of_rois)
        total_loss = torch.stack(list(losses.values())).sum()
        return {"losses": losses, "metrics": metrics, "total_loss": total_loss}

    def detect_boxes(
        self, features: list[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return only the boxes of each image, in pixels of the network input.

        ``sizes`` N (height, width) of the images.
        """
        if self.box_branch is None:
            return self.dense_part.detect(features, sizes)
        proposals = self._propose(features, sizes)
        return self.box_branch.detect(self.branch_features(features), proposals, sizes)

    def join(self, found: Sequence[Detections]) -> Detections:
        """Return the detections that NMS keeps of those of several views of an image."""
        part = self.RetinaNet if self.box_branch is None else self.box_branch
        assert part is not None, "there is nothing to join of proposals"
        return join_views(found, part.detection_rule)

    def _propose(self, features: list[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        assert self.RPN is not None
        proposals, _ = self.RPN(features, sizes)
        return proposals

    def add_details(self, features: list[Tensor], detections: list[Detections]) -> list[Detections]:
        """Return ``detections``, in pixels of the network input, with the branches' predictions.

        ``features`` come from ``branch_features``.
        """
        for branch in self.branches():
            detections = branch.add(features, detections)
        return detections

    def branch_features(self, features: list[Tensor]) -> list[Tensor]:
        """Return ``features`` in the form that the branches on RoIs read; see ``as_pooled``."""
        return as_pooled(features)


def as_pooled(features: Sequence[Tensor]) -> list[Tensor]:
    """Convert the maps, once for all branches, to float32 and the layout that RoIAlign reads.

    On a CPU that is channels_last (see ``roi_align_cpu``), elsewhere channel by channel.
    """
    on_cpu = features[0].device.type == "cpu"
    layout = torch.channels_last if on_cpu else torch.contiguous_format
    return [full_precision(feature).contiguous(memory_format=layout) for feature in features]


@registry.MODELS.register("generalized_rcnn")
def generalized_rcnn(cfg: CfgNode = cfg) -> Generalized_RCNN:
    """Return the model that ``cfg`` describes."""
    return Generalized_RCNN(cfg)
