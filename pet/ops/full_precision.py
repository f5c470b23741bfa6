"""The precision in which losses and boxes are computed."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32; a float64 tensor keeps its type."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
