"""Models without pyramid at stride 16: res5 as the head of the RoIs (C4), or dilated (DC5)."""

import copy
from collections.abc import Callable

import pytest
import torch

from pet.config import CfgNode, freeze
from pet.config.check import check_cfg
from pet.modeling.backbones.resnet import build_res5
from pet.modeling.build import build_model
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.modeling.rcnn.heads.roi_res5_head import RoiRes5Head, roi_res5_head
from pet.modeling.rcnn.roi_losses import roi_losses
from pet.modeling.rcnn.roi_sampling import sample_rois
from pet.weights.load import load_weights
from tests.modeling.rcnn.small import box_targets, noise_images, small_cfg

SIZES = ((75, 106), (90, 60))  # that divide by no stride


def c4(node: CfgNode) -> CfgNode:
    node.FPN.FPN_ON, node.RPN.ANCHOR_STRIDE = False, (16,)
    node.BACKBONE.OUT_STAGE = 4
    node.FAST_RCNN.ROI_BOX_HEAD, node.FAST_RCNN.ROI_XFORM_RESOLUTION = "roi_res5_head", (6, 8)
    node.MRCNN.SHARE_RES5, node.MRCNN.NUM_CONVS, node.MRCNN.RESOLUTION = True, 0, (6, 8)
    return node


def c4_with_a_mask_branch_apart(node: CfgNode) -> CfgNode:
    node = c4(node)
    node.MRCNN.SHARE_RES5, node.MRCNN.RESOLUTION = False, (28, 28)
    return node


def c4_roi_pool(node: CfgNode) -> CfgNode:
    node = c4(node)
    node.FAST_RCNN.ROI_XFORM_METHOD = "ROIPool"
    return node


def c4_batch_norm(node: CfgNode) -> CfgNode:
    node = c4(node)
    node.MODEL.BATCH_NORM = "bn"
    return node


def c4_group_norm(node: CfgNode) -> CfgNode:
    node = c4(node)
    node.MODEL.BATCH_NORM = "gn"
    return node


def dc5(node: CfgNode) -> CfgNode:
    node.FPN.FPN_ON, node.RPN.ANCHOR_STRIDE = False, (16,)
    node.BACKBONE.RES5_DILATION = 2
    return node


def build(change: Callable[[CfgNode], CfgNode], masks: bool = True) -> Generalized_RCNN:
    node = change(small_cfg())
    node.MODEL.MASK_ON = masks
    check_cfg(node)
    freeze(node)
    torch.manual_seed(0)
    return build_model(cfg=node)


def images():
    batch = noise_images(*SIZES)
    # INPUT.SIZE_DIVISIBILITY 1: padded to the larger sides of the batch, and no further.
    return type(batch)(batch.tensor[:, :, :90, :106], batch.sizes)


def targets():
    return [
        box_targets([[10, 10, 60, 50], [30, 40, 90, 70]], [2, 3], SIZES[0]),
        box_targets([[5, 5, 50, 75]], [1], SIZES[1]),
    ]


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
@pytest.mark.parametrize(
    "change", [c4, c4_with_a_mask_branch_apart, c4_roi_pool, c4_batch_norm, c4_group_norm, dc5]
)
def test_a_model_trains_and_detects(change, masks):
    model = build(change, masks).train()
    outputs = model(images(), targets())
    assert ("loss_mask" in outputs["losses"]) == masks
    assert all(torch.isfinite(loss) for loss in outputs["losses"].values())
    outputs["total_loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    [feature] = model.features(images())
    assert feature.shape[2:] == (6, 7)
    with torch.no_grad():
        found = model.eval()(images())
    for one in found:
        assert len(one) == 10
        if masks:
            assert one.mask_probs.shape[1:] == model.Mask_RCNN.resolution


@pytest.mark.parametrize("change", [c4, c4_batch_norm, dc5])
@pytest.mark.parametrize("min_size", [0.0, 1e4], ids=["background only", "no RoIs at all"])
def test_gradients_reach_every_trained_parameter_without_foreground(change, min_size):
    def with_min_size(node: CfgNode) -> CfgNode:
        node.RPN.MIN_SIZE = min_size
        return change(node)

    model = build(with_min_size).train()
    outputs = model(images(), [box_targets([], [], size) for size in SIZES])
    for name in ("loss_rpn_box_reg", "loss_box_reg", "loss_mask"):
        assert outputs["losses"][name].item() == 0
    outputs["total_loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_no_detections_at_all():
    model = build(c4).eval()
    with torch.no_grad():
        model.Fast_RCNN.predictor.cls_score.bias[0] = 100.0  # background
        found = model(images())
    assert [one.mask_probs.shape for one in found] == [(0, 6, 8)] * 2


# res5 --------------------------------------------------------------------------------------------


def test_the_head_is_the_mean_of_res5(fresh_cfg):
    fresh_cfg.MODEL.CONV_BODY = "resnet18_1x64d"
    head = roi_res5_head(256, (14, 14), fresh_cfg).eval()
    x = torch.randn(3, 256, 14, 14)
    with torch.no_grad():
        maps = head.maps(x)
        assert maps.shape == (3, 512, 7, 7) and head.dim_out == 512
        torch.testing.assert_close(head(x), maps.flatten(2).mean(2))
    assert head(torch.zeros(0, 256, 14, 14)).shape == (0, 512)


def test_res5_belongs_to_the_box_branch_alone():
    model = build(c4)
    res5 = {key for key in model.state_dict() if "layer4" in key}
    wanted, _ = build_res5(c4(small_cfg()))
    assert res5 == {f"Fast_RCNN.head.layer4.{key}" for key in wanted.state_dict()}
    assert {name.split(".")[1] for name, _ in model.Mask_RCNN.named_parameters()} == {
        "deconv",
        "mask_logits",
    }
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names)) == len(list(model.parameters()))


