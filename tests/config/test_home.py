import pytest

from pet.config import expand_home, freeze, merge_cfg_from_file, merge_cfg_from_list

PATHS = [
    *("CKPT", "DATA_DIR", "TRAIN.WEIGHTS", "TEST.WEIGHTS"),
    *("DATASETS.x.IMAGES", "DATASETS.x.ANNOTATIONS", "DATASETS.1.10.IMAGES"),
]


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("written", "read"),
    [("~", ""), ("~/a", "/a"), ("~/a~b", "/a~b"), ("/a/~", None), ("a/~/b", None), ("", None)],
)
def test_only_a_tilde_at_the_start_is_the_home_folder(home, written, read):
    assert expand_home(written, "CKPT") == (written if read is None else f"{home}{read}")


@pytest.mark.parametrize("written", ["~nobody_such/x", "~nobody_such"])
def test_the_home_folder_of_nobody_is_an_error(written):
    message = rf"CKPT '{written}': there is no home folder of a user 'nobody_such'; .* \./{written}"
    with pytest.raises(ValueError, match=message):
        expand_home(written, "CKPT")


def test_no_path_holds_a_zero_character():
    with pytest.raises(ValueError, match=r"CKPT holds a zero character.* got '~a\\x00b'"):
        expand_home("~a\0b", "CKPT")


@pytest.mark.parametrize("key", PATHS)
def test_every_path_on_the_command_line(fresh_cfg, home, key):
    merge_cfg_from_list([key, "~/in"], fresh_cfg)
    assert f"{home}/in" in fresh_cfg.dump() and "~" not in fresh_cfg.dump()
    with pytest.raises(ValueError, match=rf"{key} '~nobody_such/x': there is no home folder"):
        merge_cfg_from_list(["SEED=5", f"{key}=~nobody_such/x"], fresh_cfg)
    assert fresh_cfg.SEED == 0


def test_every_path_in_a_file(fresh_cfg, home, tmp_path):
    (home / "low.yaml").write_text("SEED: 4\n")
    top = home / "top.yaml"
    top.write_text(
        "_BASE_: ~/low.yaml\nCKPT: '~/out'\nDATA_DIR: '~'\nTRAIN: {WEIGHTS: ~/a.pth}\n"
        "TEST: {WEIGHTS: ~/b.pth}\nDATASETS: {x: {IMAGES: ~/c, ANNOTATIONS: ~/d}}\n"
    )
    merge_cfg_from_file("~/top.yaml", fresh_cfg)
    assert (4, f"{home}/out", str(home)) == (fresh_cfg.SEED, fresh_cfg.CKPT, fresh_cfg.DATA_DIR)
    assert f"{home}/a.pth" == fresh_cfg.TRAIN.WEIGHTS
    assert f"{home}/b.pth" == fresh_cfg.TEST.WEIGHTS
    data = fresh_cfg.DATASETS.x
    assert [f"{home}/c", f"{home}/d"] == [data.IMAGES, data.ANNOTATIONS]


@pytest.mark.parametrize(
    "text", ["_BASE_: ~nobody_such/x\n", '_BASE_: "a\\0b"\n', "CKPT: ~nobody_such\n"]
)
def test_a_file_with_the_home_folder_of_nobody(fresh_cfg, tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"there is no home folder|holds a zero character"):
        merge_cfg_from_file(path, fresh_cfg)


def test_a_path_that_is_set_in_python_is_expanded_with_the_freeze(fresh_cfg, home):
    fresh_cfg.CKPT = "~/out"
    freeze(fresh_cfg)
    assert f"{home}/out" == fresh_cfg.CKPT


def test_other_texts_keep_their_tilde(fresh_cfg, home):
    merge_cfg_from_list(["TRAIN.DATASETS", "~a", "DATASETS.~a.TYPE", "~b"], fresh_cfg)
    assert fresh_cfg.TRAIN.DATASETS == ("~a",)
    assert fresh_cfg.DATASETS["~a"].TYPE == "~b"
