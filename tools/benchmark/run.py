"""Whole benchmarks: both sides are compared first, then weighed, then timed in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pet.utils.env import describe_env
from tools.benchmark import infer, loader, train
from tools.benchmark.comparison import format_table
from tools.benchmark.device_syncs import count_syncs
from tools.benchmark.measure import Work, measure
from tools.benchmark.memory import peak_memory
from tools.benchmark.report import Report, make_rows
from tools.benchmark.setting import Setting

_CHECKED = 8  # images on which the sides are compared

# A function and its arguments, which give the work of a side.
Maker = tuple[Any, ...]

_SHORT = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Plan:
    """How a benchmark is run."""

    rounds: int  # rounds that count
    memory: bool  # whether peak memory is measured
    command: str  # what the user typed


def run_infer(setting: Setting, plan: Plan, precisions: Sequence[str]) -> Report:
    """Time testing of all images; raises ValueError where the sides find other things."""
    rows = infer.check(setting.on_cpu(_CHECKED))
    wrong = infer.too_far(rows)
    if wrong:
        raise ValueError(
            "the two sides do not find the same, so timing them is idle:\n"
            + "\n".join(format_table(wrong))
        )
    kinds = list(dict.fromkeys(row.stage.split(",")[0] for row in rows))
    largest = {k: max(row.largest for row in rows if row.stage.startswith(k)) for k in kinds}
    agreement = [
        f"in float32, on the CPU, {kind} differ by at most {value:.1e}"
        for kind, value in largest.items()
    ]
    counts = [row.compared.split()[0] for row in rows if row.stage.startswith("boxes")]
    agreement.append(f"detections in the images: {', '.join(counts)}")
    makers = _makers(infer.peer_side, infer.our_side, setting, precisions)
    agreement.append(_counts(makers))
    title = f"testing {setting.name}, from image file to COCO's records"
    return _run(
        Report(
            title=title,
            unit="image",
            rounds=plan.rounds,
            environment=describe_env(),
            command=plan.command,
            agreement=agreement,
            rows=(),
        ),
        setting.device(),
        makers,
        len(setting.dataset()),
        plan,
    )


def _counts(makers: Mapping[str, Maker]) -> str:
    """Return how many detections each side has; ValueError where one has more work than others."""
    counts = {name: infer.count(make(*args)()()) for name, (make, *args) in makers.items()}
    most, least = max(counts.values()), min(counts.values())
    line = ", ".join(f"{name} {number}" for name, number in counts.items())
    if most - least > infer.COUNT_LIMIT * most:
        raise ValueError(f"the sides do not find as much, so timing them is idle: {line}")
    return f"detections in all images, as timed: {line}"


def run_train(setting: Setting, plan: Plan, precisions: Sequence[str], steps: int) -> Report:
    """Time training, ``steps`` a round; raises ValueError where the sides have other losses."""
    if setting.cfg().MODEL.RETINANET_ON or setting.cfg().MODEL.KEYPOINT_ON:
        raise ValueError(
            f"the training of {setting.name} is not compared; give the YAML of a Faster or Mask "
            "R-CNN, such as cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml"
        )
    device = setting.device()
    checks = {"float32, on the CPU": train.check(setting.on_cpu(setting.images))}
    for precision in precisions:
        if precision != "float32" or device.type != "cpu":
            checks[f"{precision}, on {device.type}"] = train.check(setting, precision)
    agreement = [
        f"in {where}, {loss.loss} is {loss.ours:.5f}, torchvision's {loss.theirs:.5f}"
        for where, losses in checks.items()
        for loss in losses
    ]
    if any(loss.is_too_far for losses in checks.values() for loss in losses):
        raise ValueError(
            "the two sides have other losses, so timing them is idle: " + "; ".join(agreement)
        )
    makers = _makers(train.peer_side, train.our_side, setting, precisions, steps)
    title = f"training {setting.name}, from image files to updated weights"
    unit = f"step of {setting.batch_size} images"
    return _run(
        Report(
            title=title,
            unit=unit,
            rounds=plan.rounds,
            environment=describe_env(),
            command=plan.command,
            agreement=agreement,
            rows=(),
        ),
        device,
        makers,
        steps,
        plan,
    )


def run_loader(setting: Setting, plan: Plan, batches: int) -> Report:
    """Time the loading of training data, ``batches`` a round."""
    makers: dict[str, Maker] = {
        "torchvision": (loader.peer_side, setting, batches, False),
        "torchvision, resized": (loader.peer_side, setting, batches, True),
        "Pet": (loader.our_side, setting, batches),
    }
    title = f"loading training data of {setting.name}"
    report = Report(
        title=title,
        unit="image",
        rounds=plan.rounds,
        environment=describe_env(),
        command=plan.command,
        agreement=(),
        rows=(),
    )
    # Loading keeps to the CPU wherever the model is.
    return _run(report, torch.device("cpu"), makers, batches * setting.batch_size, plan)


def _makers(
    theirs: Callable[..., Work],
    ours: Callable[..., Work],
    setting: Setting,
    precisions: Sequence[str],
    *args: Any,
) -> dict[str, Maker]:
    """Return the sides of each of ``precisions``, by name."""
    makers: dict[str, Maker] = {}
    for precision in precisions:
        makers[f"torchvision {_SHORT[precision]}"] = theirs, setting, precision, *args
        makers[f"Pet {_SHORT[precision]}"] = ours, setting, precision, *args
    return makers


def _run(
    report: Report, device: torch.device, makers: Mapping[str, Maker], units: int, plan: Plan
) -> Report:
    """Return ``report`` with its rows; a turn of a side is ``units`` units."""
    memory = {}
    if plan.memory:
        memory = {name: peak_memory(device, *maker) for name, maker in makers.items()}
    sides = {name: make(*args) for name, (make, *args) in makers.items()}
    seconds = measure(sides, plan.rounds, device)
    if device.type == "cuda":
        waits = [f"{name} {count_syncs(work()) / units:.1f}" for name, work in sides.items()]
        lines = (
            f"waits for the device, for each {report.unit}: {', '.join(waits)}",
            f"TF32 in float32: convolutions {torch.backends.cudnn.allow_tf32}, "
            f"matrix products {torch.backends.cuda.matmul.allow_tf32}",
        )
        report = replace(report, agreement=(*report.agreement, *lines))
    references = [name for name in makers if name.startswith("torchvision")]
    return replace(report, rows=make_rows(seconds, units, references, memory))
