"""The Mask R-CNN branch (He et al. 2017): a mask for every detected object.

N images, R RoIs over all images, K classes without the background, M the side of a mask.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import as_matrix, init_conv
from pet.layers.roi_pooler import RoIPooler
from pet.modeling import registry
from pet.modeling.contract import SeenDetections
from pet.modeling.rcnn.fast_rcnn import FastRCNN
from pet.modeling.rcnn.roi_branch import RoISource
from pet.modeling.rcnn.roi_poolers import build_mask_pooler
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.modeling.rcnn.shared_res5 import SharedRes5
from pet.ops.full_precision import full_precision
from pet.ops.losses import mask_bce
from pet.ops.mask_align import align_crops
from pet.ops.masks import sample_crops
from pet.structures import Detections, MaskCrops, Targets


class MaskPredictor(nn.Module):
    """A deconvolution that doubles the grid, and one mask for each class."""

    def __init__(self, dim_in: int, dim: int, num_classes: int) -> None:
        """``dim`` channels of the deconvolution; ``num_classes`` counts the background.

        The mask of the background is not used.
        """
        super().__init__()
        self.deconv = nn.ConvTranspose2d(dim_in, dim, 2, 2)
        self.mask_logits = nn.Conv2d(dim, num_classes, 1)
        init_conv(self.deconv)
        # Near zero (Detectron2): scaled for a ReLU, the logits of few classes would be large.
        nn.init.normal_(self.mask_logits.weight, std=0.001)
        assert self.mask_logits.bias is not None
        nn.init.zeros_(self.mask_logits.bias)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map (R, dim_in, M / 2, M / 2) to the logits (R, M, M) of the masks of ``labels`` (R,).

        Masks of other classes are not computed: with a thousand classes they would fill gigabytes.
        """
        x = F.relu(self.deconv(x), inplace=True)
        weight, bias = as_matrix(self.mask_logits)[labels], self.mask_logits.bias
        assert bias is not None
        return torch.einsum("rchw,rc->rhw", x, weight) + bias[labels, None, None]


