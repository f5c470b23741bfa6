from pathlib import Path

import pytest

from pet.config import (
    CfgNode,
    cfg,
    default_cfg,
    freeze,
    merge_cfg_from_file,
    merge_cfg_from_list,
    reset_cfg,
)


def write(folder: Path, text: str, name: str = "some.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("SOLVER.BASE_LR", "0.01", 0.01),
        ("SOLVER.BASE_LR", "1e-3", 0.001),
        ("SOLVER.BASE_LR", "1", 1.0),  # a whole number where a float belongs
        ("SOLVER.MAX_ITER", "720", 720),
        ("MODEL.MASK_ON", "True", True),
        ("MODEL.MASK_ON", "true", True),
        ("TRAIN.AUTO_RESUME", "False", False),
        ("CKPT", "007", "007"),  # a text stays as it is typed
        ("CKPT", 7, "7"),
        ("CKPT", "2026_01", "2026_01"),
        ("CKPT", "1e3", "1e3"),
        ("CKPT", "a=b", "a=b"),  # behind a key that stands alone
        ("TRAIN.DATASETS", "2026_01", ("2026_01",)),
        ("TRAIN.DATASETS", "(2026_01,)", ("2026_01",)),
        ("TRAIN.DATASETS", "(0x10, 012, 1e3)", ("0x10", "012", "1e3")),
        ("TRAIN.DATASETS", "'007', 1.10", ("007", "1.10")),
        ("TRAIN.DATASETS", "\"'a','b'\"", ("a", "b")),  # quoted once more than a shell takes away
        ("TRAIN.DATASETS", "('a,b', \"c\")", ("a,b", "c")),
        ("TRAIN.DATASETS", "it's,True", ("it's", "True")),
        ("TRAIN.DATASETS", ["2026_01", "a,b"], ("2026_01", "a,b")),  # a list is one already
        ("TRAIN.DATASETS", 2024, ("2024",)),
        ("TRAIN.DATASETS", "shapes_train", ("shapes_train",)),
        ("TRAIN.DATASETS", "a,b", ("a", "b")),
        ("TRAIN.DATASETS", '("a", "b")', ("a", "b")),
        ("TRAIN.DATASETS", '["a", "b"]', ("a", "b")),
        ("TRAIN.DATASETS", "(a, b)", ("a", "b")),  # the shell took the quotes
        ("TRAIN.SCALES", "640", (640,)),
        ("TRAIN.SCALES", "640, 800", (640, 800)),
        ("TRAIN.SCALES", [640, 800], (640, 800)),
        ("SOLVER.STEPS", "()", ()),
        ("SOLVER.STEPS", "", ()),
        ("INPUT.PIXEL_MEAN", "(0, 0, 0)", (0.0, 0.0, 0.0)),
    ],
)
def test_a_value_on_the_command_line_takes_the_type_of_the_default(fresh_cfg, key, typed, value):
    merge_cfg_from_list([key, typed], fresh_cfg)
    node = fresh_cfg
    for part in key.split("."):
        node = node[part]
    assert node == value
    assert type(node) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in node] == [type(item) for item in value]


def test_a_file_merges_sections_lists_and_texts(fresh_cfg, tmp_path):
    path = write(
        tmp_path,
        "MODEL:\n  MASK_ON: True\nSOLVER:\n  STEPS: [10, 20]\n  BASE_LR: 1\n"
        "TRAIN:\n  DATASETS: shapes_train\n",
    )
    merge_cfg_from_file(path, fresh_cfg)
    assert fresh_cfg.MODEL.MASK_ON is True
    assert fresh_cfg.SOLVER.STEPS == (10, 20)
    assert fresh_cfg.SOLVER.BASE_LR == 1.0
    assert fresh_cfg.TRAIN.DATASETS == ("shapes_train",)
    assert fresh_cfg.MODEL.CONV_BODY == default_cfg().MODEL.CONV_BODY


@pytest.mark.parametrize("text", ["", "RPN:\n", "RPN: {}\n"])
def test_an_empty_file_or_section_changes_nothing(fresh_cfg, tmp_path, text):
    merge_cfg_from_file(write(tmp_path, text), fresh_cfg)
    assert fresh_cfg.RPN == default_cfg().RPN


