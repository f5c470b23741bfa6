"""Which packages a machine lacks, and taking them from a folder of wheels. Needs Python alone."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

#: Module -> the package that has it: what Pet needs.
PET: Mapping[str, str] = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yacs": "yacs",
    "yaml": "pyyaml",
    "pycocotools": "pycocotools",
    "orjson": "orjson",
    "tensorboard": "tensorboard",
    "tqdm": "tqdm",
    "matplotlib": "matplotlib",
}
#: ... and what its tests need beside that.
TESTS: Mapping[str, str] = {"pytest": "pytest"}
# What pytest needs, if it comes from a folder of wheels.
_OF_PYTEST = {name: name for name in ("iniconfig", "pluggy", "packaging", "pygments")}
_OF_PYTEST_BEFORE_3_11 = {"exceptiongroup": "exceptiongroup", "tomli": "tomli"}


def missing_modules(names: Iterable[str], folder: Path | None = None) -> list[str]:
    """Return those of ``names`` that cannot be imported, not from ``folder`` either."""
    return [
        name
        for name in names
        if importlib.util.find_spec(name) is None
        and (folder is None or PathFinder.find_spec(name, [str(folder)]) is None)
    ]


def advice(missing: Collection[str]) -> str:
    """Return how to install the ``missing`` modules."""
    packages = {**PET, **TESTS}
    names = " ".join(packages[name] for name in missing)
    return (
        f"missing here: {', '.join(missing)}; install them: {sys.executable} -m pip install "
        f"{names}; or, without a network, give their wheels: --wheels FOLDER, which "
        f"'pip download --dest FOLDER {names}' fills elsewhere, for the same Python"
    )


def install_wheels(wheels: Path, missing: Collection[str], target: Path) -> list[str]:
    """Install the packages of the ``missing`` modules from the folder ``wheels`` into ``target``.

    Each alone, without what it depends on, so that nothing of the system is hidden. Returns what
    pip says of those that it could not install.
    """
    packages = {name: {**PET, **TESTS}[name] for name in missing}
    if "pytest" in missing:
        older = _OF_PYTEST_BEFORE_3_11 if sys.version_info < (3, 11) else {}
        beside = {**_OF_PYTEST, **older}
        packages |= {name: beside[name] for name in missing_modules(beside)}
    said = []
    for package in packages.values():
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--find-links", str(wheels), "--no-deps"),
            *("--target", str(target), package),
        ]
        # Some images of containers pin versions, of which the folder may have others.
        env = {**os.environ, "PIP_CONSTRAINT": ""}
        result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if result.returncode:
            lines = (result.stderr or result.stdout).strip().splitlines()
            said.append(f"{package}: {lines[0] if lines else f'status {result.returncode}'}")
    return said
