import pytest

from tests.engine.data_check.small_sets import SmallData


@pytest.fixture
def data(tmp_path) -> SmallData:
    return SmallData(tmp_path)
