"""Pooling RoIs to a grid of fixed size, each from the pyramid level that fits its size.

R RoIs over all images, C channels, N images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import roi_pool

from pet.ops.boxes import box_area
from pet.ops.roi_align import roi_align

# An RoI of this side, in pixels, is pooled from the level of stride 16 (FPN, equation 1).
_CANONICAL_SIDE, _CANONICAL_LEVEL = 224, 4


@dataclass(frozen=True, kw_only=True)
class LevelRule:
    """Rounding terms that decide the level of an RoI on the boundary between two levels."""

    ratio_eps: float = 1e-8  # added to side / 224, before the logarithm
    level_eps: float = 0.0  # added to the level, before it is rounded down


class RoIPooler(nn.Module):
    """RoIAlign (He et al. 2017) or RoIPool (Girshick 2015) over pyramid levels."""

    def __init__(
        self,
        method: str,
        *,
        resolution: tuple[int, int],
        sampling_ratio: int,
        spatial_scales: Sequence[float],
        aligned: bool = True,
        level_rule: LevelRule | None = None,
    ) -> None:
        """Build the pooler.

        ``method`` "ROIAlign" or "ROIPool"; ``resolution`` height and width of the grid, in cells;
        ``sampling_ratio`` sampling points along each side of a cell, 0 for one per feature pixel;
        ``spatial_scales`` feature pixels per image pixel of each level, finest first, each half of
        the one before; ``aligned`` whether RoIAlign subtracts half a feature pixel from the boxes.
        """
        super().__init__()
        if method not in ("ROIAlign", "ROIPool"):
            raise ValueError(f"no RoI pooling named {method!r}; choose from ROIAlign, ROIPool")
        self.method = method
        self.resolution = resolution
        self.sampling_ratio = sampling_ratio
        self.spatial_scales = tuple(spatial_scales)
        self.aligned = aligned
        self.level_rule = level_rule or LevelRule()

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return (R, C, height, width) for ``boxes``, N x (R_n, 4) xyxy in pixels of the input.

        ``features`` are maps (N, C, H_l, W_l), at least one for each of ``spatial_scales``; further
        maps are not used.
        """
        rois = _with_image_index(boxes)
        if len(self.spatial_scales) == 1:
            return self._pool(features[0], rois, self.spatial_scales[0])
        levels = assign_levels(rois[:, 1:], self.spatial_scales, self.level_rule)
        order = torch.argsort(levels, stable=True)
        all_levels = torch.arange(len(self.spatial_scales), device=levels.device)
        counts = (levels[:, None] == all_levels).sum(dim=0).tolist()  # the one device sync
        parts = [
            self._pool(features[level], rois_of_level, self.spatial_scales[level])
            for level, rois_of_level in enumerate(rois[order].split(counts))
        ]
        return torch.cat(parts)[torch.argsort(order)]

    def _pool(self, feature: Tensor, rois: Tensor, scale: float) -> Tensor:
        if self.method == "ROIPool":
            return roi_pool(feature, rois, self.resolution, scale)
        return roi_align(
            feature,
            rois,
            resolution=self.resolution,
            scale=scale,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )


def assign_levels(
    boxes: Tensor, spatial_scales: Sequence[float], rule: LevelRule | None = None
) -> Tensor:
    """Return the level index (R,) int64 of each of ``boxes`` (R, 4), by equation 1 of FPN."""
    rule = rule or LevelRule()
    finest = round(-math.log2(spatial_scales[0]))
    side = box_area(boxes).clamp(min=0).sqrt()
    ratio = side / _CANONICAL_SIDE + rule.ratio_eps
    level = torch.floor(_CANONICAL_LEVEL + torch.log2(ratio) + rule.level_eps)
    return (level - finest).nan_to_num(0).clamp(0, len(spatial_scales) - 1).long()


def _with_image_index(boxes: Sequence[Tensor]) -> Tensor:
    """Return the boxes as (R, 5): image index, then xyxy."""
    index = [per_image.new_full((len(per_image), 1), n) for n, per_image in enumerate(boxes)]
    return torch.cat([torch.cat(index), torch.cat(list(boxes))], dim=1)
