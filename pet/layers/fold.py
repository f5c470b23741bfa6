"""Preparing a trained network for inference by folding fixed norms into the convolutions."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pet.layers.conv import ConvNorm, has_fixed_statistics
from pet.layers.norm import FrozenBatchNorm2d, scale_and_shift


@torch.no_grad()
def prepare_for_inference(model: nn.Module, precision: str = "float32") -> None:
    """Fold the fixed norms of ``model``, in eval mode, into its convolutions, in place.

    The outputs stay the same, bit for bit, but work that does not depend on the image is done only
    once. The model can no longer be trained. The attribute ``conv_norms`` of a module lists pairs
    (name of a convolution, name of the norm after it). With ``precision`` "bfloat16" the weights
    are converted here once, instead of by autocast in each forward pass.
    """
    assert not model.training
    for module in list(model.modules()):
        if isinstance(module, ConvNorm) and has_fixed_statistics(module.norm):
            _fold(module, module.norm)
            module.norm = None
        for conv_name, norm_name in getattr(module, "conv_norms", ()):
            norm = module.get_submodule(norm_name)
            if has_fixed_statistics(norm):
                _fold(module.get_submodule(conv_name), norm)
                setattr(module, norm_name, nn.Identity())
    if precision == "bfloat16":
        _convert(model)


def _fold(conv: nn.Module, norm: FrozenBatchNorm2d | _BatchNorm) -> None:
    assert isinstance(conv, nn.Conv2d)
    scale, shift = scale_and_shift(norm)
    conv.weight = _constant(conv.weight * scale.reshape(-1, 1, 1, 1))
    conv.bias = _constant(shift)


def _convert(model: nn.Module) -> None:
    """Convert to bfloat16 the weights of layers that autocast runs in bfloat16.

    Only these exact classes: subclasses may use their weights in float32 first, as deformable
    convolutions and timm's weight-standardised convolutions do.
    """
    for module in model.modules():
        plain = type(module) in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, ConvNorm)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and plain:
            module.weight = _constant(module.weight.bfloat16())
            if module.bias is not None:
                module.bias = _constant(module.bias.bfloat16())


def _constant(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)
