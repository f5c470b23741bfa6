import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch
from PIL import Image

from pet.config import default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.engine.predict_files import detection_records, list_images, name_outputs, predict_files
from pet.engine.predictor import Predictor
from pet.structures import Detections
from pet.utils.opencv import cv2
from pet.visualization.draw import draw_detections
from tests.engine.saved_run import picture, save_run
from tests.source_code import ROOT

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"), 4, NAMES)


def cfg_of(config: Path, *opts):
    node = default_cfg()
    merge_cfg_from_file(config, node)
    merge_cfg_from_list(opts, node)
    freeze(node)
    return node


@pytest.fixture
def images(tmp_path) -> Path:
    """Return a folder of pictures a.png and b.png, and c/a.png and c/note.txt below it."""
    folder = tmp_path / "images"
    (folder / "c").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "c/a.png")):
        cv2.imwrite(str(folder / name), picture(seed=seed))
    (folder / "c" / "note.txt").write_text("no image")
    return folder


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_image_has_a_picture_and_its_records(config, images, tmp_path):
    out = tmp_path / "out"
    predict_files([images], out, cfg=cfg_of(config, "VIS.VIS_TH", 0.0))
    assert written(out) == ["a.jpg", "a.json", "b.jpg", "b.json"]
    content = json.loads((out / "b.json").read_text())
    assert (content["file"], content["height"], content["width"]) == (str(images / "b.png"), 70, 90)
    found = Predictor.from_config(config)(images / "b.png")
    records = content["detections"]
    assert len(records) == len(found) > 5
    for record, label, score, box, mask in zip(
        records, found.labels, found.scores, found.boxes, found.masks, strict=True
    ):
        assert (record["category_id"], record["class_name"]) == (label, NAMES[label - 1])
        assert record["score"] == pytest.approx(float(score), abs=1e-6)
        x, y, width, height = record["bbox"]
        assert [x, y, x + width, y + height] == pytest.approx(box.tolist(), abs=2e-3)
        assert np.array_equal(coco_mask.decode(record["segmentation"]), mask.numpy())
    expected = draw_detections(picture(seed=1), found, NAMES, 0.0)
    drawn = cv2.imread(str(out / "b.jpg"))
    assert drawn.shape == expected.shape
    assert np.abs(drawn.astype(int) - expected).mean() < 12  # JPEG


def test_the_folder_of_the_run_is_the_default(config, images):
    cfg = cfg_of(config)
    predict_files([images / "b.png"], cfg=cfg)
    assert written(Path(cfg.CKPT, "predict")) == ["b.jpg", "b.json"]


