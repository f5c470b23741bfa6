"""What a machine has that decides how fast Pet runs there: GPU, driver, versions, processors.

python -m tools.benchmark.environment --device cuda --json environment.json
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from pet.utils.env import cpu_count, describe_env, resolve_device
from pet.utils.files import atomic_path

_ASKED = "name,driver_version,memory.total,power.limit"


def main() -> None:
    """Print what there is, and write it as JSON; ValueError where the device is not there."""
    parser = argparse.ArgumentParser(description="Describe this machine.")
    parser.add_argument("--device", default="auto", help="which must be there; as DEVICE")
    parser.add_argument("--json", required=True, metavar="FILE", help="where it is written")
    args = parser.parse_args()
    found = environment()
    print("\n".join(found["lines"]))
    with atomic_path(args.json) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    device = resolve_device(args.device)
    if device.type == "cuda":
        torch.ones(2, device=device).sum().item()  # raises where the driver is too old for it


def environment() -> dict[str, Any]:
    """Return the name of the device, and lines that describe all there is."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "none")
    lines = [
        *describe_env().splitlines(),
        f"nvidia-smi ({_ASKED}): {'; '.join(_nvidia_smi())}",
        f"cuDNN {torch.backends.cudnn.version()}; {cpu_count()} CPUs; C compiler: {compiler}; "
        f"shared memory: {_shared_memory()}",
    ]
    return {
        "device": device,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "lines": lines,
    }


def _shared_memory() -> str:
    shared = Path("/dev/shm")
    return f"{shutil.disk_usage(shared).free / 1e9:.1f} GB" if shared.is_dir() else "unknown"


def _nvidia_smi() -> list[str]:
    """Return a line for each GPU, or one that says why there are none."""
    command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"not to be had ({type(error).__name__})"]
    return (said.stdout or said.stderr).strip().splitlines() or ["nothing"]


if __name__ == "__main__":
    main()
