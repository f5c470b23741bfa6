import pytest
import torch

from pet.structures import Detections


def detections(with_masks: bool = True) -> Detections:
    return Detections(
        boxes=torch.tensor([[0.0, 0.0, 10.0, 20.0], [4.0, 5.0, 44.0, 30.0], [1.0, 1.0, 2.0, 2.0]]),
        scores=torch.tensor([0.9, 0.5, 0.1]),
        labels=torch.tensor([2, 1, 2]),
        size=(30, 40),
        mask_probs=torch.arange(3.0)[:, None, None].expand(3, 28, 28) / 3 if with_masks else None,
    )


def none_found() -> Detections:
    return Detections(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), (30, 40)
    )


def test_the_fields_must_agree():
    found = detections()
    with pytest.raises(AssertionError):
        Detections(found.boxes[:2], found.scores, found.labels, (30, 40))
    with pytest.raises(AssertionError):
        Detections(found.boxes, found.scores, found.labels[:2], (30, 40))
    with pytest.raises(AssertionError):
        Detections(found.boxes, found.scores, found.labels, (30, 40), found.mask_probs[:1])


@pytest.mark.parametrize("index", [torch.tensor([True, False, True]), torch.tensor([0, 2])])
def test_indexing_picks_from_every_field(index):
    picked = detections()[index]
    assert len(picked) == 2
    assert picked.scores.tolist() == pytest.approx([0.9, 0.1])
    assert picked.labels.tolist() == [2, 2]
    assert picked.boxes[1].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert picked.mask_probs[1, 0, 0].item() == pytest.approx(2 / 3)
    assert picked.size == (30, 40)


def test_indexing_without_masks_or_to_nothing():
    picked = detections(with_masks=False)[torch.zeros(3, dtype=torch.bool)]
    assert len(picked) == 0
    assert picked.boxes.shape == (0, 4)
    assert picked.mask_probs is None


def test_resizing_maps_boxes_to_the_other_image_and_clips_them():
    resized = detections().resized((60, 120))  # height doubled, width times three
    assert resized.size == (60, 120)
    assert resized.boxes.tolist() == [
        [0.0, 0.0, 30.0, 40.0],
        [12.0, 10.0, 120.0, 60.0],  # 44 * 3 lies outside
        [3.0, 2.0, 6.0, 4.0],
    ]
    assert torch.equal(resized.mask_probs, detections().mask_probs)  # they belong to the box


def test_nothing_found_stays_right():
    assert len(none_found()) == 0
    assert none_found().resized((60, 80)).boxes.shape == (0, 4)
    assert len(none_found()[torch.zeros(0, dtype=torch.int64)]) == 0
    assert none_found().to("cpu").size == (30, 40)


@pytest.mark.parametrize("with_masks", [True, False])
def test_moving_takes_every_tensor_along(with_masks):
    moved = detections(with_masks).to("meta")
    tensors = [moved.boxes, moved.scores, moved.labels]
    tensors += [moved.mask_probs] if with_masks else []
    assert {tensor.device.type for tensor in tensors} == {"meta"}
