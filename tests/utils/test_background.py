import threading
import time

import pytest

from pet.utils.background import map_in_background


def test_results_come_in_order():
    assert list(map_in_background(str, range(20))) == [str(n) for n in range(20)]
    assert list(map_in_background(str, [])) == []


def test_the_next_item_is_made_meanwhile():
    made = threading.Event()

    def items():
        yield 1
        made.set()  # never reached if the work on 1 were waited for
        yield 2

    assert list(map_in_background(lambda n: made.wait(10) and n, items())) == [1, 2]


def test_only_so_many_wait():
    go, made = threading.Event(), []

    def items():
        for n in range(10):
            made.append(n)
            if len(made) == 4:  # three wait for the first call, which has not returned
                go.set()
            yield n

    results = map_in_background(lambda n: go.wait(10) and n + 1, items(), most=3)
    assert next(results) == 1
    assert len(made) == 4
    assert list(results) == list(range(2, 11))


def test_what_a_call_raises_comes_after_the_results_before_it():
    def halved(n):
        if n == 2:
            raise ValueError("two")
        return n / 2

    results, seen = map_in_background(halved, range(4)), []
    with pytest.raises(ValueError, match="two"):
        seen.extend(results)
    assert seen == [0, 0.5]


def test_what_the_items_raise_comes_after_the_results_before_it():
    def items():
        yield from (1, 2, 3)
        raise KeyError("no more")

    seen = []
    with pytest.raises(KeyError, match="no more"):
        seen.extend(map_in_background(lambda n: time.sleep(0.02) or n, items()))
    assert seen == [1, 2, 3]


def test_the_error_of_an_earlier_call_comes_first():
    def items():
        yield 1
        raise KeyError("no more")

    def fail(n):
        time.sleep(0.05)
        raise ValueError(f"item {n}")

    with pytest.raises(ValueError, match="item 1"):
        list(map_in_background(fail, items()))


def test_a_caller_that_stops_early_leaves_no_thread():
    before = threading.active_count()
    results = map_in_background(str, range(1000))
    assert next(results) == "0"
    results.close()
    assert threading.active_count() == before
