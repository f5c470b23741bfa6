import time

import pytest
import torch

from tools.benchmark.device_busy import busy_share, covered


def test_what_overlaps_counts_once():
    assert covered([]) == 0
    assert covered([(5, 6), (0, 2), (1, 3), (1.5, 2), (3, 4)]) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_device_that_waits_half_of_the_time():
    x = torch.ones(8192, 8192, device="cuda")

    def work(seconds: float) -> None:
        for _ in range(10):
            x @ x
        torch.cuda.synchronize()
        time.sleep(seconds)

    work(0)
    start = time.perf_counter()
    work(0)
    seconds = time.perf_counter() - start
    device = torch.device("cuda")
    full, half = busy_share(lambda: work(0), device), busy_share(lambda: work(seconds), device)
    assert full is not None and half is not None
    assert 0.3 * full < half < 0.8 * full <= 0.8
