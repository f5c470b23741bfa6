import pytest
import torch

from tools.benchmark.device_syncs import count_syncs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_waits_are_counted():
    x = torch.ones(10, device="cuda")
    assert count_syncs(lambda: x.sum()) == 0
    assert count_syncs(lambda: (x.sum().item(), torch.nonzero(x))) == 2
