import pytest
import torch
from torch import nn
from torchvision.models.detection.retinanet import RetinaNetHead as TorchvisionHead

from pet.modeling.rcnn.heads.retinanet_head import RetinaNetHead

GROUP_NORM = {"none": None, "gn": lambda channels: nn.GroupNorm(32, channels)}


@pytest.mark.parametrize("norm", GROUP_NORM)
def test_outputs_equal_torchvisions_with_the_same_weights(norm):
    torch.manual_seed(0)
    ours = RetinaNetHead(64, num_anchors=6, num_classes=5, norm=norm)
    theirs = TorchvisionHead(64, 6, 5, norm_layer=GROUP_NORM[norm])
    for mine, other, last in (
        (ours.cls_convs, theirs.classification_head, "cls_logits"),
        (ours.bbox_convs, theirs.regression_head, "bbox_reg"),
    ):
        for conv, block in zip(mine, other.conv, strict=True):
            block[0].weight = conv.weight
            if norm == "none":
                block[0].bias = conv.bias
            else:
                block[1].load_state_dict(conv.norm.state_dict())
        layer = ours.cls_logits if last == "cls_logits" else ours.bbox_pred
        getattr(other, last).load_state_dict(layer.state_dict())
    features = [torch.randn(2, 64, 7, 9), torch.randn(2, 64, 2, 1)]
    logits, deltas = ours(features)
    assert [logit.shape for logit in logits] == [(2, 7 * 9 * 6, 5), (2, 2 * 6, 5)]
    wanted = theirs(features)
    torch.testing.assert_close(torch.cat(logits, dim=1), wanted["cls_logits"])
    torch.testing.assert_close(torch.cat(deltas, dim=1), wanted["bbox_regression"])


def test_every_score_starts_at_the_prior():
    head = RetinaNetHead(8, num_anchors=3, num_classes=4, num_convs=1, prior_prob=0.02)
    with torch.no_grad():
        (logits,), (deltas,) = head([torch.zeros(1, 8, 3, 3)])
    torch.testing.assert_close(logits.sigmoid(), torch.full((1, 27, 4), 0.02))
    assert not deltas.any()


def test_the_towers_share_nothing_and_may_be_empty():
    head = RetinaNetHead(8, num_anchors=3, num_classes=4, num_convs=0)
    assert len(head.cls_convs) == len(head.bbox_convs) == 0
    assert head([torch.zeros(1, 8, 3, 3)])[1][0].shape == (1, 27, 4)
    head = RetinaNetHead(8, num_anchors=3, num_classes=4, num_convs=2)
    _, (deltas,) = head([torch.rand(1, 8, 3, 3)])
    deltas.sum().backward()
    assert all(p.grad is None for p in head.cls_convs.parameters())
    assert all(p.grad is not None for p in head.bbox_convs.parameters())