def test_a_later_merge_wins(fresh_cfg, tmp_path):
    merge_cfg_from_file(write(tmp_path, "SEED: 1\nDISPLAY_ITER: 5\n"), fresh_cfg)
    merge_cfg_from_list(["SEED", "2"], fresh_cfg)
    assert (fresh_cfg.SEED, fresh_cfg.DISPLAY_ITER) == (2, 5)


# Texts -------------------------------------------------------------------------------------------

#: What YAML takes for a number, a date, True, False, nothing or a sign of its own.
NO_TEXT_TO_YAML = [
    *(
        "2026_01",
        "2026-01-05",
        "2026-13-45",
        "1e3",
        "1.5e+3",
        "0x10",
        "0b1",
        "012",
        "1.10",
        "12:30",
    ),
    *("on", "yes", "No", "True", ".inf", ".nan", "=", "<<", "1_0.5_0", "-0", "+7"),
]


@pytest.mark.parametrize("text", NO_TEXT_TO_YAML)
def test_a_text_in_a_file_stays_as_it_is_written(fresh_cfg, tmp_path, text):
    content = (
        f"CKPT: {text}\nTRAIN: {{DATASETS: [{text}, b]}}\nTEST:\n  DATASETS: {text}\n"
        f"DATASETS:\n  a{text}:\n    ANNOTATIONS: {text}\n"
    )
    merge_cfg_from_file(write(tmp_path, content), fresh_cfg)
    assert text == fresh_cfg.CKPT
    assert ((text, "b"), (text,)) == (fresh_cfg.TRAIN.DATASETS, fresh_cfg.TEST.DATASETS)
    assert text == fresh_cfg.DATASETS[f"a{text}"].ANNOTATIONS


@pytest.mark.parametrize("text", [*NO_TEXT_TO_YAML, "a,b", "'a'", "(a)", "#", "a: b", "é", "\t"])
def test_a_text_comes_back_from_a_dump(fresh_cfg, tmp_path, text):
    fresh_cfg.CKPT, fresh_cfg.TRAIN.DATASETS = text, (text, text)
    fresh_cfg.DATASETS[text] = CfgNode(
        {
            "TYPE": text,
            "IMAGES": text,
            "ANNOTATIONS": text,
            "CLASSES": (text, text),
            "MAX_IMAGES": 0,
        }
    )
    again = default_cfg()
    merge_cfg_from_file(write(tmp_path, fresh_cfg.dump()), again)
    assert again == fresh_cfg


def test_what_is_no_text_is_read_as_yaml_does(fresh_cfg, tmp_path):
    content = (
        "SEED: 1_000\nFPN: {FPN_ON: off}\nMODEL: {MASK_ON: 'true'}\nSOLVER:\n  BASE_LR: 1e-3\n"
        "  STEPS: [0x10, 3_0, '40']\n  GAMMA: '.5'\n"
        "CASCADE_RCNN: {BBOX_REG_WEIGHTS: [[1, 2., 3, 4], '(5, 6, 7, 8)']}\n"
    )
    merge_cfg_from_file(write(tmp_path, content), fresh_cfg)
    assert (fresh_cfg.SEED, fresh_cfg.FPN.FPN_ON, fresh_cfg.MODEL.MASK_ON) == (1000, False, True)
    assert (fresh_cfg.SOLVER.BASE_LR, fresh_cfg.SOLVER.GAMMA) == (0.001, 0.5)
    assert fresh_cfg.SOLVER.STEPS == (16, 30, 40)
    assert fresh_cfg.CASCADE_RCNN.BBOX_REG_WEIGHTS == ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CKPT:\n", "CKPT in .* must be a text.* got None"),
        ("CKPT: [1_0]\n", r"CKPT in .* must be a text.* got \[10\]"),
        ("CKPT: {}\n", r"CKPT in .* must be a text.* got {}"),
        ("SEED: 2026-01-05\n", "SEED in .* must be a whole number"),
        ("SEED: 2026-13-45\n", "SEED in .* got '2026-13-45'"),
        ("SOLVER: {STEPS: [a, [b]]}\n", "SOLVER.STEPS in .* got 'a'"),
        ("RPN: 5\n", "RPN in .* is a section, not a value"),
    ],
)
def test_a_wrong_type_in_a_file_is_named(fresh_cfg, tmp_path, text, message):
    with pytest.raises(TypeError, match=message):
        merge_cfg_from_file(write(tmp_path, text), fresh_cfg)


