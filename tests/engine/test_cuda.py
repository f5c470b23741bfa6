"""The engine on a GPU, from files to files. Models on one are in tests/test_devices.py."""

import json
from pathlib import Path

import pytest
import torch

from pet.data.image_file import read_image
from pet.engine.inference import run_test
from pet.engine.predictor import Predictor
from pet.engine.train import run_training, update
from pet.modeling.build import build_model
from pet.solver.optimizer import build_optimizer
from tests.engine.tiny_run import tiny_cfg
from tests.modeling.rcnn.small import box_targets, noise_images, small_cfg
from tools.benchmark.device_syncs import count_syncs

DEVICE = "cuda"

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def last_loss(run: Path) -> float:
    return float(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["total_loss"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_trains_resumes_and_tests(folder, precision):
    common = {
        "DEVICE": DEVICE,
        "TRAIN__PRECISION": precision,
        "TEST__PRECISION": precision,
        "TRAIN__LOADER_THREADS": 2,  # memory is pinned, and copied while the device works
    }
    run_training("tiny.yaml", tiny_cfg(folder, **common))
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=6, **common))
    run = folder / "run"
    assert torch.load(run / "model_latest.pth", weights_only=True)["iteration"] == 6
    assert 0 < last_loss(run) < 10
    run_test(tiny_cfg(folder, **common))
    metrics = json.loads((run / "test" / "shapes_val" / "metrics.json").read_text())
    assert metrics["bbox"]["AP"] >= 0 and metrics["segm"]["AP"] >= 0

    picture = next((folder / "data" / "shapes" / "val").glob("*.*"))
    found = Predictor(tiny_cfg(folder, **common), run / "model_latest.pth")(read_image(picture))
    assert found.boxes.device == torch.device("cpu") and len(found)


def test_a_run_of_the_cpu_goes_on_on_a_gpu(folder):
    run_training("tiny.yaml", tiny_cfg(folder))
    run_training("tiny.yaml", tiny_cfg(folder, DEVICE=DEVICE, SOLVER__MAX_ITER=6))
    state = torch.load(folder / "run" / "model_latest.pth", weights_only=True)
    assert state["iteration"] == 6
    assert 0 < last_loss(folder / "run") < 10


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_waits_a_few_times_for_each_image():
    def waits(images):
        torch.manual_seed(0)
        model = build_model(DEVICE, small_cfg()).train()
        optimizer = build_optimizer(model, small_cfg())
        batch = noise_images(*[(96, 128)] * images).to(DEVICE)
        target = box_targets([[8, 8, 40, 40], [20, 10, 90, 80]], [1, 2]).to(DEVICE)
        update(model, batch, [target] * images, optimizer)
        return count_syncs(lambda: update(model, batch, [target] * images, optimizer))

    # Of an image once or more within NMS, as tests/modeling/rcnn/test_waits.py counts them; of the
    # batch for numbers of proposals and RoIs, and sizes of masks.
    two, four = waits(2), waits(4)
    assert (four - two) / 2 <= 5 and two <= 2 * 5 + 12
