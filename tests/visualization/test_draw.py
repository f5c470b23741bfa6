import numpy as np
import pytest
import torch

from pet.structures import Crop, Detections, MaskCrops, Targets
from pet.utils.opencv import cv2
from pet.visualization.draw import PALETTE, draw_detections, draw_targets, save_picture

NAMES = ("cat", "dog")


def detections(boxes, scores, size, mask_probs=None) -> Detections:
    labels = torch.ones(len(scores), dtype=torch.int64)
    return Detections(
        torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), labels, size, mask_probs
    )


def has_color(picture, color) -> np.ndarray:
    return (picture == np.array(color)).all(axis=-1)


def test_a_box_is_drawn_where_it_is_with_a_dark_line_beside_it():
    image = np.full((700, 800, 3), 128, np.uint8)
    picture = draw_detections(image, detections([[300.0, 200, 500, 400]], [0.9], (700, 800)), NAMES)
    assert picture.shape == image.shape
    assert (image == 128).all()
    line = np.flatnonzero(has_color(picture[:, 400], PALETTE[0]))
    assert set(line) <= {198, 199, 200, 201, 202, 398, 399, 400, 401}
    assert {200, 399} <= set(line)
    dark = np.flatnonzero(has_color(picture[:, 400], (16, 16, 16)))
    assert dark.min() < line.min() and dark.max() > line.max()
    # Far from the box and its label nothing has changed.
    assert (picture[:150] == 128).all() and (picture[410:] == 128).all()


def test_detections_below_the_threshold_are_not_drawn():
    image = np.zeros((600, 600, 3), np.uint8)
    found = detections([[100.0, 100, 300, 300]] * 2, [0.7, 0.69], (600, 600))
    colors = [
        has_color(draw_detections(image, found, NAMES, threshold), PALETTE[1]).any()
        for threshold in (0.6, 0.7)
    ]
    assert colors == [True, False]
    nothing = draw_detections(image, found, NAMES, threshold=0.9)
    assert np.array_equal(nothing, image)


def test_each_instance_has_its_color_and_a_run_repeats():
    assert len(set(PALETTE)) == len(PALETTE)
    image = np.random.default_rng(0).integers(0, 256, (600, 640, 3), np.uint8)
    boxes = [[20.0 + 25 * n, 100, 40 + 25 * n, 500] for n in range(len(PALETTE) + 1)]
    found = detections(boxes, [0.9] * len(boxes), (600, 640))
    picture = draw_detections(image, found, NAMES)
    assert all(has_color(picture, color).sum() > 100 for color in PALETTE)
    assert np.array_equal(picture, draw_detections(image, found, NAMES))


def test_a_mask_tints_its_pixels_alone():
    image = np.full((600, 600, 3), 100, np.uint8)
    prob = torch.zeros(1, 28, 28)
    prob[:, :, :14] = 1  # the left half
    found = detections([[200.0, 200, 400, 400]], [0.9], (600, 600), prob)
    picture = draw_detections(image, found, NAMES)
    tint = np.round(100 * 0.6 + np.array(PALETTE[0]) * 0.4)
    assert (picture[230:390, 210:290] == tint).all()
    assert (picture[230:390, 310:390] == 100).all()
    assert has_color(picture[300, 295:306], PALETTE[0]).any()  # the outline between the halves


@pytest.mark.parametrize("size", [(120, 160), (40, 40), (100, 640), (640, 20)])
def test_small_images_are_enlarged_with_what_is_drawn(size):
    height, width = size
    image = np.full((height, width, 3), 128, np.uint8)
    box = [width / 4, height / 4, width / 2, height / 2]
    mask = torch.ones(1, 28, 28)
    picture = draw_detections(image, detections([box], [0.9], size, mask), NAMES)
    ratio = picture.shape[0] / height
    assert picture.shape[1] / width == pytest.approx(ratio, rel=0.05)
    assert max(picture.shape[:2]) >= 600
    assert min(picture.shape[:2]) >= 320 or max(picture.shape[:2]) == 2400
    tint = np.round(128 * 0.6 + np.array(PALETTE[0]) * 0.4)
    centre = picture[round(ratio * height * 3 / 8), round(ratio * width * 3 / 8)]
    assert (centre == tint).all()


def targets_of(size, boxes, crops) -> Targets:
    return Targets(
        torch.tensor(boxes).reshape(-1, 4),
        torch.arange(len(boxes)) % 2 + 1,
        size,
        7,
        None if crops is None else MaskCrops.pack(crops),
    )


def test_targets_are_drawn_with_their_crops():
    image = np.full((160, 200, 3), 128, np.uint8)
    bits = np.zeros((40, 60), np.uint8)
    bits[:, :30] = 1
    truth = targets_of((160, 200), [[20.0, 40, 80, 80]], [Crop(bits, 20, 40)])
    picture = draw_targets(image, truth, NAMES)
    assert picture.shape == (480, 600, 3)
    tint = np.round(128 * 0.6 + np.array(PALETTE[0]) * 0.4)
    assert (picture[3 * 60, 3 * 35] == tint).all()
    assert (picture[3 * 60, 3 * 65] == 128).all()


@pytest.mark.parametrize("crops", [None, [Crop(np.zeros((0, 0), np.uint8), 3, 3)]])
def test_targets_without_masks_are_boxes(crops):
    image = np.zeros((600, 600, 3), np.uint8)
    picture = draw_targets(image, targets_of((600, 600), [[100.0, 100, 300, 300]], crops), NAMES)
    assert has_color(picture, PALETTE[0]).any()
    assert not picture[110:290, 110:290].any()


def test_nothing_is_drawn_of_nothing():
    image = np.full((600, 600, 3), 9, np.uint8)
    assert np.array_equal(draw_targets(image, targets_of((600, 600), [], []), NAMES), image)


def test_boxes_and_masks_at_the_rim_are_no_trouble():
    image = np.zeros((600, 700, 3), np.uint8)
    boxes = [[0.0, 0, 700, 600], [0, 0, 0, 0], [700, 600, 700, 600], [690, 590, 700, 600]]
    found = detections(boxes, [0.9] * 4, (600, 700), torch.ones(4, 28, 28))
    assert draw_detections(image, found, NAMES).shape == image.shape


def test_a_name_that_no_font_can_write_becomes_its_number():
    image = np.zeros((600, 700, 3), np.uint8)
    found = detections([[100.0, 100, 300, 300]], [0.9], (600, 700))
    strange = draw_detections(image, found, ("\U000f0000", "dog"))
    assert np.array_equal(strange, draw_detections(image, found, ("class 1", "dog")))


def test_a_picture_is_saved_into_a_new_folder(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    save_picture(tmp_path / "a" / "b.png", picture)
    assert np.array_equal(cv2.imread(str(tmp_path / "a" / "b.png")), picture)
