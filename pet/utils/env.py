"""Versions, CPUs and devices of this machine, and the device that a config names."""

import os
import platform
import sys

import numpy
import torch
import torchvision


def resolve_device(name: str) -> torch.device:
    """Return the device that ``DEVICE`` names; "auto" is CUDA if available, else the CPU.

    Raises ValueError for an unknown name, and for a CUDA device that does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"no device {name!r} (DEVICE); give auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"Pet does not run on {name!r} (DEVICE); give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"DEVICE is {name!r}, but torch {torch.__version__} finds no CUDA device; "
            "give DEVICE cpu, or install a driver and a CUDA build of torch"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"DEVICE is {name!r}, but there are {torch.cuda.device_count()} CUDA devices, from 0"
        )
    return device


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_env() -> str:
    """Return a few lines with versions and devices, for the log and for bug reports."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return "\n".join(
        (
            f"python {sys.version.split()[0]} on {platform.platform()}",
            f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
            f"numpy {numpy.__version__}, CUDA {torch.version.cuda or 'not built in'}",
            f"devices: {', '.join(gpus) or 'CPU only'}; {torch.get_num_threads()} CPU threads",
        )
    )
