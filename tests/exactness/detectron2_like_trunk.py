"""The trunk and the pyramid of Detectron2's models, as ``detectron2_like`` has the rest."""

import torch
import torch.nn.functional as F

State = dict[str, torch.Tensor]

STAGES = ("res2", "res3", "res4", "res5")


def conv_norm(
    state: State, name: str, x: torch.Tensor, stride: int = 1, dilation: int = 1
) -> torch.Tensor:
    """Convolve, then normalise with the frozen statistics (eps 1e-5; none in the file: 0 and 1)."""
    weight = state[f"{name}.weight"]
    groups = x.shape[1] // weight.shape[1]
    padding = weight.shape[-1] // 2 * dilation
    x = F.conv2d(x, weight, None, stride, padding, dilation, groups)
    gain, shift = state[f"{name}.norm.weight"], state[f"{name}.norm.bias"]
    mean = state.get(f"{name}.norm.running_mean", torch.zeros_like(gain))
    variance = state.get(f"{name}.norm.running_var", torch.ones_like(gain))
    return F.batch_norm(x, mean, variance, gain, shift, training=False, eps=1e-5)


def bottleneck(
    state: State,
    name: str,
    x: torch.Tensor,
    stride: int,
    stride_in_1x1: bool,
    dilation: int = 1,
) -> torch.Tensor:
    strides = (stride, 1) if stride_in_1x1 else (1, stride)
    out = conv_norm(state, f"{name}.conv1", x, strides[0]).relu()
    out = conv_norm(state, f"{name}.conv2", out, strides[1], dilation).relu()
    out = conv_norm(state, f"{name}.conv3", out)
    if f"{name}.shortcut.weight" in state:
        x = conv_norm(state, f"{name}.shortcut", x, stride)
    return (out + x).relu()


def resnet(state: State, x: torch.Tensor, stride_in_1x1: bool) -> list[torch.Tensor]:
    """Return the maps of res2 .. res5."""
    x = conv_norm(state, "backbone.bottom_up.stem.conv1", x, stride=2).relu()
    x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    maps = []
    for stage in STAGES:
        block = 0
        while f"backbone.bottom_up.{stage}.{block}.conv1.weight" in state:
            stride = 2 if stage != "res2" and block == 0 else 1
            name = f"backbone.bottom_up.{stage}.{block}"
            x = bottleneck(state, name, x, stride, stride_in_1x1)
            block += 1
        maps.append(x)
    return maps


def conv(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def fpn(state: State, maps: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the maps P2 .. P6 of res2 .. res5."""
    inner = conv(state, "backbone.fpn_lateral5", maps[3])
    outputs = [conv(state, "backbone.fpn_output5", inner)]
    for level in (4, 3, 2):
        lateral = conv(state, f"backbone.fpn_lateral{level}", maps[level - 2])
        inner = lateral + F.interpolate(inner, scale_factor=2, mode="nearest")
        outputs.insert(0, conv(state, f"backbone.fpn_output{level}", inner))
    return [*outputs, F.max_pool2d(outputs[-1], kernel_size=1, stride=2)]
