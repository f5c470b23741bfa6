"""Reading many files in threads."""

import os
import signal
import time
from pathlib import Path

import pytest

from pet.data.formats.many_files import read_many


def test_results_are_in_order():
    assert read_many(lambda n: n * n, range(2000), Path("x")) == [n * n for n in range(2000)]
    assert read_many(len, [], Path("x")) == []


def test_the_first_error_ends_it():
    begun = []

    def read(number):
        begun.append(number)
        if number in (3, 5):
            raise ValueError(f"number {number}")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="number 3"):
        read_many(read, range(10_000), Path("x"))
    assert len(begun) < 10_000


def test_ctrl_c_ends_it_too():
    begun = []

    def read(number):
        begun.append(number)
        if number == 20:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        read_many(read, range(10_000), Path("x"))
    count = len(begun)
    time.sleep(0.05)
    assert len(begun) == count < 10_000
