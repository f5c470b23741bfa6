import pytest

from pet.config.rules import at_least, either, more_than, one_of, tuple_of, within


@pytest.mark.parametrize(
    ("rule", "words", "taken", "refused"),
    [
        (at_least(1), "at least 1", [1, 1.0, 7], {0: "must be at least 1", 0.999: None}),
        (more_than(0), "positive", [1e-300], {0: "must be positive", -1: None}),
        (more_than(2), "more than 2", [3, 2.1], {2: "must be more than 2"}),
        (within(0, 1), "in [0, 1]", [0, 0.5, 1], {-1e-9: "must lie in [0, 1]", 1.01: None}),
        (within(0, 1, "(]"), "in (0, 1]", [1e-9, 1], {0: "must lie in (0, 1]", 1.01: None}),
        (within(0, 1, "[)"), "in [0, 1)", [0, 0.999], {1: "must lie in [0, 1)", -1: None}),
        (within(0, 1, "()"), "in (0, 1)", [0.5], {0: "must lie in (0, 1)", 1: None}),
        (one_of("RGB", "BGR"), "one of RGB, BGR", ["RGB"], {"rgb": "must be one of RGB, BGR"}),
        (one_of(4, 5), "4 or 5", [4, 5], {3: "must be 4 or 5", 6: None}),
        (either(-1, at_least(2)), "-1 or at least 2", [-1, 2], {1: "must be -1 or at least 2"}),
        (
            tuple_of(more_than(0)),
            "any number of values, each positive",
            [(), (1,), (3, 2)],
            {(1, 0): "must be positive"},
        ),
        (
            tuple_of(at_least(1), empty=False),
            "1 or more values, each at least 1",
            [(1,), (5, 1)],
            {(): "needs 1 or more values", (1, 0): "must be at least 1"},
        ),
        (
            tuple_of(length=2),
            "2 values",
            [(-1, "x")],
            {(): "needs 2 values", (1,): "needs 2 values", (1, 2, 3): "needs 2 values"},
        ),
        (
            tuple_of(at_least(0), rising=True),
            "any number of values, each at least 0, rising",
            [(), (0,), (0, 1, 5)],
            {(1, 1): "must rise", (2, 1): "must rise", (-1, 2): "must be at least 0"},
        ),
        (
            tuple_of(tuple_of(more_than(0), length=2), empty=False),
            "1 or more values, each 2 values, each positive",
            [((1, 2),)],
            {((1, 2), (1,)): "needs 2 values", ((1, 0),): "must be positive"},
        ),
    ],
)
def test_a_rule_by_hand(rule, words, taken, refused):
    assert rule.words == words
    assert [rule.fault(value) for value in taken] == [""] * len(taken)
    for value, fault in refused.items():
        found = rule.fault(value)
        assert found == fault if fault else found


def test_a_list_is_as_good_as_a_tuple():
    rule = tuple_of(at_least(0), length=2, rising=True)
    assert rule.fault([0, 1]) == ""
    assert rule.fault([1, 0]) == "must rise"