@pytest.mark.parametrize("batch", [1, 3])
def test_what_cannot_be_read_is_named_and_passed_over(config, images, tmp_path, capsys, batch):
    (images / "c" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    paths = [images / "c", images / "nowhere.png", images / "b.png"]
    expected = r"2 of 4 images could not be read: .*cut\.jpg, .*nowhere\.png$"
    with pytest.raises(ValueError, match=expected):
        predict_files(paths, tmp_path / "out", cfg=cfg_of(config, "TEST.IMS_PER_GPU", batch))
    assert written(tmp_path / "out") == ["a.jpg", "a.json", "b.jpg", "b.json"]
    printed = capsys.readouterr().out
    assert f"passed over: the image file {images / 'c' / 'cut.jpg'} is cut off" in printed
    assert f"passed over: there is no image file {images / 'nowhere.png'}" in printed
    assert f"2 pictures and JSON files are in {tmp_path / 'out'}" in printed


def test_odd_files_are_passed_over(config, images, tmp_path, capsys):
    os.mkfifo(images / "pipe.png")  # to open it would wait for ever
    (images / "folder.jpg").mkdir()
    (images / "link.bmp").symlink_to(images / "nowhere")
    (images / "bad\udcff.tif").write_text("text")
    (images / "ring").symlink_to(images / "ring")
    paths = [images, "/dev/zero", "a" * 5000 + ".png", "a\0b.png", images / "ring" / "a.png"]
    expected = r"8 of 10 images could not be read: .*bad\\udcff\.tif', .*folder\.jpg, .*link\.bmp, "
    with pytest.raises(ValueError, match=expected):
        predict_files(paths, tmp_path / "out", cfg=cfg_of(config))
    assert written(tmp_path / "out") == ["a.jpg", "a.json", "b.jpg", "b.json"]
    printed = capsys.readouterr()
    for words in (
        f"{images / 'pipe.png'} is a named pipe and no image file",
        f"{images / 'folder.jpg'} is a folder",
        "bad\\udcff.tif' cannot be decoded",
        "/dev/zero is a device",
    ):
        assert words in printed.out
    assert "Logging error" not in printed.err


def test_a_name_of_bytes_that_are_no_letters_has_its_outputs(config, images, tmp_path):
    os.rename(images / "a.png", images / "bad\udcff.png")
    predict_files([images / "bad\udcff.png"], tmp_path / "out", cfg=cfg_of(config))
    assert written(tmp_path / "out") == ["bad?.jpg", "bad?.json"]
    content = json.loads((tmp_path / "out" / "bad?.json").read_text())
    assert content["file"] == str(images / "bad\udcff.png")


def save_turned(path: Path) -> np.ndarray:
    """Write a PNG of 90 x 70 pixels that is to be turned right; return it upright."""
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(picture(seed=1)[:, :, ::-1]).save(path, exif=exif)
    return np.ascontiguousarray(np.rot90(picture(seed=1), -1))


@pytest.mark.parametrize("orientation", ["auto", "upright", "stored"])
def test_pictures_are_upright_unless_they_are_to_stay(config, images, tmp_path, orientation):
    upright = save_turned(images / "b.png")
    expected = picture(seed=1) if orientation == "stored" else upright
    cfg = cfg_of(config, "INPUT.ORIENTATION", orientation, "VIS.VIS_TH", 0.0)
    predict_files([images / "b.png"], tmp_path / "out", cfg=cfg)
    content = json.loads((tmp_path / "out" / "b.json").read_text())
    height, width = expected.shape[:2]
    assert (content["height"], content["width"]) == (height, width)
    predictor = Predictor(cfg)
    for found in (predictor(expected), predictor(images / "b.png")):
        for record, box in zip(content["detections"], found.boxes, strict=True):
            x, y, w, h = record["bbox"]
            assert [x, y, x + w, y + h] == pytest.approx(box.tolist(), abs=2e-3)
    assert content["detections"][0]["segmentation"]["size"] == [height, width]
    drawn = cv2.imread(str(tmp_path / "out" / "b.jpg"))
    drawn_of = draw_detections(expected, found, NAMES, 0.0)
    assert drawn.shape == drawn_of.shape
    assert np.abs(drawn.astype(int) - drawn_of).mean() < 12  # JPEG


def save_deep(path: Path, bits: int) -> None:
    values = picture(seed=1).astype(np.uint16) << (bits - 8)
    assert cv2.imwrite(str(path), values)


def test_pictures_of_12_bits_are_named_in_a_warning(config, images, tmp_path, capsys):
    save_deep(images / "a.png", 16)
    for n in range(6):
        save_deep(images / f"n{n}.png", 12)
    predict_files([images], tmp_path / "out", cfg=cfg_of(config))
    warning = (
        "WARNING: 6 of 8 images have 16 bits a channel and no value above 4095, so that they are "
        "nearly black to the model; if 12 bits are used, give INPUT.BIT_DEPTH 12: "
    )
    named = ", ".join(str(images / f"n{n}.png") for n in range(5))
    assert f"{warning}{named}, …\n" in capsys.readouterr().out
    predict_files([images], tmp_path / "out", cfg=cfg_of(config, "INPUT.BIT_DEPTH", 12))
    assert "WARNING" not in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "n0.json").read_text())
    eight = json.loads((tmp_path / "out" / "b.json").read_text())
    assert content["detections"] == eight["detections"]


def test_too_many_pixels_are_passed_over(config, images, tmp_path, capsys):
    cfg = cfg_of(config, "INPUT.MAX_PIXELS", 6299)
    with pytest.raises(ValueError, match="1 of 1 images could not be read"):
        predict_files([images / "b.png"], tmp_path / "out", cfg=cfg)
    assert "6300 pixels, more than INPUT.MAX_PIXELS, which is 6299" in capsys.readouterr().out


def test_when_nothing_can_be_read_nothing_is_written(config, tmp_path):
    with pytest.raises(ValueError, match="1 of 1 images could not be read"):
        predict_files([tmp_path / "a.png"], tmp_path / "out", cfg=cfg_of(config))
    assert not (tmp_path / "out").exists()


def test_a_folder_stands_for_the_images_right_in_it(images):
    (images / "B.JPG").write_bytes(b"")
    assert list_images([images]) == [images / "B.JPG", images / "a.png", images / "b.png"]
    assert list_images([images / "c", images / "b.png"]) == [
        images / "c" / "a.png",
        images / "b.png",
    ]
    # A file that is named itself is taken whatever its suffix, and each only once.
    listed = list_images([images / "c" / "note.txt", images, images / "c" / ".." / "a.png"])
    assert [path.name for path in listed] == ["note.txt", "B.JPG", "a.png", "b.png"]


