import numpy as np
import pytest
import torch

from pet.data.sample import Sample, make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize
from pet.structures import ImageInfo


def sample(**extras: torch.Tensor) -> Sample:
    """Return an image of 4 x 6 with two objects, of which the first lies outside."""
    boxes = torch.tensor([[7.0, 0.0, 9.0, 2.0], [1.0, 1.0, 3.0, 2.0]])
    info = ImageInfo(7, 4, 6, "a.png")
    image = np.zeros((4, 6, 3), np.uint8)
    return Sample(image, info, boxes, torch.tensor([1, 2]), None, extras=extras)


@pytest.mark.parametrize("transform", [Resize([8], 50), RandomHorizontalFlip(1.0)])
def test_extras_stay_with_their_objects_through_transforms(transform):
    before = sample(age=torch.tensor([3, 4]), place=torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    moved = transform(before, np.random.default_rng(0))
    assert not torch.equal(moved.boxes, before.boxes)
    targets = make_targets(moved)
    assert targets.labels.tolist() == [2]
    assert targets.extras["age"].tolist() == [4]
    assert targets.extras["place"].tolist() == [[3.0, 4.0]]


def test_extras_are_one_of_each_object():
    with pytest.raises(ValueError, match=r"extras\['age'\] of .* a\.png are 3, .* 2 objects"):
        sample(age=torch.zeros(3))
