"""A convolution and the norm behind it as one step."""

from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.norm import FrozenBatchNorm2d, scale_and_shift


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """Return ``norm(conv(x))`` for ``x`` (N, C, H, W).

    A norm with fixed statistics is folded into the weight: the map is never written to memory
    before it is normalised, and the gradient of the weight stays exact.
    """
    if isinstance(norm, FrozenBatchNorm2d) or (
        isinstance(norm, nn.BatchNorm2d) and not norm.training
    ):
        scale, shift = scale_and_shift(norm)
        weight = conv.weight * scale.reshape(-1, 1, 1, 1)
        # The padding of this project's convolutions is always a pair of numbers.
        assert not isinstance(conv.padding, str) and conv.bias is None
        return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)
    return norm(conv(x))


def init_conv(conv: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, gain: str = "relu") -> None:
    """Draw the weight for a layer followed by ReLU ("relu") or by nothing ("linear"); zero bias."""
    if gain == "relu":
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
