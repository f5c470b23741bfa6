"""RoIAlign (He et al. 2017)."""

from torch import Tensor
from torchvision import ops

from pet.ops.cpu.roi_align import roi_align_cpu


def roi_align(
    feature: Tensor,
    rois: Tensor,
    *,
    resolution: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Return (R, C, height, width) for ``rois`` (R, 5): image index, then xyxy in input pixels.

    ``feature`` (N, C, H, W), on a CPU preferably channels_last. ``scale`` is feature pixels per
    input pixel. ``sampling_ratio`` and ``aligned`` are those of torchvision's operator, which is
    used on all devices but CPUs.
    """
    align = roi_align_cpu if feature.device.type == "cpu" else ops.roi_align
    return align(feature, rois, resolution, scale, sampling_ratio, aligned)