# KEY=VALUE ---------------------------------------------------------------------------------------


def test_pairs_may_be_joined_by_an_equals_sign(fresh_cfg):
    opts = ["SOLVER.BASE_LR=0.01", "CKPT", "out=1", "DATASETS.x.IMAGES=/a=b", "SEED", "5"]
    merge_cfg_from_list([*opts, "TRAIN.DATASETS=x,y", "TRAIN.WEIGHTS="], fresh_cfg)
    assert (fresh_cfg.SOLVER.BASE_LR, fresh_cfg.CKPT, fresh_cfg.SEED) == (0.01, "out=1", 5)
    assert fresh_cfg.DATASETS.x.IMAGES == "/a=b"
    assert (fresh_cfg.TRAIN.DATASETS, fresh_cfg.TRAIN.WEIGHTS) == (("x", "y"), "")


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("SOLVER.BASELR", "SOLVER.BASE_LR"),
        ("MASK_ON", "MODEL.MASK_ON"),  # right name, section forgotten
        ("FAST_RCNN.NMS_THRESH", "RPN.NMS_THRESH"),  # right name, wrong section
        ("RPN.NMS_THRESH.MORE", "RPN.NMS_THRESH"),  # a section where there is a value
        ("DATASETS.mine.IMAGE", "DATASETS.mine.IMAGES"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_ones(fresh_cfg, key, hint):
    with pytest.raises(KeyError) as error:
        merge_cfg_from_list([key, "1"], fresh_cfg)
    assert repr(key) in str(error.value)
    assert "the command line" in str(error.value)
    assert hint in str(error.value).split("did you mean")[1]


def test_an_unknown_key_like_no_other_says_where_the_keys_are(fresh_cfg, tmp_path):
    path = write(tmp_path, "XYZZY: 1\n")
    with pytest.raises(KeyError, match=r"unknown config key 'XYZZY' in .*some.yaml; .*pet/config/"):
        merge_cfg_from_file(path, fresh_cfg)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SOLVER.MAX_ITER", "1.5", "SOLVER.MAX_ITER .* whole number, .* default 90000; got 1.5"),
        ("SOLVER.BASE_LR", "fast", "SOLVER.BASE_LR .* a number, .* got 'fast'"),
        ("SOLVER.BASE_LR", "True", "got True"),
        ("FPN.FPN_ON", "1", "FPN.FPN_ON .* True or False"),
        ("FPN.FPN_ON", "yes", "True or False"),
        ("SEED", None, "SEED .* got None"),
        ("CKPT", ["a"], "CKPT .* a text"),
        ("TRAIN.SCALES", "(1, 2.5)", "TRAIN.SCALES .* whole number.* got 2.5"),
        ("RPN", "3", "RPN .* is a section, not a value; its keys are RPN.ANCHOR_STRIDE, "),
        ("DATASETS", "3", "DATASETS .* is a section"),
        ("DATASETS.mine", "/data", "its keys are .*DATASETS.mine.IMAGES, DATASETS.mine.ANNOT"),
    ],
)
def test_a_wrong_type_is_named_with_the_right_one(fresh_cfg, key, value, message):
    with pytest.raises(TypeError, match=message):
        merge_cfg_from_list([key, value], fresh_cfg)


