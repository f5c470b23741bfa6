"""The precision in which losses and boxes are computed."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or as it is where it is in float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
