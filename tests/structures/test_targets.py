from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.structures import Crop, MaskCrops, Targets


def targets(count: int, with_masks: bool = True) -> Targets:
    crops = [Crop(np.ones((2, 3), np.uint8), x, 0) for x in range(count)]
    return Targets(
        boxes=torch.tensor([[x, 0.0, x + 3, 2.0] for x in range(count)]).reshape(-1, 4),
        labels=torch.arange(1, count + 1),
        size=(20, 30),
        image_id=7,
        masks=MaskCrops.pack(crops) if with_masks else None,
    )


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("with_masks", [True, False])
def test_length_is_the_number_of_boxes(count, with_masks):
    assert len(targets(count, with_masks)) == count


def test_the_fields_must_agree():
    boxes, labels = torch.zeros(2, 4), torch.ones(2, dtype=torch.int64)
    with pytest.raises(AssertionError):
        Targets(boxes=boxes[:1], labels=labels, size=(5, 5), image_id=1)
    with pytest.raises(AssertionError):
        Targets(boxes=boxes, labels=labels, size=(5, 5), image_id=1, masks=MaskCrops.pack([]))
    with pytest.raises(AssertionError, match="age"):
        replace(targets(2), extras={"age": torch.zeros(3)})


@pytest.mark.parametrize("with_masks", [True, False])
def test_moving_takes_every_tensor_along(with_masks):
    before = replace(targets(2, with_masks), extras={"age": torch.tensor([3, 4])})
    moved = before.to("meta")
    assert moved.extras["age"].device.type == "meta"
    assert moved.boxes.device.type == moved.labels.device.type == "meta"
    assert (moved.size, moved.image_id) == ((20, 30), 7)
    assert before.boxes.device.type == "cpu"
    if with_masks:
        assert moved.masks.bits.device.type == moved.masks.starts.device.type == "meta"
    else:
        assert moved.masks is None
