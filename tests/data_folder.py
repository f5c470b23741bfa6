"""Where optional real pictures for tests lie."""

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder(name: str) -> Path:
    """Return folder ``name`` of the real test data, or skip the test where there is none."""
    root = Path(os.environ.get("PET_TEST_DATA", _BESIDE_THE_CHECKOUT))
    if not (root / name).is_dir():
        pytest.skip(f"no real pictures: set PET_TEST_DATA to a folder that holds {name}/")
    return root / name
