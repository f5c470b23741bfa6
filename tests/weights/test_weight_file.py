"""Files of weights: told apart by their content, opened without running anything."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pet.structures import KeypointLayout
from pet.weights.weight_file import read_weight_file

STATE = {"a.weight": torch.tensor([1.0, 2.0]), "a.bias": torch.tensor(3.0)}


class MakesFolder:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def equal(found, expected=STATE) -> bool:
    return found.keys() == expected.keys() and all(
        map(torch.equal, found.values(), expected.values())
    )


@pytest.mark.parametrize("name", ["w.pth", "w.pkl", "w"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])  # torch opens no others safely
def test_torch_files(tmp_path, name, zipped, protocol):
    path = tmp_path / name
    torch.save(STATE, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert equal(read_weight_file(path).state)


@pytest.mark.parametrize("name", ["w.pth", "w.pkl", "w"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(tmp_path, name, protocol):
    arrays = {key: value.numpy() for key, value in STATE.items()}
    (tmp_path / name).write_bytes(pickle.dumps(arrays, protocol))
    assert equal(read_weight_file(tmp_path / name).state)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state_dict", "blobs"])
def test_wrappers(tmp_path, wrapper):
    arrays = {key: value.numpy() for key, value in STATE.items()}
    content = {wrapper: arrays, "__author__": "someone", "matching_heuristics": True}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    file = read_weight_file(tmp_path / "w.pkl")
    assert equal(file.state)
    assert (file.no_tensors, file.class_names, file.expects) == ((), (), {})


def test_what_stands_beside_the_weights(tmp_path):
    content = {
        "model": {**STATE, "order": "NCHW", "lr": 0.1},
        "class_names": ["cat", "dog"],
        "expects": {"INPUT.PIXEL_STD": (1.0, 1.0, 1.0)},
    }
    torch.save(content, tmp_path / "w.pth")
    file = read_weight_file(tmp_path / "w.pth")
    assert equal(file.state)
    assert file.no_tensors == ("order", "lr")
    assert file.class_names == ("cat", "dog")
    assert file.expects == {"INPUT.PIXEL_STD": (1.0, 1.0, 1.0)}


def test_keypoints_beside_the_weights(tmp_path):
    points = {"names": ["nose", "tail"], "skeleton": [[0, 1]]}
    torch.save({"model": STATE, "keypoints": points}, tmp_path / "w.pth")
    layout = read_weight_file(tmp_path / "w.pth").keypoints
    assert layout == KeypointLayout(("nose", "tail"), ((0, 1),))


@pytest.mark.parametrize(
    "points",
    [
        {"names": ["nose"]},
        {"names": 3, "skeleton": []},
        {"names": ["nose", "tail"], "skeleton": 1},
        {"names": ["nose", "tail"], "skeleton": [[0, 2]]},
        {"names": ["nose", "tail"], "skeleton": [[0, -1]]},
        {"names": ["nose", "tail"], "skeleton": [[0]]},
        {"names": ["nose", "tail"], "skeleton": [0, 1]},
    ],
)
def test_keypoints_that_cannot_be_meant(tmp_path, points):
    torch.save({"model": STATE, "keypoints": points}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r'w\.pth: .*"skeleton"'):
        read_weight_file(tmp_path / "w.pth")


def test_arrays_of_every_kind_become_tensors(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "counter": np.array(7),
        "half": np.ones(2, np.float16),
    }
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(arrays))
    state = read_weight_file(tmp_path / "w.pkl").state
    assert state["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state["counter"].shape == () and state["counter"].item() == 7
    assert state["half"].dtype == torch.float16


@pytest.mark.parametrize("content", [{}, {"model": {"epoch": 3}}, [1, 2], "text", {"model": None}])
def test_no_weights(tmp_path, content):
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"w\.pkl holds (no tensors under|a (list|str);)"):
        read_weight_file(tmp_path / "w.pkl")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["w.pth", "w.pkl"])
def test_a_torch_file_that_would_run_something(tmp_path, name, zipped):
    made, path = tmp_path / "made", tmp_path / name
    torch.save({"model": MakesFolder(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ValueError, match=rf"is refused, and nothing of it was run.*{os.name}\.mkdir"
    ):
        read_weight_file(path)
    assert not made.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.pkl"])
def test_a_pickle_that_would_run_something(tmp_path, name):
    made, path = tmp_path / "made", tmp_path / name
    path.write_bytes(pickle.dumps({"model": {"a": np.ones(2), "b": MakesFolder(made)}}))
    with pytest.raises(
        ValueError, match=rf"is refused, and nothing of it was run.*{os.name}\.mkdir"
    ):
        read_weight_file(path)
    assert not made.exists()


def test_a_pickle_in_the_dress_of_a_torch_file(tmp_path):
    made, path = tmp_path / "made", tmp_path / "w.pth"
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    bomb = pickle.dumps(MakesFolder(made), protocol=2)
    for content in (magic + bomb * 4, bomb[:2] + magic[2:-1] + b"0" + bomb[2:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"w\.pth"):
            read_weight_file(path)
        assert not made.exists()


@pytest.mark.parametrize("kept", [3, 20, 200, 400])
def test_truncated_files(tmp_path, kept):
    path = tmp_path / "w"
    writers = [
        lambda: torch.save(STATE, path),
        lambda: torch.save(STATE, path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps({"a": np.arange(500.0)})),
    ]
    for write in writers:
        write()
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=rf"w \({path.stat().st_size} bytes\) .*cut off"):
            read_weight_file(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        read_weight_file(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["cat", "dog"], ("cat", "dog")),
        (("__background__", "cat"), ("cat",)),
        ("cat", ()),
        ({"cat": 1}, ()),
        ([1, 2], ()),
        (None, ()),
    ],
)
def test_names_of_classes(tmp_path, written, read):
    torch.save({"model": STATE, "class_names": written}, tmp_path / "w.pth")
    assert read_weight_file(tmp_path / "w.pth").class_names == read
