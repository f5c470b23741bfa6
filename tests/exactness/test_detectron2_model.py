"""The same weights in Pet and in a plain re-computation of Detectron2 give the same detections."""

import pickle
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from pet.engine.predictor import Predictor
from pet.modeling.backbones.resnet import BlockStyle, Bottleneck, ResNet
from pet.weights.formats import find_importer
from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like

X_101 = {"blocks": (3, 4, 23, 3), "inner": 256, "groups": 32}
# Enlarged, shrunk, held to the longest side, upright, and of sides that divide by no stride.
SIZES = ((140, 200), (333, 250), (90, 260), (201, 167))


# Random models in Detectron2's names -------------------------------------------------------------


def trunk_state(
    seed: int,
    blocks: Sequence[int] = (3, 4, 6, 3),
    stem: int = 64,
    inner: int = 64,
    groups: int = 1,
    prefix: str = "backbone.bottom_up.",
) -> trunk_like.State:
    """Return a ResNet of ``inner`` channels between the 1x1 convolutions of res2."""
    generator = torch.Generator().manual_seed(seed)
    state: trunk_like.State = {}

    def add(name: str, dim_out: int, dim_in: int, kernel: int, gain: float = 1.0) -> None:
        spread = (2 / (dim_in * kernel**2)) ** 0.5
        shape = (dim_out, dim_in, kernel, kernel)
        state[f"{prefix}{name}.weight"] = torch.randn(shape, generator=generator) * spread
        # Small variances, in which the eps of 1e-5 shows, under a weight that makes up for it.
        variance = 10 ** (torch.rand(dim_out, generator=generator) * 4 - 4)  # 1e-4 .. 1
        draw = torch.rand(dim_out, generator=generator) * 0.5 + 0.5
        state[f"{prefix}{name}.norm.weight"] = draw * gain * variance.sqrt()
        state[f"{prefix}{name}.norm.bias"] = torch.randn(dim_out, generator=generator) * 0.1
        state[f"{prefix}{name}.norm.running_mean"] = torch.randn(dim_out, generator=generator) * 0.1
        state[f"{prefix}{name}.norm.running_var"] = variance

    add("stem.conv1", stem, 3, 7, gain=0.02)  # pixels reach up to 255 from their mean
    dim_in = stem
    for index, (stage, count) in enumerate(zip(trunk_like.STAGES, blocks, strict=True)):
        width, dim_out = inner * 2**index, stem * 4 * 2**index
        for block in range(count):
            name = f"{stage}.{block}"
            if block == 0:
                add(f"{name}.shortcut", dim_out, dim_in, 1)
            add(f"{name}.conv1", width, dim_in, 1)
            add(f"{name}.conv2", width, width // groups, 3)
            add(f"{name}.conv3", dim_out, width, 1, gain=0.3)  # so that nothing blows up
            dim_in = dim_out
    return state


def head_shapes(classes: int, has_masks: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and the shapes of the weights behind a trunk."""
    for level, channels in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        yield f"backbone.fpn_lateral{level}", (256, channels, 1, 1)
        yield f"backbone.fpn_output{level}", (256, 256, 3, 3)
    yield "proposal_generator.rpn_head.conv", (256, 256, 3, 3)
    yield "proposal_generator.rpn_head.objectness_logits", (3, 256, 1, 1)
    yield "proposal_generator.rpn_head.anchor_deltas", (12, 256, 1, 1)
    yield "roi_heads.box_head.fc1", (1024, 256 * 7 * 7)
    yield "roi_heads.box_head.fc2", (1024, 1024)
    yield "roi_heads.box_predictor.cls_score", (classes + 1, 1024)
    yield "roi_heads.box_predictor.bbox_pred", (4 * classes, 1024)
    if has_masks:
        for index in (1, 2, 3, 4):
            yield f"roi_heads.mask_head.mask_fcn{index}", (256, 256, 3, 3)
        yield "roi_heads.mask_head.deconv", (256, 256, 2, 2)
        yield "roi_heads.mask_head.predictor", (classes, 256, 1, 1)


def random_model(seed: int, has_masks: bool, classes: int = 80, **trunk) -> trunk_like.State:
    state = trunk_state(seed, **trunk)
    generator = torch.Generator().manual_seed(seed + 1)
    for name, shape in head_shapes(classes, has_masks):
        fan_in = shape[0] if "deconv" in name else int(np.prod(shape[1:]))
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        bias = 256 if "deconv" in name else shape[0]
        state[f"{name}.bias"] = torch.randn(bias, generator=generator) * 0.05
    return state


def liven(state: trunk_like.State, image: np.ndarray, setting: like.Setting) -> None:
    """Scale the predictors' weights, so that what they predict in ``image`` differs, in place."""

    def spread(name: str, output: torch.Tensor, wanted: float) -> None:
        state[f"{name}.weight"] *= wanted / output.std()

    x, size = like.preprocess(image, setting)
    maps = trunk_like.fpn(state, trunk_like.resnet(state, x, setting.stride_in_1x1))
    outputs = [like.rpn_outputs(state, x) for x in maps]
    logits, deltas = (torch.cat(values) for values in zip(*outputs, strict=True))
    spread("proposal_generator.rpn_head.objectness_logits", logits, 2.0)
    spread("proposal_generator.rpn_head.anchor_deltas", deltas, 0.2)
    proposals = like.rpn(state, maps, size)
    logits, deltas = like.box_outputs(state, maps, proposals)
    spread("roi_heads.box_predictor.cls_score", logits, 1.5)
    spread("roi_heads.box_predictor.bbox_pred", deltas, 1.0)
    if "roi_heads.mask_head.predictor.weight" in state:
        logits = like.mask_logits(state, maps, proposals[:20])
        means = logits.mean((0, 2, 3))
        factor = 2.0 / (logits - means[:, None, None]).std()
        # Half of each mask is foreground.
        state["roi_heads.mask_head.predictor.weight"] *= factor
        state["roi_heads.mask_head.predictor.bias"].sub_(means).mul_(factor)


def pictures(sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Return coloured blocks under a grain that a resize without antialiasing would alias."""
    rng = np.random.default_rng(0)
    images = []
    for height, width in sizes:
        blocks = rng.integers(0, 200, (height // 12 + 1, width // 12 + 1, 3))
        blocks = blocks.repeat(12, 0).repeat(12, 1)[:height, :width]
        images.append((blocks + rng.integers(0, 56, (height, width, 3))).astype(np.uint8))
    return images


def publish(state: trunk_like.State, setting: like.Setting, path) -> None:
    """Write ``state`` as the model zoo does."""
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    arrays["pixel_mean"] = np.array(setting.mean, np.float32).reshape(3, 1, 1)
    arrays["pixel_std"] = np.array(setting.std, np.float32).reshape(3, 1, 1)
    for level, size in enumerate(like.ANCHOR_SIZES):
        name = f"proposal_generator.anchor_generator.cell_anchors.{level}"
        arrays[name] = like.cell_anchors(size).numpy()
    with open(path, "wb") as file:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, file)


# Trunks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_statistics", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride_in_1x1", [True, False])
def test_a_trunk_gives_the_same_maps(stride_in_1x1, groups, has_statistics):
    state = trunk_state(6, (2, 1, 2, 1), stem=16, inner=32, groups=groups, prefix="")
    if not has_statistics:  # then they are 0 and 1, as in the ImageNet weights of Caffe2
        state = {name: tensor for name, tensor in state.items() if "running" not in name}
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(7)) * 60
    prefixed = {f"backbone.bottom_up.{name}": tensor for name, tensor in state.items()}
    wanted = trunk_like.resnet(prefixed, images, stride_in_1x1)

    style = BlockStyle(
        "freeze", eps=1e-5, stride_in_1x1=stride_in_1x1, groups=groups, group_width=128 // groups
    )
    trunk = ResNet(Bottleneck, (2, 1, 2, 1), style=style, width=16)
    importer = find_importer(state)
    assert importer is not None and importer.family == "detectron2"
    converted = importer.convert(state).state
    trunk.load_state_dict({k.removeprefix("Conv_Body."): v for k, v in converted.items()})
    with torch.no_grad():
        for ours, theirs in zip(trunk.eval()(images), wanted, strict=True):
            assert theirs.std() > 1e-3
            torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.abs().max(), rtol=1e-5)


# Models ------------------------------------------------------------------------------------------


def check(name: str, setting: like.Setting, state: trunk_like.State, sizes, folder) -> None:
    """Hold Pet's detections of the model ``name`` against those of ``detectron2_like``."""
    images = pictures(sizes)
    with torch.inference_mode():
        liven(state, images[0], setting)
        wanted = [like.detect(state, image, setting) for image in images]
    publish(state, setting, folder / "model_final.pkl")
    predictor = Predictor.from_config(
        f"cfgs/rcnn/detectron2/{name}.yaml",
        folder / "model_final.pkl",
        [
            *("DEVICE", "cpu"),
            *("TEST.SCALE", setting.short_side, "TEST.MAX_SIZE", setting.longest_side),
            *("FAST_RCNN.SCORE_THRESH", setting.score_thresh),
            *("FAST_RCNN.DETECTIONS_PER_IMG", setting.max_detections),
        ],
    )
    for image, expected in zip(images, wanted, strict=True):
        check_detections(predictor(image), expected)


def check_detections(found, expected: dict[str, torch.Tensor]) -> None:
    assert len(found) == len(expected["scores"]) >= 90
    distance = torch.cdist(expected["boxes"], found.boxes, p=float("inf"))
    distance[expected["classes"][:, None] + 1 != found.labels] = float("inf")
    nearest, partner = distance.min(1)
    assert len(partner.unique()) == len(found)
    assert nearest.max() <= 1e-3
    assert (found.scores[partner] - expected["scores"]).abs().max() <= 1e-5
    if "masks" not in expected:
        assert found.masks is None
        return
    differ = found.masks[partner] != expected["masks"]
    assert differ.float().mean((1, 2)).max() <= 1e-4
    assert 0.001 < found.masks.float().mean() < 0.5


def test_mask_rcnn_gives_the_published_detections(tmp_path):
    # A hundred detections an image, cut off by the limit as in the published model.
    setting = like.Setting(short_side=160, longest_side=256)
    check("mask_rcnn_R_50_FPN_3x", setting, random_model(0, has_masks=True), SIZES[1:3], tmp_path)


def test_faster_rcnn_gives_the_published_detections(tmp_path):
    # The limit out of the way, and hundreds of detections an image.
    setting = like.Setting(160, 256, score_thresh=0.1, max_detections=2000)
    check("faster_rcnn_R_50_FPN_3x", setting, random_model(2, has_masks=False), SIZES, tmp_path)


def test_mask_rcnn_with_resnext_gives_the_published_detections(tmp_path):
    setting = like.Setting(160, 256, std=(57.375, 57.12, 58.395), stride_in_1x1=False)
    state = random_model(4, has_masks=True, **X_101)
    state["backbone.bottom_up.stem.conv1.norm.weight"] *= 57
    check("mask_rcnn_X_101_32x8d_FPN_3x", setting, state, SIZES[:1], tmp_path)
