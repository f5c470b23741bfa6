"""Models on another device than the CPU: nothing is left behind, and all is as it is on the CPU.

A GPU where there is one; and on every machine a device that only keeps its tensors apart. There
RoIAlign is torchvision's operator, as on a GPU, so that it is compared with Pet's own, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pet.config import CfgNode
from pet.data.build import build_dataset, make_test_data_loader, make_train_data_loader
from pet.engine.augmentation import with_augmentation
from pet.layers.fold import prepare_for_inference
from pet.modeling import sampler
from pet.modeling.build import build_model
from pet.utils.seed import seed_all
from tests.far_device import FAR, FarTensor, far_device
from tests.small_cfgs import small_cfg
from tests.source_code import ROOT

# Each family once or more, with fixed, trained and group norms, all on a small trunk.
FAMILIES = (
    "coco_mini/overfit_e2e_cascade_mask_rcnn_R-18-FPN",
    "coco_mini/overfit_e2e_faster_rcnn_R-18-C4",
    "coco_mini/overfit_e2e_keypoint_mask_rcnn_R-18-FPN",
    "coco_mini/overfit_retinanet_R-18-FPN",
    "detectron2/mask_rcnn_R_50_FPN_3x_gn",
    "detectron2/rpn_R_50_FPN_1x",
    "detectron2/base_rcnn_c4",
    "detectron2/base_retinanet",
    "torchvision/maskrcnn_resnet50_fpn_v2",
    "torchvision/keypointrcnn_resnet50_fpn",
    "torchvision/retinanet_resnet50_fpn_v2",
)


@dataclass(frozen=True)
class Other:
    """A device, and how much what it computes may be apart from what the CPU does."""

    device: torch.device
    losses: float  # relative
    # Relative, of the norm of each parameter's gradient: a rounding turns some ReLUs on or off.
    gradients: float
    boxes: float  # pixels
    rest: float  # scores and masks


@pytest.fixture(params=["far", pytest.param("cuda", marks=pytest.mark.cuda)])
def other(request, monkeypatch) -> Iterator[Other]:
    """Make each device ready in turn."""
    if request.param == "far":
        with far_device():
            yield Other(FAR, 1e-5, 1e-2, 1e-3, 1e-5)
    elif not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    else:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield Other(torch.device("cuda", 0), 1e-3, 0.1, 0.05, 1e-3)


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path, pictures) -> CfgNode:
    """Return the config of a small model of each family."""
    return small_cfg(ROOT / "cfgs/rcnn" / f"{request.param}.yaml", tmp_path, pictures)


def test_tensors_of_both_devices_are_told_apart():
    with far_device():
        x = torch.arange(3.0).to(FAR)
        assert x.device == FAR and (x * 2 + x.new_tensor([1.0, 1, 1])).tolist() == [1, 3, 5]
        assert type((x + 1).cpu()) is torch.Tensor and (x > 0).sum().item() == 2
        near = torch.ones(3)
        assert x[near > 0].device == FAR and (x * torch.tensor(2.0)).device == FAR
        for mix in (
            lambda: x + near,
            lambda: near[x > 0],
            lambda: x.index_put_((torch.tensor([0]),), near[:1]),
            lambda: torch.stack([x.sum(), torch.tensor(1.0)]),
            lambda: torch.tensor(1.0).add_(x.sum()),
        ):
            with pytest.raises(AssertionError, match="has tensors of both devices"):
                mix()


def random_keys(labels: Tensor) -> Tensor:
    return torch.rand(len(labels), device="cpu").to(labels.device)


def test_a_step_is_the_same_on_another_device(family, other, monkeypatch):
    # Anchors are drawn, which every device would do in its own way.
    monkeypatch.setattr(sampler, "random_keys", random_keys)
    dataset = build_dataset(family.TRAIN.DATASETS, is_train=True, cfg=family)
    loader = make_train_data_loader(dataset, is_distributed=False, cfg=family)
    images, targets, _ = next(iter(loader))

    def step(device):
        seed_all(1)
        model = build_model("cpu", family).to(device).train()
        seed_all(2)
        outputs = model(images.to(device), [target.to(device) for target in targets])
        outputs["total_loss"].backward()
        trained = {k: p for k, p in model.named_parameters() if p.grad is not None}
        assert all(p.grad.device == device for p in trained.values())
        losses = {name: loss.item() for name, loss in outputs["losses"].items()}
        return losses, {name: p.grad.norm().item() for name, p in trained.items()}

    losses, gradients = step(torch.device("cpu"))
    other_losses, other_gradients = step(other.device)
    assert other_losses == pytest.approx(losses, rel=other.losses)
    assert other_gradients == pytest.approx(gradients, rel=other.gradients, abs=1e-5)


@pytest.mark.parametrize("changes", [{}, {"views": True}, {"soft": True}], ids=str)
def test_detections_are_the_same_from_another_device(family, other, changes):
    cfg = family.clone()
    cfg.defrost()
    cfg.TEST.SOFT_NMS.ENABLED = "soft" in changes
    if "views" in changes and cfg.MODEL.RPN_ONLY:
        pytest.skip("proposals are not found in several views")
    branches = {"BBOX_AUG": True, "MASK_AUG": cfg.MODEL.MASK_ON, "KPS_AUG": cfg.MODEL.KEYPOINT_ON}
    for name, is_there in branches.items():
        augmentation = cfg.TEST[name]
        augmentation.ENABLED = "views" in changes and is_there
        augmentation.SCALES, augmentation.MAX_SIZE = (64, 80), 96
    dataset = build_dataset(cfg.TEST.DATASETS, is_train=False, cfg=cfg)
    images, _ = next(iter(make_test_data_loader(dataset, cfg=cfg)))

    @torch.no_grad()
    def detect(device):
        seed_all(1)
        model = build_model("cpu", cfg).to(device).eval()
        prepare_for_inference(model, "float32")
        found = with_augmentation(model, cfg, dataset.keypoint_layout).eval()(images.to(device))
        assert all(detections.boxes.device == device for detections in found)
        return [detections.to("cpu") for detections in found]

    for ours, theirs in zip(detect(torch.device("cpu")), detect(other.device), strict=True):
        assert not isinstance(theirs.boxes, FarTensor)
        assert len(ours) == len(theirs) > 0
        torch.testing.assert_close(theirs.boxes, ours.boxes, rtol=0, atol=other.boxes)
        torch.testing.assert_close(theirs.scores, ours.scores, rtol=0, atol=other.rest)
        if ours.mask_probs is not None:
            masks = theirs.mask_probs
            torch.testing.assert_close(masks, ours.mask_probs, rtol=0, atol=other.rest)
        assert theirs.labels.equal(ours.labels)
        assert (ours.keypoints is None) == (theirs.keypoints is None)
        # A GPU may take another of the cells of a map of an untrained head, which are about equal.
        if ours.keypoints is not None and other.device == FAR:
            torch.testing.assert_close(theirs.keypoints, ours.keypoints, rtol=0, atol=other.boxes)
