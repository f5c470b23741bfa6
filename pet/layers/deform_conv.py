"""Deformable convolution (Dai et al. 2017), also modulated (Zhu et al. 2018)."""

from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from pet.ops.full_precision import full_precision


class DeformConv2d(nn.Conv2d):
    """A 3x3 convolution without bias whose sampling points are shifted by predicted offsets.

    The submodule ``offset`` predicts for every output pixel a shift (y, x) of each of the 9
    sampling points, in input pixels, and in version 2 also a factor for each sampled value. Its
    weights start at zero: no shifts and factors of 1, which is the plain convolution.
    """

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        version: int = 1,
    ) -> None:
        """``version`` 1 predicts offsets, 2 also modulation factors."""
        super().__init__(dim_in, dim_out, 3, stride, dilation, dilation, groups, bias=False)
        self.version = version
        outputs = 9 * (2 if version == 1 else 3)
        self.offset = nn.Conv2d(dim_in, outputs, 3, stride, dilation, dilation)
        self.reset_offset()

    def reset_offset(self) -> None:
        """Set ``offset`` to zero, which makes this a plain convolution."""
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, dim_out, H / stride, W / stride)."""
        return self.convolve(x, self.weight, self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the result of ``forward`` for ``x``, but with this ``weight`` and ``bias``."""
        offset, factor = self.offset(x), None
        if self.version == 2:
            offset, factor = offset.split((18, 9), dim=1)
            # The paper's sigmoid starts at 0.5, which would halve the output of a trained weight.
            factor = full_precision(2 * factor.sigmoid())
        assert not isinstance(self.padding, str)
        # The operator does not support bfloat16, and under autocast its inputs have mixed types.
        return deform_conv2d(
            full_precision(x),
            full_precision(offset),
            full_precision(weight),
            bias,
            self.stride,
            self.padding,
            self.dilation,
            factor,
        )
