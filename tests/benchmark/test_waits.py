import pytest
import torch

from pet.benchmark.waits import count_waits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_waits_are_counted():
    x = torch.ones(10, device="cuda")
    assert count_waits(lambda: x.sum()) == 0
    assert count_waits(lambda: (x.sum().item(), torch.nonzero(x))) == 2
