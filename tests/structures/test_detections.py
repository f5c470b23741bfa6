from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.ops.paste import paste_integer_box, paste_pixel_centre
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
    with pytest.raises(AssertionError, match="pixel_center"):
        replace(found, mask_paste="pixel_center")


@pytest.mark.parametrize("index", [torch.tensor([True, False, True]), torch.tensor([0, 2])])
def test_indexing_picks_from_every_field(index):
    picked = replace(detections(), mask_paste="integer_box")[index]
    assert len(picked) == 2
    assert picked.mask_paste == "integer_box"
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


def test_resizing_drops_what_is_empty_then():
    found = Detections(
        # Empty at once, outside the image to the right, kept, one axis below the image, kept.
        boxes=torch.tensor(
            [
                [5.0, 5.0, 5.0, 9.0],
                [40.0, 3.0, 44.0, 9.0],
                [1.0, 2.0, 3.0, 4.0],
                [3.0, 30.0, 9.0, 31.0],
                [-9.0, -9.0, 0.1, 0.1],
            ]
        ),
        scores=torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
        labels=torch.tensor([1, 2, 3, 4, 5]),
        size=(30, 40),
        mask_probs=torch.arange(5.0)[:, None, None].expand(5, 2, 2) / 5,
        mask_paste="integer_box",
    )
    assert replace(found, drop_empty=False).resized((60, 80)).labels.tolist() == [1, 2, 3, 4, 5]
    resized = found.resized((60, 80))
    assert resized.labels.tolist() == [3, 5]
    assert resized.scores.tolist() == pytest.approx([0.7, 0.5])
    assert resized.boxes.tolist() == [[2.0, 4.0, 6.0, 8.0], pytest.approx([0.0, 0.0, 0.2, 0.2])]
    assert resized.mask_probs[:, 0, 0].tolist() == pytest.approx([0.4, 0.8])
    assert resized.mask_paste == "integer_box"


def random_masks(method: str) -> Detections:
    generator = torch.Generator().manual_seed(0)
    return Detections(
        boxes=torch.tensor(
            [[3.0, 4.0, 20.5, 18.25], [-5.0, 10.0, 50.0, 40.0], [7.0, 7.0, 7.1, 7.1]]
        ),
        scores=torch.tensor([0.9, 0.8, 0.7]),
        labels=torch.tensor([1, 1, 2]),
        size=(30, 40),
        mask_probs=torch.rand(3, 14, 14, generator=generator),
        mask_paste=method,
    )


@pytest.mark.parametrize(
    ("method", "paste"), [("pixel_centre", paste_pixel_centre), ("integer_box", paste_integer_box)]
)
def test_masks_are_pasted_as_they_say(method, paste):
    found = random_masks(method)
    crops = list(found.mask_crops())
    assert found.masks.shape == (3, 30, 40) and found.masks.dtype == torch.bool
    for index, (crop, mask) in enumerate(zip(crops, found.masks, strict=True)):
        bits, x, y = paste(found.mask_probs[index], found.boxes[index], (30, 40))
        assert crop.bits.dtype == np.uint8 and (crop.x, crop.y) == (x, y)
        assert np.array_equal(crop.bits, bits.numpy())
        inside = mask[y : y + bits.shape[0], x : x + bits.shape[1]]
        assert torch.equal(inside, bits) and mask.sum() == bits.sum()
    assert found.masks.sum() > 200


def test_the_two_ways_of_pasting_differ():
    assert not torch.equal(random_masks("pixel_centre").masks, random_masks("integer_box").masks)


def test_masks_are_drawn_once_and_belong_to_their_detections():
    found = random_masks("pixel_centre")
    assert found.masks is found.masks
    second = found[torch.tensor([1])]
    assert torch.equal(second.masks, found.masks[1:2])
    assert found.resized((60, 80)).masks.shape == (3, 60, 80)


def test_there_are_no_masks_without_their_probabilities():
    assert detections(with_masks=False).masks is None
    assert none_found().masks is None
    nothing = detections()[torch.zeros(3, dtype=torch.bool)]
    assert nothing.masks.shape == (0, 30, 40) and nothing.masks.dtype == torch.bool
    assert list(nothing.mask_crops()) == []


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


# Extras ------------------------------------------------------------------------------------------


def with_extras() -> Detections:
    extras = {"age": torch.tensor([3, 4, 5]), "colour": torch.eye(3)}
    return replace(detections(), extras=extras)


def test_extras_go_where_their_detections_go():
    found = with_extras()
    picked = found[torch.tensor([2, 0])]
    assert picked.extras["age"].tolist() == [5, 3]
    assert picked.extras["colour"].tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    # The last box is moved out of the image.
    moved = replace(found, boxes=found.boxes + torch.tensor([[0.0], [0.0], [40.0]]))
    assert moved.resized((30, 40)).extras["age"].tolist() == [3, 4]
    assert {values.device.type for values in found.to("meta").extras.values()} == {"meta"}
    assert detections().extras == {} and detections()[:0].extras == {}


def test_extras_are_one_of_each():
    with pytest.raises(AssertionError, match=r"extras\['age'\] are 2 of 3 detections"):
        replace(detections(), extras={"age": torch.zeros(2)})


# Joining -----------------------------------------------------------------------------------------


def test_joined_detections_stand_one_behind_the_other():
    points = torch.arange(9.0).reshape(3, 1, 3)
    found = replace(with_extras(), keypoints=points, mask_paste="integer_box", drop_empty=False)
    joined = Detections.join([found, found[torch.tensor([1])]])
    assert len(joined) == 4 and joined.size == (30, 40)
    assert joined.boxes[3].tolist() == [4.0, 5.0, 44.0, 30.0]
    assert joined.labels.tolist() == [2, 1, 2, 1]
    assert joined.keypoints[:, 0, 0].tolist() == [0.0, 3.0, 6.0, 3.0]
    assert torch.equal(joined.mask_probs[3], found.mask_probs[1])
    assert joined.extras["age"].tolist() == [3, 4, 5, 4]
    assert (joined.mask_paste, joined.drop_empty) == ("integer_box", False)
    assert Detections.join([none_found(), none_found()]).mask_probs is None


def test_only_what_is_alike_is_joined():
    for other in (none_found(), replace(detections(), size=(9, 9)), with_extras()):
        with pytest.raises(AssertionError):
            Detections.join([detections(), other])
