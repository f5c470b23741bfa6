import json
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from pet.config import default_cfg, merge_cfg_from_file
from pet.engine.start import join_processes
from pet.engine.train import _why_ended, run_training
from pet.modeling import registry
from pet.modeling.rcnn.rpn import RPNHead
from tests.engine.tiny_run import tiny_cfg


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_run_leaves_everything_in_its_folder(folder):
    cfg = tiny_cfg(folder)
    run_training("tiny.yaml", cfg)
    run = folder / "run"
    names = {"config.yaml", "log.txt", "metrics.jsonl", "tensorboard", "model_iter2.pth"}
    assert {path.name for path in run.iterdir()} == names | {"model_iter4.pth", "model_latest.pth"}
    merged = default_cfg()
    merge_cfg_from_file(run / "config.yaml", merged)
    assert merged == cfg
    assert merged.MODEL.NUM_CLASSES == 6  # five shapes and the background
    assert "[Training][tiny.yaml][iter: 4/4][lr: 0.010000]" in (run / "log.txt").read_text()
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["iter"] for record in records] == [2, 4]
    losses = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
    assert losses < set(records[0])
    last = checkpoint(run / "model_latest.pth")
    assert last["iteration"] == 4 and last["class_names"][0] == "circle"
    prefixes = {key.split(".")[0] for key in last["model"]}
    assert prefixes == {"Conv_Body", "Conv_Body_FPN", "RPN", "Fast_RCNN", "Mask_RCNN"}


def test_training_learns(folder):
    more = {"FPN__DIM": 32, "RPN__BATCH_SIZE_PER_IMAGE": 256}  # few anchors make losses jump
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=30, DISPLAY_ITER=5, **more))
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["total_loss"] for line in lines]
    assert min(losses) < 0.9 * losses[0]  # it goes up and down, to 0.77


def test_training_in_bfloat16(folder, monkeypatch):
    types = set()
    losses = RPNHead.forward

    def watched(self, features):
        outputs = losses(self, features)
        types.update(logit.dtype for logit in outputs[0])
        return outputs

    monkeypatch.setattr(RPNHead, "forward", watched)
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__PRECISION="bfloat16"))
    assert types == {torch.bfloat16}
    state = checkpoint(folder / "run" / "model_latest.pth")["model"]
    assert {value.dtype for value in state.values()} <= {torch.float32, torch.int64}
    (*_, last) = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert 0 < json.loads(last)["total_loss"] < 10


@pytest.mark.filterwarnings("ignore")  # of what traces the model
def test_a_compiled_run_is_the_same_run(folder, monkeypatch):
    compiled = []

    def traced(part):
        """Do all that torch.compile does but the making of a program, which takes minutes."""
        compiled.append(type(part).__name__)
        part._compiled_call_impl = torch.compile(part._call_impl, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    states = []
    for compile_ in (False, True):
        cfg = tiny_cfg(folder, CKPT=str(folder / str(compile_)), SOLVER__COMPILE=compile_)
        run_training("tiny.yaml", cfg)
        states.append(checkpoint(Path(cfg.CKPT) / "model_latest.pth")["model"])
    assert compiled == ["ResNet", "FPN", "RPNHead"]
    plain, traced_state = states
    assert plain.keys() == traced_state.keys()
    for key, value in plain.items():
        torch.testing.assert_close(traced_state[key], value, msg=key)


def test_a_model_without_parts_to_compile_is_not_compiled(folder, monkeypatch):
    monkeypatch.setitem(registry.MODELS._parts, "mine", lambda cfg: nn.Linear(1, 1))
    wanted = r"SOLVER\.COMPILE asks for .* MODEL\.TYPE mine lacks: Linear has no compile_dense"
    with pytest.raises(ValueError, match=wanted):
        run_training("tiny.yaml", tiny_cfg(folder, SOLVER__COMPILE=True, MODEL__TYPE="mine"))


def test_a_resumed_run_equals_one_that_was_never_interrupted(folder):
    whole = tiny_cfg(folder, CKPT=str(folder / "whole"))
    run_training("tiny.yaml", whole)
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2))
    run_training("tiny.yaml", tiny_cfg(folder))
    assert "resumed from" in (folder / "run" / "log.txt").read_text()
    one = checkpoint(folder / "whole" / "model_latest.pth")
    other = checkpoint(folder / "run" / "model_latest.pth")
    for key, value in one["model"].items():
        assert torch.equal(value, other["model"][key]), key
    for index, state in one["optimizer"]["state"].items():
        momentum = other["optimizer"]["state"][index]["momentum_buffer"]
        assert torch.equal(state["momentum_buffer"], momentum)


