"""The pictures of a folder, and their sizes."""

import cv2
import numpy as np
import pytest

from pet.data.formats.pictures import list_pictures, picture_size
from pet.data.image_file import ImageReader


def test_pictures_of_a_folder_and_its_folders(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b/2.JPG", "a.png", "notes.txt", ".x.png", ".hidden/1.png"):
        (tmp_path / name).touch()
    assert list_pictures(tmp_path) == ["a.png", "b/2.JPG"]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to("..")
    assert list_pictures(tmp_path) == ["a/1.png"]
    assert list_pictures(tmp_path / "a") == ["1.png"]


def test_size_is_height_and_width(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30, 3), np.uint8))
    assert picture_size(tmp_path / "a.png", ImageReader()) == (20, 30)


def test_a_missing_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        picture_size(tmp_path / "a.png", ImageReader())
