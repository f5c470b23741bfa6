import math

import pytest

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list


def leaves(node: CfgNode, above: str = ""):
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def spoiled(value, number):
    """Return ``value`` with ``number`` in the place of its last number."""
    return (*value[:-1], spoiled(value[-1], number)) if isinstance(value, tuple) else number


def last(value):
    return last(value[-1]) if isinstance(value, tuple) and value else value


KEYS = [(key, value) for key, value in leaves(default_cfg())]
FLOATS = [(key, value) for key, value in KEYS if isinstance(last(value), float)]
INTS = [(key, value) for key, value in KEYS if type(last(value)) is int]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_key_takes_what_is_not_finite(number):
    assert len(FLOATS) > 40
    for key, value in FLOATS:
        node = default_cfg()
        merge_cfg_from_list([key, spoiled(value, number)], node)
        with pytest.raises(ValueError, match=rf"{key} must be finite; got .*(nan|inf)"):
            freeze(node)


@pytest.mark.parametrize(
    "number", [2**63, -(2**63) - 1, 16**9999], ids=["2**63", "-2**63 - 1", "huge"]
)
def test_no_key_takes_what_64_bits_do_not_hold(number):
    assert len(INTS) > 40
    for key, value in INTS:
        node = default_cfg()
        merge_cfg_from_list([key, spoiled(value, number)], node)
        with pytest.raises(ValueError, match=rf"{key} must lie between .* of \d+ bits"):
            freeze(node)


def test_the_largest_whole_number_is_one(fresh_cfg):
    merge_cfg_from_list(["SOLVER.MAX_ITER", 2**63 - 1], fresh_cfg)
    freeze(fresh_cfg)


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
def test_too_large_a_number_on_the_command_line(fresh_cfg, text):
    merge_cfg_from_list(["SOLVER.BASE_LR", text], fresh_cfg)
    with pytest.raises(ValueError, match=r"SOLVER.BASE_LR must be finite"):
        freeze(fresh_cfg)


@pytest.mark.parametrize("text", ["nan", "inf", ".inf", ".nan"])
def test_the_name_of_such_a_number_on_the_command_line_is_none(fresh_cfg, text):
    with pytest.raises(TypeError, match=r"SOLVER.BASE_LR .* must be a number"):
        merge_cfg_from_list(["SOLVER.BASE_LR", text], fresh_cfg)


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "1e999", "1.0e+999"])
def test_such_a_number_in_a_file(fresh_cfg, tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(f"KRCNN: {{SIGMAS: [0.1, {text}]}}\n")
    merge_cfg_from_file(path, fresh_cfg)
    with pytest.raises(ValueError, match=r"KRCNN.SIGMAS must be finite; got \(0.1, "):
        freeze(fresh_cfg)


def test_the_numbers_of_a_data_set_are_looked_at(fresh_cfg):
    merge_cfg_from_list(["DATASETS.1.10.MAX_IMAGES", 2**70], fresh_cfg)
    with pytest.raises(ValueError, match=r"DATASETS.1.10.MAX_IMAGES must lie between"):
        freeze(fresh_cfg)