@pytest.mark.parametrize("opts", [["SEED"], ["DISPLAY_ITER", "5", "SEED"], ["CKPT=a", "SEED"]])
def test_a_key_without_a_value_is_named(fresh_cfg, opts):
    with pytest.raises(ValueError, match=r"'SEED' has no value; give pairs.* or KEY=VALUE"):
        merge_cfg_from_list(opts, fresh_cfg)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SOLVER.BASE_LR", "1" + "0" * 400, "SOLVER.BASE_LR .* finite; got .* of 1329 bits"),
        ("FPN.FPN_ON", "0x" + "f" * 9999, "FPN.FPN_ON .* got a number that is too long to show"),
        ("SOLVER.STEPS", "9" * 5000, r"SOLVER.STEPS .* got '9{150,}…"),
        ("SOLVER.BASE_LR", "{[1]: 2}", "SOLVER.BASE_LR .* a number"),
        ("SOLVER.BASE_LR", "(" * 500, "SOLVER.BASE_LR .* a number"),
    ],
)
def test_a_value_that_python_cannot_hold_is_shown_in_short(fresh_cfg, key, value, message):
    with pytest.raises((TypeError, ValueError), match=message) as error:
        merge_cfg_from_list([key, value], fresh_cfg)
    assert len(str(error.value)) < 400


def test_nothing_changes_after_an_error(fresh_cfg, tmp_path):
    with pytest.raises(TypeError):
        merge_cfg_from_list(["SEED", "5", "DATASETS.a.TYPE", "coco", "FPN.DIM", "x"], fresh_cfg)
    with pytest.raises(KeyError):
        merge_cfg_from_file(write(tmp_path, "SEED: 5\nNOBODY: 1\n"), fresh_cfg)
    assert fresh_cfg == default_cfg()


def test_a_space_at_an_equals_sign_is_named(fresh_cfg):
    with pytest.raises(ValueError, match="write CKPT VALUE, or CKPT=VALUE with no space"):
        merge_cfg_from_list(["CKPT", "=", "out", "SEED"], fresh_cfg)


@pytest.mark.parametrize("text", ["RPN: [", "- 1\n- 2\n", "just words"])
def test_a_file_that_holds_no_sections_and_keys_is_named(fresh_cfg, tmp_path, text):
    with pytest.raises(ValueError, match=r"some\.yaml is not a YAML file of sections and keys"):
        merge_cfg_from_file(write(tmp_path, text), fresh_cfg)


def test_a_file_cannot_run_code(fresh_cfg, tmp_path):
    mark = tmp_path / "ran"
    path = write(tmp_path, f'SEED: !!python/object/apply:os.mkdir ["{mark}"]\n')
    with pytest.raises(ValueError, match="is not a YAML file"):
        merge_cfg_from_file(path, fresh_cfg)
    assert not mark.exists()