def test_a_finished_run_says_so(folder):
    cfg = tiny_cfg(folder, SOLVER__MAX_ITER=2)
    run_training("tiny.yaml", cfg)
    before = (folder / "run" / "model_latest.pth").stat().st_mtime_ns
    config = (folder / "run" / "config.yaml").read_text()
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2, SEED=5))
    assert (folder / "run" / "config.yaml").read_text() == config
    assert "already holds a run of 2 iterations" in (folder / "run" / "log.txt").read_text()
    assert (folder / "run" / "model_latest.pth").stat().st_mtime_ns == before
    assert "a larger SOLVER.MAX_ITER" in (folder / "run" / "log.txt").read_text()


def test_a_run_in_epochs_that_is_finished_names_their_key(tmp_path):
    cfg = tiny_cfg(tmp_path, SOLVER__MAX_EPOCHS=1, SOLVER__MAX_ITER=2)
    assert "a larger SOLVER.MAX_EPOCHS" in _why_ended(2, None, cfg)


def test_weights_of_other_classes(folder):
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2))
    file = folder / "run" / "model_latest.pth"
    # The same pictures, with one class less to tell apart.
    annotations = folder / "data" / "shapes" / "annotations" / "instances_train.json"
    content = json.loads(annotations.read_text())
    content["categories"] = content["categories"][:4]
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] <= 4]
    (folder / "four.json").write_text(json.dumps(content))
    changes = {
        "CKPT": str(folder / "other"),
        "TRAIN__WEIGHTS": str(file),
        "TRAIN__DATASETS": ("four",),
        "DATASETS__four__IMAGES": str(folder / "data" / "shapes" / "train"),
        "DATASETS__four__ANNOTATIONS": str(folder / "four.json"),
        "SOLVER__MAX_ITER": 2,
    }
    with pytest.raises(ValueError, match=r"cls_score.weight: \(6, 32\) in the file, \(5, 32\)"):
        run_training("tiny.yaml", tiny_cfg(folder, **changes))
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__REINIT_MISMATCHED=True, **changes))
    assert "of another shape, left at their start" in (folder / "other" / "log.txt").read_text()


def test_only_images_without_annotations_train_too(folder):
    annotations = folder / "data" / "shapes" / "annotations" / "instances_train.json"
    content = json.loads(annotations.read_text())
    first = content["images"][0]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == first]
    (folder / "sparse.json").write_text(json.dumps(content))
    cfg = tiny_cfg(
        folder,
        TRAIN__DATASETS=("sparse",),
        DATASETS__sparse__IMAGES=str(folder / "data" / "shapes" / "train"),
        DATASETS__sparse__ANNOTATIONS=str(folder / "sparse.json"),
        DATALOADER__FILTER_EMPTY_ANNOTATIONS=False,
    )
    run_training("tiny.yaml", cfg)
    assert (folder / "run" / "model_iter4.pth").is_file()


def test_a_run_that_diverges_stops_with_a_reason(folder):
    cfg = tiny_cfg(folder, SOLVER__BASE_LR=1e12, SOLVER__MAX_ITER=8, SOLVER__WARM_UP_ITERS=0)
    with pytest.raises(FloatingPointError, match=r"SOLVER\.BASE_LR"):
        run_training("tiny.yaml", cfg)


def test_norms_over_all_processes_need_gpus(folder):
    cfg = tiny_cfg(folder)
    cfg.defrost()
    cfg.MODEL.BATCH_NORM = "syncbn"
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match=r'"syncbn".* on the CPU give bn, or train in one'):
            run_training("tiny.yaml", cfg)
    finally:
        distributed.destroy_process_group()


def test_missing_weights_are_named_before_the_data_is_read(tmp_path):
    weights = str(tmp_path / "resnet18-f37072fd.pth")
    with pytest.raises(
        FileNotFoundError, match=r"download it from https://download\.pytorch\.org/"
    ):
        run_training("tiny.yaml", tiny_cfg(tmp_path, TRAIN__WEIGHTS=weights))
    assert not (tmp_path / "data").exists()


def test_a_resumed_run_says_that_it_does_not_read_the_weights(folder):
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2))
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__WEIGHTS="nowhere.pth"))
    assert "so TRAIN.WEIGHTS is not read" in (folder / "run" / "log.txt").read_text()


def test_random_weights_that_are_not_trained_are_warned_of(folder):
    run_training("tiny.yaml", tiny_cfg(folder, BACKBONE__FREEZE_AT=2, SOLVER__MAX_ITER=2))
    warning = "WARNING: TRAIN.WEIGHTS is empty, so the trunk starts from random weights"
    assert warning in (folder / "run" / "log.txt").read_text()


def test_a_named_gpu_is_the_current_one(monkeypatch):
    """Pinned memory and libraries use the current device."""
    chosen = []
    monkeypatch.setattr("pet.engine.start.resolve_device", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert join_processes("cuda:1") == torch.device("cuda", 1)
    assert join_processes("cpu") == torch.device("cpu")
    assert join_processes("cuda") == torch.device("cuda")
    assert chosen == [torch.device("cuda", 1)]
