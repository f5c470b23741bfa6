import math

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchors
from torchvision.models.detection.image_list import ImageList

from pet.modeling.anchors import AnchorGenerator

RATIOS = (0.5, 1.0, 2.0)


def maps(*sizes: tuple[int, int]) -> list[Tensor]:
    return [torch.zeros(2, 1, height, width) for height, width in sizes]


def test_anchors_of_a_pixel_by_hand():
    [anchors] = AnchorGenerator(sizes=[(16, 32)], ratios=(0.25, 1.0, 4.0), strides=(8,))(
        maps((1, 1))
    )
    # Height / width is the ratio, height * width the square of the size; sizes outside.
    wanted = [
        [-16.0, -4.0, 16.0, 4.0],
        [-8.0, -8.0, 8.0, 8.0],
        [-4.0, -16.0, 4.0, 16.0],
        [-32.0, -8.0, 32.0, 8.0],
        [-16.0, -16.0, 16.0, 16.0],
        [-8.0, -32.0, 8.0, 32.0],
    ]
    assert anchors.tolist() == wanted


def test_anchors_are_not_rounded():
    [anchors] = AnchorGenerator(sizes=[(32,)], ratios=(0.5,), strides=(4,))(maps((1, 1)))
    half_width, half_height = 16 * math.sqrt(2), 8 * math.sqrt(2)
    wanted = torch.tensor([[-half_width, -half_height, half_width, half_height]])
    torch.testing.assert_close(anchors, wanted)


def test_anchors_stand_at_pixel_times_stride_row_by_row():
    generator = AnchorGenerator(sizes=[(4,), (8,)], ratios=(1.0,), strides=(4, 8))
    fine, coarse = generator(maps((2, 3), (1, 2)))
    centres = (fine[:, :2] + fine[:, 2:]) / 2
    assert centres.tolist() == [[0, 0], [4, 0], [8, 0], [0, 4], [4, 4], [8, 4]]
    assert coarse.tolist() == [[-4, -4, 4, 4], [4, -4, 12, 4]]
    assert fine.dtype == torch.float32


def test_anchors_lie_within_half_a_pixel_of_torchvisions_rounded_ones():
    sizes, strides = ((32,), (64,), (128,)), (4, 8, 16)
    features = maps((16, 24), (8, 12), (4, 6))
    images = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96)] * 2)
    theirs = TorchvisionAnchors(sizes, (RATIOS,) * 3)(images, features)[0]
    ours = torch.cat(AnchorGenerator(sizes=sizes, ratios=RATIOS, strides=strides)(features))
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 0.5


def test_the_number_at_a_pixel():
    assert AnchorGenerator(sizes=[(32,), (64,)], ratios=RATIOS, strides=(4, 8)).num_per_pixel == 3
    assert AnchorGenerator(sizes=[(32, 64, 128)], ratios=RATIOS, strides=(32,)).num_per_pixel == 9


def test_anchors_follow_the_size_of_the_maps_and_keep_nothing():
    generator = AnchorGenerator(sizes=[(32,)], ratios=RATIOS, strides=(8,))
    small, large, again = (generator(maps(size))[0] for size in ((2, 3), (4, 5), (2, 3)))
    assert (len(small), len(large)) == (18, 60)
    assert torch.equal(small, again)
    assert generator.state_dict() == {}
    assert generator.to("meta")(maps((2, 3)))[0].device.type == "meta"


@pytest.mark.parametrize("side", [(64, 96), (800, 1088), (96, 352)])
def test_rounded_anchors_a_part_of_the_image_apart_are_torchvisions(side):
    """800 / 32 is odd: P6 has 13 rows, which torchvision sets 800 // 13 = 61 pixels apart."""
    sizes, strides = ((32,), (64,), (128,), (256,), (512,)), (4, 8, 16, 32, 64)
    features = maps(*(tuple(-(-length // stride) for length in side) for stride in strides))
    images = ImageList(torch.zeros(2, 3, *side), [side] * 2)
    theirs = TorchvisionAnchors(sizes, (RATIOS,) * 5)(images, features)[0]
    generator = AnchorGenerator(
        sizes=sizes, ratios=RATIOS, strides=strides, rounded=True, step_from_size=True
    )
    assert torch.equal(torch.cat(generator(features)), theirs)


def test_a_step_taken_from_the_sizes_by_hand():
    generator = AnchorGenerator(
        sizes=[(8,), (8,)], ratios=(1.0,), strides=(4, 8), step_from_size=True
    )
    _, coarse = generator(maps((10, 14), (3, 4)))  # 40 x 56 pixels: 40 // 3 and 56 // 4
    centres = ((coarse[:, :2] + coarse[:, 2:]) / 2).reshape(3, 4, 2)
    assert centres[:, 0, 1].tolist() == [0, 13, 26]
    assert centres[0, :, 0].tolist() == [0, 14, 28, 42]


def test_corners_are_rounded_by_hand():
    generator = AnchorGenerator(sizes=[(32,)], ratios=(0.5, 1.0), strides=(4,), rounded=True)
    [anchors] = generator(maps((1, 1)))
    # 16 * sqrt(2) = 22.63 and 8 * sqrt(2) = 11.31.
    assert anchors.tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16]]
