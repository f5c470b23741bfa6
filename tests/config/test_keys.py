"""Every key on its bound and just outside it."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_list
from pet.config.check_keys import check_keys
from pet.config.keys import DATASET_KEYS, KEYS
from pet.config.rules import Choice, Either, Interval, Members, Rule, at_least, within
from pet.config.section import Key, Section

# The numeric keys without a rule of their own, and why.
WITHOUT_RULE = {
    "BACKBONE.FREEZE_AT": "its bound is another key, BACKBONE.OUT_STAGE: check_backbone.py",
    "RPN.ANCHOR_STRIDE": "other keys leave it one value: check.py",
}

ALL_KEYS = {**KEYS, **{f"DATASETS.mine.{name}": key for name, key in DATASET_KEYS.items()}}
WITH_RULE = {name: key for name, key in ALL_KEYS.items() if key.rule}


def node_with(name: str, value: Any) -> CfgNode:
    """Return a config of defaults but for the key ``name``."""
    node = default_cfg()
    merge_cfg_from_list([name, value], node)
    return node


def values_of(rule: Rule, like: Any) -> tuple[list[Any], list[Any]]:
    """Return values on the bounds of ``rule``, and values just outside, of the type of ``like``."""
    if isinstance(rule, Choice):
        outside = [f"{rule.choices[0]}?", ""] if isinstance(like, str) else [max(rule.choices) + 1]
        return list(rule.choices), outside
    if isinstance(rule, Either):
        taken, refused = values_of(rule.other, like)
        return [rule.value, *taken], [value for value in refused if value != rule.value]
    if isinstance(rule, Members):
        return members_of(rule, like)
    assert isinstance(rule, Interval)
    ends = [(rule.low, rule.takes_low, -math.inf), (rule.high, rule.takes_high, math.inf)]
    taken, refused = [], []
    for end, is_taken, beyond in ends:
        if end is not None:
            on, off = type(like)(end), next_to(type(like)(end), -beyond if not is_taken else beyond)
            taken.append(on if is_taken else off)
            refused.append(off if is_taken else on)
    return taken, refused


def next_to(number: int | float, towards: float) -> int | float:
    if isinstance(number, int):
        return number + (1 if towards > 0 else -1)
    return math.nextafter(number, towards)


def members_of(rule: Members, like: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    taken, refused = [like], []
    if rule.least == rule.most:
        refused += [like[:-1], (*like, like[-1])]
    elif rule.least:
        taken, refused = [*taken, like[:1]], [()]
    if rule.rising:
        refused += [(*like, like[-1]), like[::-1]]
    if rule.of:
        good, bad = values_of(rule.of, like[0])
        taken += [(value, *like[1:]) for value in good]
        refused += [(value, *like[1:]) for value in bad]
    return taken, refused


SAMPLES = {name: values_of(key.rule, key.default) for name, key in WITH_RULE.items()}
TAKEN = [(name, value) for name, (taken, _) in SAMPLES.items() for value in taken]
REFUSED = [(name, value) for name, (_, refused) in SAMPLES.items() for value in refused]


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_a_key_takes_what_lies_on_its_bound(name, value):
    check_keys(node_with(name, value))


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_key_refuses_what_lies_just_outside(name, value):
    with pytest.raises(ValueError, match=rf"^{name} .*; got "):
        freeze(node_with(name, value))


def test_every_rule_is_tried_on_both_sides():
    assert len(WITH_RULE) > 110
    assert [name for name, (taken, refused) in SAMPLES.items() if not taken or not refused] == []


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("SOLVER.BASE_LR", 1e-12, 0.0),
        ("SOLVER.GAMMA", 0.0, -1e-12),
        ("SOLVER.STEPS", (0, 5), (-1, 5)),
        ("SOLVER.WARM_UP_FACTOR", 1.0, 0.0),
        ("DATALOADER.REPEAT_THRESHOLD", 1.0, 1.001),
        ("TRAIN.SCALES", (1,), (0,)),
        ("TRAIN.FLIP_PROB", 1.0, 1.001),
        ("TEST.IMS_PER_GPU", 1, 0),
        ("TEST.KPS_AUG.SCALES", (), (0,)),
        ("INPUT.BIT_DEPTH", 8, 7),
        ("INPUT.PIXEL_STD", (0.1, 1.0, 1.0), (0.0, 1.0, 1.0)),
        ("INPUT.PIXEL_STD", (1.0, 1.0, 1.0), (1.0, 1.0)),
        ("BACKBONE.DCN_VERSION", 2, 3),
        ("MODEL.NUM_CLASSES", 2, 0),
        ("KRCNN.NUM_KEYPOINTS", -1, -2),
        ("RETINANET.PRIOR_PROB", 0.99, 1.0),
        ("CASCADE_RCNN.STAGE_WEIGHTS", (0.0, 1.0, 1.0), (-0.1, 1.0, 1.0)),
        ("MRCNN.PASTE_METHOD", "integer_box", "pixel_center"),
        ("DATASETS.a.b.MAX_IMAGES", 0, -1),
    ],
)
def test_bounds_by_hand(name, taken, refused):
    freeze(node_with(name, taken))
    with pytest.raises(ValueError, match=rf"^{name} "):
        freeze(node_with(name, refused))


def numbers(value: Any) -> Iterator[int | float]:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, tuple):
            yield from numbers(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield item


def test_every_number_has_a_rule():
    numeric = {name for name, key in ALL_KEYS.items() if list(numbers(key.default))}
    assert sorted(numeric - set(WITH_RULE)) == sorted(WITHOUT_RULE)


def test_a_key_that_is_not_used_is_not_looked_at():
    node = node_with("SOLVER.WARM_UP_FACTOR", 7.0)
    node.SOLVER.WARM_UP_ITERS = 0
    check_keys(node)
    node.SOLVER.WARM_UP_ITERS = 1
    with pytest.raises(ValueError, match=r"^SOLVER.WARM_UP_FACTOR must lie in \(0, 1\]; got 7.0"):
        check_keys(node)


def test_keys_are_set_aside_only_for_keys_there_are():
    assert {key.only_with for key in ALL_KEYS.values()} - {""} <= set(KEYS)


def test_a_data_set_that_is_no_section(fresh_cfg):
    fresh_cfg.DATASETS.mine = "folder"
    with pytest.raises(ValueError, match=r"DATASETS.mine must be a section with IMAGES and ANNO"):
        freeze(fresh_cfg)


# Sections ----------------------------------------------------------------------------------------


def two_sections() -> Section:
    node = Section()
    node.B = Section()
    node.B.Y = (1, (2, 3))
    node.B.X = Key(0.5, within(0, 1), says="is half of it")
    node.OWN = Section(new_allowed=True)
    node.A = Key(2, at_least(1))
    return node


def test_the_config_is_a_plain_node_in_the_order_of_the_keys():
    node = two_sections().defaults()
    assert type(node) is type(node.B) is CfgNode
    assert list(node) == ["B", "OWN", "A"] and list(node.B) == ["Y", "X"]
    assert node == {"B": {"Y": (1, (2, 3)), "X": 0.5}, "OWN": {}, "A": 2}
    assert node.OWN.is_new_allowed() and not node.B.is_new_allowed()
    node.A = 7
    assert two_sections().defaults().A == 2


def test_the_values_of_the_config_are_plain():
    plain = (bool, int, float, str)

    def check(value):
        if isinstance(value, CfgNode | tuple):
            assert type(value) in (CfgNode, tuple)
            for item in value.values() if isinstance(value, CfgNode) else value:
                check(item)
        else:
            assert type(value) in plain

    node = default_cfg()
    merge_cfg_from_list(["DATASETS.mine.IMAGES", "here"], node)
    check(node)


def test_the_keys_of_a_section_have_their_full_names():
    keys = dict(two_sections().keys())
    assert list(keys) == ["B.Y", "B.X", "A"]
    assert keys["B.Y"] == Key((1, (2, 3))) and keys["B.Y"].words == ""
    assert keys["B.X"].words == "in [0, 1]"
    assert keys["B.X"].fault(2) == "is half of it" and keys["B.X"].fault(0) == ""
    assert keys["A"].fault(0) == "must be at least 1"


def test_a_section_refuses_what_is_a_slip():
    node = two_sections()
    with pytest.raises(AssertionError, match="A is there twice"):
        node.A = 3
    with pytest.raises(AssertionError, match="C: write Section"):
        node.C = CfgNode()
    with pytest.raises(AttributeError, match="no section A"):
        node.A.X = 3
    with pytest.raises(AttributeError, match="no section C"):
        node.C.X = 3
