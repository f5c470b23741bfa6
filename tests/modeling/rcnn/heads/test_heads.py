import pytest
import torch

from pet.layers.norm import FrozenBatchNorm2d
from pet.modeling.rcnn.heads.roi_2mlp_head import Roi2MlpHead
from pet.modeling.rcnn.heads.roi_convx_head import RoiConvxHead
from pet.modeling.rcnn.heads.roi_xconv1fc_head import RoiXconv1fcHead
from pet.modeling.registry import ROI_BOX_HEADS, ROI_MASK_HEADS


def test_the_box_head_is_two_layers_with_relu():
    torch.manual_seed(0)
    head = Roi2MlpHead(3, (7, 5), 11)
    x = torch.randn(4, 3, 7, 5)
    hidden = (x.reshape(4, -1) @ head.fc1.weight.T + head.fc1.bias).relu()
    wanted = (hidden @ head.fc2.weight.T + head.fc2.bias).relu()
    torch.testing.assert_close(head(x), wanted)
    torch.testing.assert_close(head(x.contiguous(memory_format=torch.channels_last)), wanted)
    assert head.dim_out == 11
    assert head(x[:0]).shape == (0, 11)


def test_the_mask_head_is_a_stack_of_convolutions_with_relu():
    torch.manual_seed(0)
    head = RoiConvxHead(3, 2, 6)
    x = torch.randn(4, 3, 14, 10)
    torch.testing.assert_close(head(x), head.convs[1](head.convs[0](x).relu()).relu())
    assert head.dim_out == 6
    assert head(x[:0]).shape == (0, 6, 14, 10)


def test_a_mask_head_of_no_convolutions_hands_on_what_it_gets():
    head, x = RoiConvxHead(3, 0, 6), torch.randn(2, 3, 4, 4)
    assert head.dim_out == 3
    assert torch.equal(head(x), x)


def test_the_config_sets_the_widths(fresh_cfg):
    fresh_cfg.FAST_RCNN.MLP_HEAD_DIM = 13
    fresh_cfg.MRCNN.NUM_CONVS, fresh_cfg.MRCNN.CONV_DIM = 3, 5
    box_head = ROI_BOX_HEADS[fresh_cfg.FAST_RCNN.ROI_BOX_HEAD](4, (7, 7), fresh_cfg)
    mask_head = ROI_MASK_HEADS[fresh_cfg.MRCNN.ROI_MASK_HEAD](4, fresh_cfg)
    assert (box_head.dim_out, box_head.fc1.in_features) == (13, 4 * 49)
    assert (mask_head.dim_out, len(mask_head.convs)) == (5, 3)


@pytest.mark.parametrize("norm", ["none", "bn"])
def test_the_stacked_box_head_is_convolutions_and_a_layer(norm):
    torch.manual_seed(0)
    head = RoiXconv1fcHead(3, (7, 5), num_convs=2, conv_dim=6, dim=11, norm=norm).eval()
    x = torch.randn(4, 3, 7, 5)
    hidden = head.convs[1](head.convs[0](x).relu()).relu().reshape(4, -1)
    torch.testing.assert_close(head(x), (hidden @ head.fc1.weight.T + head.fc1.bias).relu())
    assert head.dim_out == 11
    assert head(x[:0]).shape == (0, 11)
    assert (head.convs[0].norm is None) == (norm == "none")


def test_the_config_builds_the_stacked_box_head(fresh_cfg):
    fast = fresh_cfg.FAST_RCNN
    fast.ROI_BOX_HEAD, fast.NUM_STACKED_CONVS, fast.CONV_HEAD_DIM = "roi_xconv1fc_head", 3, 5
    fast.MLP_HEAD_DIM, fast.NORM = 13, "freeze"
    head = ROI_BOX_HEADS[fast.ROI_BOX_HEAD](4, (7, 7), fresh_cfg)
    assert (len(head.convs), head.fc1.in_features, head.dim_out) == (3, 5 * 49, 13)
    assert isinstance(head.convs[0].norm, FrozenBatchNorm2d)
