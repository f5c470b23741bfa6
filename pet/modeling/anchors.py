"""The boxes that the RPN starts from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AnchorGenerator(nn.Module):
    """Anchors of every size and ratio, centred at each feature pixel times the stride.

    Not rounded. At a pixel the order is sizes outside, ratios inside. They are made anew for each
    batch, which takes a thousandth of a step: kept for every shape of batch, they would fill
    gigabytes.
    """

    cells: Tensor

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float],
        strides: Sequence[int],
    ) -> None:
        """Build the generator, with A = sizes of a level * ratios anchors at every pixel.

        ``sizes`` of each level, square roots of areas in pixels, equally many on every level;
        ``ratios`` height / width; ``strides`` of each level, in pixels of the network input.
        """
        super().__init__()
        self.strides = tuple(strides)
        cells = torch.stack([_cell_anchors(level_sizes, ratios) for level_sizes in sizes])
        self.register_buffer("cells", cells, persistent=False)  # (levels, A, 4)
        self.num_per_pixel = cells.shape[1]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return for each map (N, C, H, W) its anchors (H * W * A, 4) xyxy, row by row of pixels.

        Float32, in pixels of the network input.
        """
        return [
            _shifted(cells, stride, *feature.shape[-2:])
            for cells, stride, feature in zip(self.cells, self.strides, features, strict=True)
        ]


def _shifted(cells: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Return the (H * W * A, 4) anchors ``cells`` (A, 4) at every pixel of a map."""
    y = torch.arange(height, device=cells.device, dtype=torch.float32) * stride
    x = torch.arange(width, device=cells.device, dtype=torch.float32) * stride
    y, x = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
    return (shifts + cells).reshape(-1, 4)


def _cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Return the (A, 4) anchors around the origin."""
    boxes = []
    for size in sizes:
        for ratio in ratios:
            width = (size * size / ratio) ** 0.5
            height = ratio * width
            boxes.append((-width / 2, -height / 2, width / 2, height / 2))
    return torch.tensor(boxes)
