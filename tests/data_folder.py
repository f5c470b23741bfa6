"""Where optional real pictures for tests lie."""

import os
from pathlib import Path

import pytest

#: Names the folder of the real test data; empty says that there is none.
VARIABLE = "PET_TEST_DATA"
_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder(name: str) -> Path:
    """Return folder ``name`` of the real test data, or skip the test where there is none."""
    root = os.environ.get(VARIABLE, str(_BESIDE_THE_CHECKOUT))
    if not root or not Path(root, name).is_dir():
        pytest.skip(f"no real pictures: set {VARIABLE} to a folder that holds {name}/")
    return Path(root, name)
