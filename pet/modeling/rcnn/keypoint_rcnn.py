"""The keypoint branch of Mask R-CNN (He et al. 2017, section 5), which locates points in RoIs.

N images, R RoIs over all images, P points, H and W the sides of a heatmap, in cells.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.roi_pooler import RoIPooler
from pet.modeling import registry
from pet.modeling.contract import SeenDetections
from pet.modeling.rcnn.roi_branch import RoISource
from pet.modeling.rcnn.roi_poolers import build_keypoint_pooler
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.ops.full_precision import full_precision
from pet.ops.keypoints import NO_BIN, decode_heatmaps, keypoint_bins, scale_keypoints
from pet.structures import Detections, Targets

# Cells of a heatmap along a side of a cell of the pooled grid: times 2 by the deconvolution, and
# times 2 by the interpolation.
_ENLARGEMENT = 4


class KeypointPredictor(nn.Module):
    """A heatmap per point: a deconvolution and an interpolation, each of which doubles its size."""

    def __init__(self, dim_in: int, num_keypoints: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(dim_in, num_keypoints, 4, 2, padding=1)
        # Near zero, so that at first every cell is as likely as the others.
        nn.init.normal_(self.deconv.weight, std=0.001)
        assert self.deconv.bias is not None
        nn.init.zeros_(self.deconv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, dim_in, H / 4, W / 4) to logits (R, P, H, W)."""
        return F.interpolate(self.deconv(x), scale_factor=2.0, mode="bilinear", align_corners=False)


class KeypointRCNN(nn.Module):
    """Pools RoIs and predicts heatmaps; its two ends are ``losses`` and ``add``."""

    attribute = "Keypoint_RCNN"
    views_key = "KPS_AUG"

    def __init__(
        self,
        pooler: RoIPooler,
        head: nn.Module,
        predictor: KeypointPredictor,
        resolution: tuple[int, int],
        score_method: str = "probability",
        points_per_image: float | None = None,
    ) -> None:
        """Build the branch.

        ``resolution`` is the height and width of a heatmap, in cells; ``score_method``
        ("probability" or "one") gives the third value of a predicted point; the loss is divided by
        the images times ``points_per_image``, or, with None, by the points that it is summed over.
        """
        super().__init__()
        self.pooler = pooler
        self.head = head
        self.predictor = predictor
        self.resolution = resolution
        self.score_method = score_method
        self.points_per_image = points_per_image

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return the logits (R, P, H, W) of the points in ``boxes``, N x (R_n, 4)."""
        return full_precision(self.predictor(self.head(self.pooler(features, boxes))))

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> dict[str, Tensor]:
        """Return loss_keypoint, the cross-entropy over the cells, for points inside their RoI.

        Those are the labelled points, hidden or not, inside a foreground RoI.
        """
        boxes, bins = [], []
        for per_image, target in zip(rois, targets, strict=True):
            per_image_bins = keypoint_targets(per_image, target, self.resolution)
            # RoIs without a point add nothing. Waiting for their number costs far less than
            # convolving them: on COCO they are about half.
            useful = torch.nonzero((per_image_bins != NO_BIN).any(dim=1)).squeeze(1)
            boxes.append(per_image.foreground_boxes[useful])
            bins.append(per_image_bins[useful])
        wanted = torch.cat(bins)
        loss = F.cross_entropy(
            self(features, boxes).flatten(2).flatten(0, 1),
            wanted.flatten(),
            ignore_index=NO_BIN,
            reduction="sum",
        )
        if self.points_per_image is not None:
            return {"loss_keypoint": loss / (self.points_per_image * len(rois))}
        return {"loss_keypoint": loss / (wanted != NO_BIN).sum().clamp(min=1)}

    def add(self, features: Sequence[Tensor], detections: Sequence[Detections]) -> list[Detections]:
        """Return the detections with their ``keypoints``."""
        boxes = [per_image.boxes for per_image in detections]
        logits = self(features, boxes).split([len(per_image) for per_image in boxes])
        return [
            replace(per_image, keypoints=self.decode(maps, per_image.boxes))
            for per_image, maps in zip(detections, logits, strict=True)
        ]

    def add_in_views(
        self,
        views: Iterable[SeenDetections],
        detections: Detections,
        point_order: Sequence[int] = (),
    ) -> Detections:
        """Return ``detections`` with points from the mean heatmaps of ``views`` (Detectron).

        They are decoded at the scale of the first view, which is not mirrored.
        """
        heatmaps, seen = [], []
        for view in views:
            seen.append(view.detections)
            logits = self(view.features, [view.detections.boxes])
            heatmaps.append(logits[:, list(point_order)].flip(-1) if view.flipped else logits)
        mean = torch.stack(heatmaps).mean(dim=0)
        (height, width), (seen_height, seen_width) = detections.size, seen[0].size
        keypoints = self.decode(mean, seen[0].boxes)
        scaled = scale_keypoints(keypoints, width / seen_width, height / seen_height)
        return replace(detections, keypoints=scaled)

    def decode(self, logits: Tensor, boxes: Tensor) -> Tensor:
        """Decode ``logits`` (R, P, H, W) in ``boxes`` (R, 4) to points (R, P, 3)."""
        return decode_heatmaps(logits, boxes, self.score_method)


def keypoint_targets(rois: SampledRoIs, target: Targets, resolution: tuple[int, int]) -> Tensor:
    """Return the cell (F, P) int64 of each point of the foreground RoIs of one image.

    It is ``NO_BIN`` if a point is not labelled or not in its RoI.
    """
    assert target.keypoints is not None, "the data set was read without keypoints"
    return keypoint_bins(target.keypoints[rois.matched], rois.foreground_boxes, resolution)


@registry.ROI_BRANCHES.register("keypoint")
def keypoint_branch(source: RoISource, cfg: CfgNode = cfg) -> KeypointRCNN:
    """Return the branch that ``cfg`` describes."""
    return build_keypoint_rcnn(source.dim_in, source.spatial_scale, cfg)


def build_keypoint_rcnn(
    dim_in: int, spatial_scale: Sequence[float], cfg: CfgNode = cfg
) -> KeypointRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``.

    Raises ValueError if ``cfg`` does not give the number of points.
    """
    keypoint, fast = cfg.KRCNN, cfg.FAST_RCNN
    if keypoint.NUM_KEYPOINTS < 1:
        raise ValueError(
            f"KRCNN.NUM_KEYPOINTS is {keypoint.NUM_KEYPOINTS}; a model needs the number of points: "
            "set it, or take it from a data set by resolve_num_keypoints"
        )
    height, width = keypoint.ROI_XFORM_RESOLUTION
    head = registry.ROI_KEYPOINT_HEADS[keypoint.ROI_KEYPOINT_HEAD](dim_in, cfg)
    points_per_image = None
    if keypoint.LOSS_NORMALIZER == "batch_size":
        foreground = fast.BATCH_SIZE_PER_IMAGE * fast.POSITIVE_FRACTION
        points_per_image = foreground * keypoint.NUM_KEYPOINTS
    return KeypointRCNN(
        build_keypoint_pooler(spatial_scale, cfg),
        head,
        KeypointPredictor(head.dim_out, keypoint.NUM_KEYPOINTS),
        (_ENLARGEMENT * height, _ENLARGEMENT * width),
        keypoint.SCORE_METHOD,
        points_per_image,
    )
