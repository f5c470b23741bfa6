"""Norms with something to normalise by."""

import torch
from torch import nn

from pet.layers.norm import FrozenBatchNorm2d


def randomise_norms(module: nn.Module, seed: int = 0) -> None:
    """Draw weight, bias and statistics of every batch norm in ``module``, frozen or not."""
    generator = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
            with torch.no_grad():
                norm.weight.uniform_(0.5, 1.0, generator=generator)
                norm.bias.normal_(std=0.2, generator=generator)
                norm.running_mean.normal_(std=0.2, generator=generator)
                norm.running_var.uniform_(0.5, 2.0, generator=generator)