def test_a_copy_shares_its_own_res5():
    model = build(c4)
    other = copy.deepcopy(model)
    assert other.Mask_RCNN.pooler.head is other.Fast_RCNN.head is not model.Fast_RCNN.head


def test_the_losses_are_those_of_the_branches_apart():
    model = build(c4).train()
    features = model.features(images())
    boxes = [t.boxes for t in targets()]
    rois = sample_rois([b + 3 for b in boxes], targets(), model.Fast_RCNN.sampling_rule)
    joint, metrics = roi_losses(model.Fast_RCNN, model.branches(), features, rois, targets())
    box_losses, box_metrics = model.Fast_RCNN.losses(features, rois, targets())
    apart = box_losses | model.Mask_RCNN.losses(features, rois, targets())
    assert list(joint) == list(apart) and list(metrics) == list(box_metrics)
    for name, loss in apart.items():
        torch.testing.assert_close(joint[name], loss)
        assert loss > 0


def test_res5_is_computed_once_for_boxes_and_masks(monkeypatch):
    seen = []
    whole = RoiRes5Head.maps

    def counted(self, x):
        seen.append(len(x))
        return whole(self, x)

    monkeypatch.setattr(RoiRes5Head, "maps", counted)
    build(c4).train()(images(), targets())
    assert len(seen) == 1


def test_masks_stand_on_res5_of_their_boxes():
    model = build(c4).eval()
    with torch.no_grad():
        features = model.features(images())
        box = torch.tensor([[10.0, 10.0, 60.0, 50.0]])
        maps = model.Fast_RCNN.head.layer4(model.Fast_RCNN.pooler(features, [box, box[:0]]))
        labels = torch.tensor([2])
        logits = model.Mask_RCNN.predictor(maps, labels)
        found = model.Mask_RCNN(features, [box, box[:0]], [labels, labels[:0]])
    assert maps.shape == (1, 512, 3, 4) and logits.shape == (1, 6, 8)
    torch.testing.assert_close(found, logits)


def test_imagenet_weights_go_to_trunk_and_head(tmp_path):
    whole = build(dc5).Conv_Body  # with res5
    state = {key: torch.rand_like(value) for key, value in whole.state_dict().items()}
    torch.save(state | {"fc.weight": torch.zeros(1)}, tmp_path / "resnet18.pth")
    model = build(c4)
    report = load_weights(model, tmp_path / "resnet18.pth")
    assert report.format == "torchvision ResNet"
    assert report.skipped == () and len(report.loaded) == len(state)
    ours = model.state_dict()
    for key, value in state.items():
        prefix = "Fast_RCNN.head." if key.startswith("layer4") else "Conv_Body."
        assert torch.equal(ours[prefix + key], value), key


def test_a_checkpoint_of_it_loads_strictly(tmp_path):
    model, other = build(c4), build(c4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    torch.save({"model": model.state_dict()}, tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth", strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
