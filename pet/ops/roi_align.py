"""RoIAlign (He et al. 2017)."""

from torch import Tensor
from torchvision import ops

from pet.ops.cpu.roi_align import roi_align_by_rows


def roi_align(
    feature: Tensor,
    rois: Tensor,
    *,
    resolution: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Return (R, C, height, width) for ``rois`` (R, 5): the index of the image, and xyxy.

    ``feature`` (N, C, H, W), on a CPU best channels_last; boxes are in pixels of the input, and
    ``scale`` is the feature pixels for each of them. ``sampling_ratio`` and ``aligned`` as in
    torchvision's operator, which does the work but on a CPU.
    """
    align = roi_align_by_rows if feature.device.type == "cpu" else ops.roi_align
    return align(feature, rois, resolution, scale, sampling_ratio, aligned)