def test_a_folder_without_images_is_named(images):
    (images / "c" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"the folder .*images/c has no images in it \(\.bmp, "):
        list_images([images, images / "c"])


@pytest.mark.parametrize("key", ["VIS.VIS_TH", "DEVICE", "DEVICE=cpu", "CKPT=a/b"])
def test_a_config_key_among_the_images_is_named(images, key):
    with pytest.raises(ValueError, match=f"{key} is a config key and no image; the pairs"):
        list_images([images / "a.png", key, "0.3"])


def test_no_output_overwrites_another(tmp_path):
    names = ["a/x.jpg", "a/x.png", "b/X.jpg", "a/y.jpg", "c/x_2.jpg", "a/x.y.jpg", "a/x"]
    outputs = name_outputs([Path(name) for name in names], tmp_path)
    assert list(outputs) == [Path(name) for name in names]
    assert [path.name for path in outputs.values()] == [
        *("x", "x_2", "X_3", "y", "x_2_2", "x.y", "x_4")
    ]


def test_names_that_some_file_system_takes_for_one_get_two_outputs(tmp_path):
    composed, apart, sharp = "\u00e9.png", "e\u0301.png", "Ma\u00dfe.png"
    outputs = name_outputs(
        [Path(name) for name in (composed, apart, sharp, "MASSE.png")], tmp_path / "out"
    )
    assert [path.name for path in outputs.values()] == [
        *("\u00e9", "e\u0301_2", "Ma\u00dfe", "MASSE_2")
    ]


def test_names_that_cannot_be_written_are_changed(tmp_path):
    long = "\u00e9" * 120  # 240 bytes
    names = [f"{long}.png", f"{long}.jpg", "b\udcff.png", "b?.png"]
    outputs = name_outputs([Path(name) for name in names], tmp_path)
    assert [path.name for path in outputs.values()] == [
        *("\u00e9" * 100, "\u00e9" * 100 + "_2", "b?", "b?_2")
    ]


def test_outputs_of_one_name_are_both_there(config, images, tmp_path):
    paths = [images / "a.png", images / "c" / "a.png"]
    predict_files(paths, tmp_path / "out", cfg=cfg_of(config))
    assert written(tmp_path / "out") == ["a.jpg", "a.json", "a_2.jpg", "a_2.json"]
    second = json.loads((tmp_path / "out" / "a_2.json").read_text())
    assert second["file"] == str(images / "c" / "a.png")


def test_images_are_never_overwritten(config, images, monkeypatch):
    before = (images / "a.png").read_bytes()
    monkeypatch.chdir(images)
    for out in (images, Path(), images / "c" / ".."):
        with pytest.raises(ValueError, match=r"which holds a\.png, one of the images"):
            predict_files([images], out, cfg=cfg_of(config))
    assert written(images) == ["a.png", "b.png", "c"]
    assert (images / "a.png").read_bytes() == before


def test_records_without_masks_and_of_nothing():
    found = Detections(
        torch.tensor([[1.0, 2, 4, 8]]), torch.tensor([0.25]), torch.tensor([2]), (20, 30)
    )
    assert detection_records(found, ("ant", "bee")) == [
        {"class_name": "bee", "category_id": 2, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.25}
    ]
    assert detection_records(found[torch.tensor([False])], ("ant", "bee")) == []


def run(monkeypatch, *words) -> None:
    """Run tools/rcnn/predict.py as the command line does."""
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, words)])
    runpy.run_path(str(ROOT / "tools" / "rcnn" / "predict.py"), run_name="__main__")


def test_the_tool_takes_images_weights_folder_and_keys(monkeypatch, config, images, tmp_path):
    weights = config.parents[1] / "run" / "model_latest.pth"
    options = ["--out", tmp_path / "out", "--weights", weights, "--cfg", config]
    run(monkeypatch, "--images", images, images / "c" / "a.png", *options, "VIS.VIS_TH", 0.2)
    assert [name for name in written(tmp_path / "out") if name.endswith(".jpg")] == [
        *("a.jpg", "a_2.jpg", "b.jpg")
    ]


def test_the_tool_ends_with_status_2_where_an_image_is_bad(monkeypatch, config, images, capsys):
    (images / "b.png").write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, "--images", images, "--cfg", config)
    assert end.value.code == 2
    assert f"1 of 2 images could not be read: {images / 'b.png'}\n" in capsys.readouterr().err


def test_the_tool_says_where_pairs_belong(monkeypatch, config, images, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--cfg", config, "--images", images, "VIS.VIS_TH", "0.3")
    assert "VIS.VIS_TH is a config key and no image" in capsys.readouterr().err
