"""The Mask R-CNN branch (He et al. 2017): a mask for every detected object.

N images, R RoIs over all images, K classes without the background, M the side of a mask.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import init_conv
from pet.layers.roi_pooler import LevelRule, RoIPooler
from pet.modeling import registry
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.ops.losses import mask_bce
from pet.ops.mask_align import align_crops
from pet.ops.masks import sample_crops
from pet.ops.precision import full_precision
from pet.structures import Detections, Targets


class MaskPredictor(nn.Module):
    """A deconvolution that doubles the grid, and one mask for each class."""

    def __init__(self, dim_in: int, num_classes: int) -> None:
        """``num_classes`` counts the background, whose mask is not used."""
        super().__init__()
        self.deconv = nn.ConvTranspose2d(dim_in, dim_in, 2, 2)
        self.mask_logits = nn.Conv2d(dim_in, num_classes, 1)
        init_conv(self.deconv)
        # Near zero (Detectron2): drawn for a ReLU, the logits of few classes would start wild.
        nn.init.normal_(self.mask_logits.weight, std=0.001)
        assert self.mask_logits.bias is not None
        nn.init.zeros_(self.mask_logits.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, dim_in, M / 2, M / 2) to logits (R, K + 1, M, M)."""
        return self.mask_logits(F.relu(self.deconv(x), inplace=True))


class MaskRCNN(nn.Module):
    """Pools RoIs and predicts a mask in each; its two ends are ``losses`` and ``add_masks``."""

    def __init__(
        self,
        pooler: RoIPooler,
        head: nn.Module,
        predictor: MaskPredictor,
        resolution: tuple[int, int],
        target_method: str = "cell_centre",
        paste_method: str = "pixel_centre",
    ) -> None:
        """Build the branch.

        ``resolution`` is the height and width of a predicted mask, in cells; ``target_method``
        ("cell_centre" or "roi_align") makes the training masks; ``paste_method`` ("pixel_centre" or
        "integer_box") is how the predicted ones are meant to become pixels.
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
        logits = self.predictor(self.head(self.pooler(features, boxes)))
        label = torch.cat(list(labels))
        return full_precision(logits[torch.arange(len(label), device=label.device), label])

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return loss_mask, the mean binary cross-entropy over the masks of the foreground."""
        logits = self(
            features,
            [per_image.foreground_boxes for per_image in rois],
            [per_image.foreground_labels for per_image in rois],
        )
        wanted = [
            mask_targets(per_image, target, self.resolution, self.target_method)
            for per_image, target in zip(rois, targets, strict=True)
        ]
        return {"loss_mask": mask_bce(logits, torch.cat(wanted))}

    def add_masks(
        self, features: Sequence[Tensor], detections: Sequence[Detections]
    ) -> list[Detections]:
        """Return the detections with their ``mask_probs``."""
        boxes = [per_image.boxes for per_image in detections]
        logits = self(features, boxes, [per_image.labels for per_image in detections])
        probs = logits.sigmoid().split([len(per_image) for per_image in boxes])
        return [
            replace(per_image, mask_probs=prob, mask_paste=self.paste_method)
            for per_image, prob in zip(detections, probs, strict=True)
        ]


def mask_targets(
    rois: SampledRoIs, target: Targets, resolution: tuple[int, int], method: str = "cell_centre"
) -> Tensor:
    """Return the (F, M, M) masks of the foreground RoIs of one image.

    ``method`` "cell_centre": 0 or 1, the mask at the centre of each cell; "roi_align": 0..1.
    """
    masks = target.masks
    assert masks is not None, "the data set was read without masks"
    crops = (masks.bits, masks.starts, masks.origins, masks.sizes)
    boxes, index = rois.foreground_boxes, rois.matched
    if method == "roi_align":
        return align_crops(*crops, boxes, index, resolution, target.size)
    return (sample_crops(*crops, boxes, index, resolution) >= 0.5).to(boxes.dtype)


def build_mask_rcnn(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> MaskRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``."""
    mask = cfg.MRCNN
    head = registry.ROI_MASK_HEADS[mask.ROI_MASK_HEAD](dim_in, cfg)
    return MaskRCNN(
        RoIPooler(
            mask.ROI_XFORM_METHOD,
            tuple(mask.ROI_XFORM_RESOLUTION),
            mask.ROI_XFORM_SAMPLING_RATIO,
            spatial_scale,
            mask.ROI_XFORM_ALIGNED,
            LevelRule(cfg.FPN.ROI_RATIO_EPS, cfg.FPN.ROI_LEVEL_EPS),
        ),
        head,
        MaskPredictor(head.dim_out, num_classes),
        tuple(mask.RESOLUTION),
        mask.TARGET_METHOD,
        mask.PASTE_METHOD,
    )
