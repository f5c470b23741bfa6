"""Running a network in less than full precision."""

from contextlib import AbstractContextManager

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Return a context manager that runs a forward pass on ``device`` in ``precision``.

    "float32" changes nothing. With "bfloat16", convolutions and matrix products take and return
    bfloat16; the weights keep their type.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