class MaskRCNN(nn.Module):
    """Pools RoIs and predicts a mask in each; its two ends are ``losses`` and ``add``."""

    attribute = "Mask_RCNN"
    views_key = "MASK_AUG"

    def __init__(
        self,
        pooler: RoIPooler | SharedRes5,
        head: nn.Module,
        predictor: MaskPredictor,
        resolution: tuple[int, int],
        target_method: str = "cell_centre",
        paste_method: str = "pixel_centre",
    ) -> None:
        """Build the branch.

        ``resolution`` is the height and width of a predicted mask, in cells; ``target_method``
        ("cell_centre" or "roi_align") makes the training masks; ``paste_method`` ("pixel_centre" or
        "integer_box") turns predicted masks into pixels.
        """
        super().__init__()
        self.pooler = pooler
        self.head = head
        self.predictor = predictor
        self.resolution = resolution
        self.target_method = target_method
        self.paste_method = paste_method

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Tensor:
        """Return the logits (R, M, M) of the masks of ``labels`` in ``boxes``, N x (R_n, 4)."""
        return self.predict(self.pooler(features, boxes), labels)

    def predict(self, x: Tensor, labels: Sequence[Tensor]) -> Tensor:
        """Return the logits, as ``forward``, from the pooled RoIs ``x`` (R, C, height, width)."""
        return full_precision(self.predictor(self.head(x), torch.cat(list(labels))))

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return loss_mask, the mean binary cross-entropy over the masks of the foreground."""
        logits = self(
            features,
            [per_image.foreground_boxes for per_image in rois],
            [per_image.foreground_labels for per_image in rois],
        )
        return self.losses_of(logits, rois, targets)

    def losses_of(
        self, logits: Tensor, rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return the losses, as ``losses``, from the logits (F, M, M) of the foreground."""
        wanted = mask_targets(rois, targets, self.resolution, self.target_method)
        return {"loss_mask": mask_bce(logits, wanted)}

    @property
    def shares_res5(self) -> bool:
        """Whether the branch uses res5 of the box branch."""
        return isinstance(self.pooler, SharedRes5)

    def losses_on_res5(
        self, foreground: Tensor, rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return the losses, as ``losses``, from res5 (F, C, h, w) of the foreground."""
        logits = self.predict(foreground, [per_image.foreground_labels for per_image in rois])
        return self.losses_of(logits, rois, targets)

    def add(self, features: Sequence[Tensor], detections: Sequence[Detections]) -> list[Detections]:
        """Return the detections with their ``mask_probs``."""
        boxes = [per_image.boxes for per_image in detections]
        logits = self(features, boxes, [per_image.labels for per_image in detections])
        probs = logits.sigmoid().split([len(per_image) for per_image in boxes])
        return [
            replace(per_image, mask_probs=prob, mask_paste=self.paste_method)
            for per_image, prob in zip(detections, probs, strict=True)
        ]

    def add_in_views(
        self,
        views: Iterable[SeenDetections],
        detections: Detections,
        point_order: Sequence[int] = (),
    ) -> Detections:
        """Return ``detections`` with the mean of their masks over ``views`` (as in Detectron)."""
        masks = []
        for view in views:
            [seen] = self.add(view.features, [view.detections])
            assert seen.mask_probs is not None
            masks.append(seen.mask_probs.flip(-1) if view.flipped else seen.mask_probs)
        mean = torch.stack(masks).mean(dim=0)
        return replace(detections, mask_probs=mean, mask_paste=self.paste_method)


def mask_targets(
    rois: Sequence[SampledRoIs],
    targets: Sequence[Targets],
    resolution: tuple[int, int],
    method: str = "cell_centre",
) -> Tensor:
    """Return the (F, M, M) masks of the foreground RoIs, F over all images.

    ``method`` "cell_centre": 0 or 1, the mask at the centre of each cell; "roi_align": 0..1.
    """
    packs = [target.masks for target in targets if target.masks is not None]
    assert len(packs) == len(targets), "the data set was read without masks"
    masks = MaskCrops.join(packs)
    crops = {
        "bits": masks.bits,
        "starts": masks.starts,
        "origins": masks.origins,
        "sizes": masks.sizes,
    }
    boxes = torch.cat([per_image.foreground_boxes for per_image in rois])
    before = itertools.accumulate((len(pack) for pack in packs), initial=0)
    index = torch.cat([per_image.matched + n for per_image, n in zip(rois, before, strict=False)])
    if method != "roi_align":
        sampled = sample_crops(**crops, boxes=boxes, index=index, resolution=resolution)
        return (sampled >= 0.5).to(boxes.dtype)
    limits = [
        torch.stack([torch.full_like(per_image.matched, side) for side in target.size[::-1]], dim=1)
        for per_image, target in zip(rois, targets, strict=True)
    ]
    return align_crops(
        **crops, boxes=boxes, index=index, resolution=resolution, limits=torch.cat(limits)
    )


@registry.ROI_BRANCHES.register("mask")
def mask_branch(source: RoISource, cfg: CfgNode = cfg) -> MaskRCNN:
    """Return the branch that ``cfg`` describes."""
    if cfg.MRCNN.SHARE_RES5:
        assert isinstance(source.box_branch, FastRCNN)
        return build_mask_rcnn_on_res5(source.box_branch, source.num_classes, cfg)
    return build_mask_rcnn(source.dim_in, source.spatial_scale, source.num_classes, cfg)


def build_mask_rcnn(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> MaskRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``."""
    return _build_branch(build_mask_pooler(spatial_scale, cfg), dim_in, num_classes, cfg)


def build_mask_rcnn_on_res5(box_branch: FastRCNN, num_classes: int, cfg: CfgNode = cfg) -> MaskRCNN:
    """Return the branch on res5 of ``box_branch``, whose head is roi_res5_head."""
    res5 = SharedRes5(box_branch)
    return _build_branch(res5, res5.head.dim_out, num_classes, cfg)


def _build_branch(
    pooler: RoIPooler | SharedRes5, dim_in: int, num_classes: int, cfg: CfgNode
) -> MaskRCNN:
    mask = cfg.MRCNN
    head = registry.ROI_MASK_HEADS[mask.ROI_MASK_HEAD](dim_in, cfg)
    return MaskRCNN(
        pooler,
        head,
        MaskPredictor(head.dim_out, mask.CONV_DIM, num_classes),
        tuple(mask.RESOLUTION),
        mask.TARGET_METHOD,
        mask.PASTE_METHOD,
    )
