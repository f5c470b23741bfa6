"""Running a network in less than full precision."""

from contextlib import AbstractContextManager

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return the context of a forward pass on ``device`` in ``precision``.

    "float32" changes nothing; in "bfloat16" convolutions and matrix products take and give
    bfloat16, and the weights stay as they are.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
