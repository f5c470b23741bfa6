"""The boxes that the RPN and RetinaNet start from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AnchorGenerator(nn.Module):
    """Anchors of every size and ratio, centred at each feature pixel times the stride.

    At a pixel the order is sizes outside, ratios inside. They are made anew for each
    batch, which takes a thousandth of a step: kept for every shape of batch, they would fill
    gigabytes.
    """

    cells: Tensor

    def __init__(
        self,
        *,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float],
        strides: Sequence[int],
        rounded: bool = False,
        step_from_size: bool = False,
    ) -> None:
        """Build the generator, with A = sizes of a level * ratios anchors at every pixel.

        ``sizes`` of each level, square roots of areas in pixels, equally many on every level;
        ``ratios`` height / width; ``strides`` of each level, in pixels of the network input;
        ``rounded`` whether corners at the origin are rounded, halves to even; ``step_from_size``
        whether anchors stand the padded image's side // the map's side apart, as torchvision has
        it, and not their stride: the two differ where a side does not divide by the stride.
        """
        super().__init__()
        self.strides = tuple(strides)
        self.step_from_size = step_from_size
        cells = torch.stack([_cell_anchors(level_sizes, ratios) for level_sizes in sizes])
        cells = cells.round() if rounded else cells
        self.register_buffer("cells", cells, persistent=False)  # (levels, A, 4)
        self.num_per_pixel = cells.shape[1]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return for each map (N, C, H, W) its anchors (H * W * A, 4) xyxy, row by row of pixels.

        Float32, in pixels of the network input.
        """
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
        return [
            _shifted(cells, step, size)
            for cells, step, size in zip(self.cells, self._steps(sizes), sizes, strict=True)
        ]

    def _steps(self, sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the distance of rows and of columns on each of the maps of ``sizes``."""
        if not self.step_from_size:
            return [(stride, stride) for stride in self.strides]
        # The padded image divides by the stride of the finest map.
        height, width = (side * self.strides[0] for side in sizes[0])
        return [(height // rows, width // columns) for rows, columns in sizes]


def _shifted(cells: Tensor, step: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return the (H * W * A, 4) anchors ``cells`` (A, 4) at every pixel of a map of ``size``."""
    y = torch.arange(size[0], device=cells.device, dtype=torch.float32) * step[0]
    x = torch.arange(size[1], device=cells.device, dtype=torch.float32) * step[1]
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
