"""What is no file of weights: each is told in a line, before a reader tries it."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from pet.weights.file_kind import read_head
from pet.weights.load import load_weights
from pet.weights.weight_file import read_weight_file
from tests.weights.small_model import SmallModel


def safetensors() -> bytes:
    header = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


def archive() -> bytes:
    with zipfile.ZipFile(content := io.BytesIO(), "w") as file:
        file.writestr("a.txt", "text")
    return content.getvalue()


KINDS = {
    "empty": (b"", "it is empty"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "web page, as a download that failed"),
    "long web page": (b"\n \n<html>" + b"x" * 2000, "it is a web page"),
    "answer of a store": (b"<?xml version='1.0'?><Error/>", "it is a web page"),
    "page in UTF-8": ("\ufeff<html>".encode(), "it is a web page"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "safetensors": (safetensors(), r"safetensors file; torch\.save\(safetensors"),
    "text": (b"Entry not found", "it is a text that begins with 'Entry not found'"),
    "JSON": (b'{"error": 1}\n', """begins with '{"error": 1}'"""),
    "like a pickle": (b"conv1 0.1 0.2\nconv2 1 2\n", "begins with 'conv1 0.1 0.2'"),
    "like a tuple": (b"(1, 2)\n", r"begins with '\(1, 2\)'"),
    "cut in a letter": (b"x" + "\u4e2d".encode() * 900, "it is a text that begins with 'x\u4e2d"),
    "zip": (archive(), "of another kind"),
    "bytes": (bytes(range(256)), "of another kind"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind(tmp_path, kind):
    content, message = KINDS[kind]
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    told = rf"w\.pth \({len(content)} bytes\) is no readable torch file: .*{message}"
    with pytest.raises(ValueError, match=told) as caught:
        read_weight_file(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    for name, told in (
        ("folder", "folder is a folder, and no file"),
        ("pipe", "pipe is a pipe, a socket or a device"),
        ("none", "there is no file .*none"),
    ):
        with pytest.raises(FileNotFoundError, match=told):
            read_weight_file(tmp_path / name)
        with pytest.raises(FileNotFoundError, match=rf"{told}.* \(TRAIN\.WEIGHTS\); give another"):
            load_weights(SmallModel(), tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.zeros(1)},
        [np.zeros(1)],
        (1, 2),
        ("text",),
        {},
        [],
    ],
    ids=str,
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_left_to_their_reader(tmp_path, content, protocol):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol))
    assert read_head(tmp_path / "w.pkl")


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_are_left_to_their_reader(tmp_path, zipped):
    torch.save({}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert read_head(tmp_path / "w.pth")
