from functools import partial

import torch

from tools.benchmark.measure import Spread, measure, ratios


def test_quartiles():
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(2.0, 3.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_ratios_are_those_of_each_round():
    # A machine that is twice as slow in the second round changes neither.
    assert ratios([2.0, 4.0], [1.0, 2.0]) == Spread(2.0, 2.0, 2.0)


def test_sides_take_turns_and_each_begins_once():
    calls = []
    sides = {name: lambda name=name: partial(calls.append, name) for name in "abc"}
    seconds = measure(sides, rounds=3, device=torch.device("cpu"), warm_up=0)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_warm_up_does_not_count(monkeypatch):
    times = iter(range(100))
    monkeypatch.setattr("tools.benchmark.measure.time.perf_counter", lambda: next(times))
    lengths = iter([50, 1, 2])

    def turn():
        for _ in range(next(lengths)):
            next(times)

    def work():
        next(times)  # to get ready is not timed
        return turn

    seconds = measure({"a": work}, rounds=2, device=torch.device("cpu"), warm_up=1)
    assert seconds == {"a": [2, 3]}