def test_a_missing_file_is_named(fresh_cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config file .*gone\.yaml; .* cfgs/"):
        merge_cfg_from_file(tmp_path / "gone.yaml", fresh_cfg)
    with pytest.raises(FileNotFoundError, match="is a folder; give the config file in it"):
        merge_cfg_from_file(tmp_path, fresh_cfg)
    with pytest.raises(ValueError, match=r"no config file can be at .*name too long"):
        merge_cfg_from_file(tmp_path / ("x" * 300), fresh_cfg)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(FileNotFoundError, match=r"no config file .*loop\.yaml"):
        merge_cfg_from_file(tmp_path / "loop.yaml", fresh_cfg)


# Data sets of one's own --------------------------------------------------------------------------


def test_a_data_set_is_named_in_a_file(fresh_cfg, tmp_path):
    text = "DATASETS:\n  cats:\n    IMAGES: /cats\n    ANNOTATIONS: /cats.json\n    MAX_IMAGES: 8\n"
    text += "    CLASSES: [tabby, 12, on]\n"
    merge_cfg_from_file(write(tmp_path, text), fresh_cfg)
    assert fresh_cfg.DATASETS == {
        "cats": {
            "TYPE": "coco",
            "IMAGES": "/cats",
            "ANNOTATIONS": "/cats.json",
            "CLASSES": ("tabby", "12", "on"),
            "MAX_IMAGES": 8,
        }
    }


def test_a_data_set_is_named_on_the_command_line(fresh_cfg):
    pairs = ["DATASETS.a.IMAGES", "/a", "DATASETS.a.ANNOTATIONS", "/a.json", "DATASETS.b.IMAGES"]
    merge_cfg_from_list([*pairs, "/b"], fresh_cfg)
    assert set(fresh_cfg.DATASETS) == {"a", "b"}
    assert fresh_cfg.DATASETS.a.ANNOTATIONS == "/a.json"
    assert (fresh_cfg.DATASETS.b.IMAGES, fresh_cfg.DATASETS.b.ANNOTATIONS) == ("/b", "")


def test_data_set_blocks_do_not_share_their_fields(fresh_cfg):
    merge_cfg_from_list(["DATASETS.a.IMAGES", "/a"], fresh_cfg)
    other = default_cfg()
    merge_cfg_from_list(["DATASETS.a.MAX_IMAGES", "3"], other)
    assert other.DATASETS.a.IMAGES == ""
    assert default_cfg().DATASETS == {}


def test_a_data_set_may_have_a_number_for_a_name(fresh_cfg, tmp_path):
    text = "DATASETS:\n  2024: {IMAGES: /a}\n  1.10:\n    IMAGES: /b\n  2026_01:\n"
    merge_cfg_from_file(write(tmp_path, text), fresh_cfg)
    merge_cfg_from_list(["DATASETS.2024.ANNOTATIONS", "/a.json"], fresh_cfg)
    merge_cfg_from_list(["DATASETS.1.10.MAX_IMAGES=3", "TRAIN.DATASETS", "2024,1.10"], fresh_cfg)
    freeze(fresh_cfg)
    assert set(fresh_cfg.DATASETS) == {"2024", "1.10", "2026_01"}
    year, version = fresh_cfg.DATASETS["2024"], fresh_cfg.DATASETS["1.10"]
    assert (year.IMAGES, year.ANNOTATIONS) == ("/a", "/a.json")
    assert (version.IMAGES, version.MAX_IMAGES) == ("/b", 3)
    assert fresh_cfg.TRAIN.DATASETS == ("2024", "1.10")


# CKPT --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "ckpt"),
    [
        ("cfgs/rcnn/shapes/quick.yaml", "ckpts/rcnn/shapes/quick"),
        ("cfgs/old/cfgs/new/a.b.yaml", "ckpts/new/a.b"),
        ("elsewhere/mine.yaml", "ckpts/mine"),
    ],
)
def test_the_output_folder_follows_the_place_of_the_file(fresh_cfg, tmp_path, place, ckpt):
    merge_cfg_from_file(write(tmp_path, "SEED: 3\n", place), fresh_cfg)
    assert Path(fresh_cfg.CKPT) == Path(ckpt)


def test_a_named_output_folder_stays(fresh_cfg, tmp_path):
    merge_cfg_from_file(write(tmp_path, "CKPT: /out\n"), fresh_cfg)
    assert fresh_cfg.CKPT == "/out"


# Whole nodes -------------------------------------------------------------------------------------


def test_a_dump_merges_to_the_same_values(fresh_cfg, tmp_path):
    pairs = [
        "DATASETS.a.IMAGES",
        "/a",
        "TRAIN.DATASETS",
        "a,b",
        "SOLVER.STEPS",
        "()",
        "CKPT",
        "007",
    ]
    merge_cfg_from_list([*pairs, "SOLVER.WARM_UP_FACTOR", 1 / 3, "MODEL.MASK_ON", True], fresh_cfg)
    again = default_cfg()
    merge_cfg_from_file(write(tmp_path, fresh_cfg.dump()), again)
    assert again == fresh_cfg
    assert again.dump() == fresh_cfg.dump()
    assert isinstance(again.SOLVER.STEPS, tuple)


def test_default_nodes_are_independent():
    first, second = default_cfg(), default_cfg()
    first.RPN.NMS_THRESH = 0.1
    assert second.RPN.NMS_THRESH == 0.7
    assert cfg.RPN.NMS_THRESH == 0.7


def test_the_global_config_is_what_is_merged_by_default(tmp_path):
    merge_cfg_from_list(["SEED", "4"])
    merge_cfg_from_file(write(tmp_path, "DISPLAY_ITER: 7\n"))
    assert (cfg.SEED, cfg.DISPLAY_ITER) == (4, 7)


def test_reset_brings_back_the_defaults_in_the_same_node():
    section = cfg.DATASETS
    merge_cfg_from_list(["SEED", "4", "DATASETS.a.IMAGES", "/a"])
    cfg.freeze()
    reset_cfg()
    assert cfg == default_cfg()
    assert not cfg.is_frozen()
    assert cfg.DATASETS is not section


