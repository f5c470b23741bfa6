"""From a foreign file to Pet's keys: recognition, families, and what is known beside weights."""

import pickle

import pytest
import torch

from pet.structures.keypoint_layout import COCO_PERSON
from pet.weights.coco_classes import BY_CATEGORY_ID, CONTIGUOUS
from pet.weights.convert import write_weights
from pet.weights.import_weights import import_weights
from tests.weights.foreign_states import (
    caffe2_trunk,
    detectron2_detector,
    detectron2_keypoint_head,
    filled,
    small_detectron2_detector,
)
from tests.weights.small_model import SmallModel


def write_pickle(path, shapes, **beside):
    arrays = {key: value.numpy() for key, value in filled(shapes).items()}
    path.write_bytes(pickle.dumps({"model": arrays, **beside}, protocol=2))
    return path


def test_a_file_of_the_model_zoo(tmp_path):
    buffers = {
        "pixel_mean": (3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": (3, 4),
    }
    shapes = small_detectron2_detector() | buffers
    path = write_pickle(tmp_path / "w.pkl", shapes, __author__="Detectron2 Model Zoo")
    weights = import_weights(path)
    assert (weights.format, weights.family) == ("Detectron2 detector", "detectron2")
    assert weights.source == str(path)
    assert set(weights.not_needed) == buffers.keys()
    assert weights.used == len(small_detectron2_detector()) == len(weights.state)
    assert weights.no_place == ()
    assert weights.expects["INPUT.CHANNEL_ORDER"] == "BGR"
    assert weights.class_names == ()


@pytest.mark.parametrize(
    ("points", "class_names"), [(17, ("person",)), (5, ())], ids=["coco", "others"]
)
def test_the_class_of_a_keypoint_model(tmp_path, points, class_names):
    shapes = detectron2_detector((1, 1, 1, 1), 1, 1, masks=False)
    shapes |= detectron2_keypoint_head(dim=4, width=6, points=points)
    weights = import_weights(write_pickle(tmp_path / "w.pkl", shapes))
    assert weights.class_names == class_names
    assert (weights.keypoints is None) == (points != 17)


def test_what_is_needed_concerns_the_weights_that_are_there(tmp_path):
    shapes = {k: v for k, v in small_detectron2_detector().items() if "mask" not in k}
    expects = import_weights(write_pickle(tmp_path / "w.pkl", shapes)).expects
    assert "FAST_RCNN.ROI_XFORM_ALIGNED" in expects
    assert not any(key.startswith("MRCNN.") for key in expects)


def test_the_same_as_a_torch_file(tmp_path):
    state = filled(small_detectron2_detector())
    torch.save({"model": state, "iteration": 9}, tmp_path / "w.pth")
    from_torch = import_weights(tmp_path / "w.pth").state
    from_pickle = import_weights(
        write_pickle(tmp_path / "w.pkl", small_detectron2_detector())
    ).state
    assert from_torch.keys() == from_pickle.keys()
    assert all(torch.equal(from_torch[key], from_pickle[key]) for key in from_torch)


def test_blobs_at_the_top_with_something_beside(tmp_path):
    arrays = {
        key: value.numpy() for key, value in filled(caffe2_trunk((1, 1, 1, 1), stem=2)).items()
    }
    arrays["weight_order"] = "NCHW"
    (tmp_path / "R.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    weights = import_weights(tmp_path / "R.pkl")
    assert weights.family == "caffe2"
    assert weights.not_needed == ("fc1000_w", "fc1000_b", "weight_order")


@pytest.mark.parametrize(("count", "names"), [(80, CONTIGUOUS), (79, ())])
def test_cocos_names_where_the_count_is_cocos(tmp_path, count, names):
    path = write_pickle(tmp_path / "w.pkl", small_detectron2_detector(count))
    assert import_weights(path).class_names == names


def test_the_names():
    assert (len(CONTIGUOUS), len(BY_CATEGORY_ID)) == (80, 90)
    assert CONTIGUOUS[:2] == BY_CATEGORY_ID[:2] == ("person", "bicycle")
    assert CONTIGUOUS[11] == "stop sign" and BY_CATEGORY_ID[11:13] == ("N/A", "stop sign")
    assert CONTIGUOUS[-1] == BY_CATEGORY_ID[-1] == "toothbrush"


def test_a_family_that_fits(tmp_path):
    path = write_pickle(tmp_path / "w.pkl", small_detectron2_detector())
    assert import_weights(path, "detectron2").format == "Detectron2 detector"


def test_a_family_that_does_not_fit(tmp_path):
    path = write_pickle(tmp_path / "w.pkl", small_detectron2_detector())
    with pytest.raises(
        ValueError, match=r"no file of caffe2, it looks like Detectron2 detector; .*"
    ):
        import_weights(path, "caffe2")
    torch.save(SmallModel().state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"no file of torchvision, it looks like Pet; Pet reads it"
    ):
        import_weights(tmp_path / "w.pth", "torchvision")


def test_an_unknown_file(tmp_path):
    torch.save({f"trunk.{i}": torch.zeros(1) for i in range(9)}, tmp_path / "w.pth")
    for family in ("", "detectron2"):
        with pytest.raises(ValueError, match=r"keys trunk\.0, .*trunk\.4 and 4 more; known are"):
            import_weights(tmp_path / "w.pth", family)


def test_shapes_that_cannot_be_meant_are_told_with_the_file(tmp_path):
    shapes = small_detectron2_detector() | {"roi_heads.box_predictor.bbox_pred.bias": (5,)}
    path = write_pickle(tmp_path / "w.pkl", shapes)
    with pytest.raises(
        ValueError, match=r"w\.pkl \(Detectron2 detector\): .*bbox_pred\.bias has sh"
    ):
        import_weights(path)


def test_a_retinanet_without_anchors_is_told_with_the_file(tmp_path):
    shapes = {"Conv_Body.conv1.weight": (1, 3, 7, 7)}
    shapes |= {f"RetinaNet.head.{name}.bias": (3,) for name in ("cls_logits", "bbox_pred")}
    torch.save(filled(shapes), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth \(Pet\): .*bbox_pred\.bias has 3 outputs"):
        import_weights(tmp_path / "w.pth")


def test_keypoints_survive_a_conversion(tmp_path):
    shapes = detectron2_detector((1, 1, 1, 1), 1, 1, masks=False)
    shapes |= detectron2_keypoint_head(dim=4, width=6)
    published = import_weights(write_pickle(tmp_path / "w.pkl", shapes))
    write_weights(published, tmp_path / "w.pth")
    written = import_weights(tmp_path / "w.pth")
    assert written.format == "Pet"
    assert written.keypoints == published.keypoints == COCO_PERSON
    assert written.class_names == ("person",)