def test_equal_names_in_different_sections_are_not_repeated(fresh_cfg, tmp_path):
    path = tmp_path / "once.yaml"
    path.write_text("TRAIN:\n  MAX_SIZE: 4\nTEST:\n  MAX_SIZE: 5\n")
    merge_cfg_from_file(path, fresh_cfg)
    assert (fresh_cfg.TRAIN.MAX_SIZE, fresh_cfg.TEST.MAX_SIZE) == (4, 5)


# Bases -------------------------------------------------------------------------------------------


def test_a_file_stands_on_its_base_and_goes_before_it(fresh_cfg, tmp_path):
    low = "SOLVER: {MAX_ITER: 7, BASE_LR: 0.5, STEPS: [1, 2, 3]}\nTRAIN: {SCALES: [9]}\n"
    write(tmp_path, low, "low.yaml")
    middle = '_BASE_: "../low.yaml"\nSOLVER: {MAX_ITER: 8, STEPS: [4]}\n'
    write(tmp_path, middle, "sub/middle.yaml")
    top = write(tmp_path, '_BASE_: "sub/middle.yaml"\nTRAIN: {MAX_SIZE: 99}\n', "top.yaml")
    merge_cfg_from_file(top, fresh_cfg)
    assert (fresh_cfg.SOLVER.MAX_ITER, fresh_cfg.SOLVER.BASE_LR) == (8, 0.5)
    assert fresh_cfg.SOLVER.STEPS == (4,)  # a list takes the place of the base's
    assert (fresh_cfg.TRAIN.SCALES, fresh_cfg.TRAIN.MAX_SIZE) == ((9,), 99)
    assert fresh_cfg.CKPT == "ckpts/top"


def test_a_base_that_is_not_there_is_named_with_who_asks(fresh_cfg, tmp_path):
    top = write(tmp_path, '_BASE_: "none.yaml"\n')
    with pytest.raises(FileNotFoundError, match=r"none\.yaml, the _BASE_ of .*some\.yaml"):
        merge_cfg_from_file(top, fresh_cfg)


def test_a_base_may_have_a_number_for_a_name(fresh_cfg, tmp_path):
    write(tmp_path, "SEED: 4\n", "2026_01")
    merge_cfg_from_file(write(tmp_path, "_BASE_: 2026_01\n"), fresh_cfg)
    assert fresh_cfg.SEED == 4


def test_bases_in_a_circle_are_refused(fresh_cfg, tmp_path):
    write(tmp_path, '_BASE_: "b.yaml"\n', "a.yaml")
    write(tmp_path, '_BASE_: "a.yaml"\n', "b.yaml")
    with pytest.raises(ValueError, match=r"in a circle: .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        merge_cfg_from_file(tmp_path / "a.yaml", fresh_cfg)


@pytest.mark.parametrize(("said", "got"), [("[5]", r"\["), ("", "None"), ('""', "''")])
def test_a_base_is_a_path(fresh_cfg, tmp_path, said, got):
    with pytest.raises(TypeError, match=rf"_BASE_ in .* must be the path of .*; got {got}"):
        merge_cfg_from_file(write(tmp_path, f"_BASE_: {said}\n"), fresh_cfg)


def test_an_error_in_a_base_names_the_base_and_changes_nothing(fresh_cfg, tmp_path):
    write(tmp_path, "SOLVER: {MAX_ITER: many}\n", "low.yaml")
    top = write(tmp_path, '_BASE_: "low.yaml"\nSEED: 4\n')
    with pytest.raises(TypeError, match=r"SOLVER\.MAX_ITER in .*low\.yaml"):
        merge_cfg_from_file(top, fresh_cfg)
    assert fresh_cfg == default_cfg()


@pytest.mark.parametrize("null", ["~", "null", ""])
def test_nothing_is_no_text(tmp_path, null):
    path = tmp_path / "some.yaml"
    path.write_text(f"CKPT: {null}\n")
    with pytest.raises(TypeError, match=r'CKPT in .* must be a text.* got None; write "" for none'):
        merge_cfg_from_file(path, default_cfg())
