"""Whole benchmarks: both sides are compared first, then weighed, then timed in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pet.utils.env import describe_env
from tools.benchmark import infer, loader, train
from tools.benchmark.comparison import format_table
from tools.benchmark.device_busy import busy_share
from tools.benchmark.device_syncs import count_syncs
from tools.benchmark.measure import Work, measure
from tools.benchmark.memory import Maker, make_sides
from tools.benchmark.report import OnDevice, Report, make_rows
from tools.benchmark.setting import Setting

_SHORT = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Plan:
    """How a benchmark is run."""

    rounds: int  # rounds that count
    memory: bool  # whether peak memory is measured
    command: str  # what the user typed
    checked: int = 8  # most images on which the sides are compared on the CPU
    strict: bool = True  # whether sides that differ are not timed; else the report says so

    def objections(self, problem: str) -> list[str]:
        """Return ``problem``, if there is one, for the report; raise ValueError where strict."""
        if problem and self.strict:
            raise ValueError(problem)
        return [problem] if problem else []


def run_infer(setting: Setting, plan: Plan, precisions: Sequence[str]) -> Report:
    """Time testing of all images; raises ValueError where the sides find other things."""
    rows = infer.check(setting.on_cpu(plan.checked))
    wrong = infer.too_far(rows)
    unlike = plan.objections(
        "the two sides do not find the same, so timing them is idle:\n"
        + "\n".join(format_table(wrong))
        if wrong
        else ""
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
    sides, memory = make_sides(setting.device(), makers, plan.memory)
    found = {name: infer.count(work()()) for name, work in sides.items()}
    line = ", ".join(f"{name} {number}" for name, number in found.items())
    most, least = max(found.values()), min(found.values())
    unlike += plan.objections(
        f"the sides do not find as much, so timing them is idle: {line}"
        if most - least > infer.COUNT_LIMIT * most
        else ""
    )
    agreement.append(f"detections in all images, as timed: {line}")
    title = f"testing {setting.name}, from image file to COCO's records"
    if setting.batch_size > 1:
        title += f", {setting.batch_size} images at a time"
    report = _report(title, "image", plan, agreement, unlike)
    return _timed(report, setting.device(), sides, memory, len(setting.dataset()))


def run_train(
    setting: Setting, plan: Plan, precisions: Sequence[str], steps: int, compiled: bool = False
) -> Report:
    """Time training, ``steps`` a round; raises ValueError where the sides have other losses.

    With ``compiled`` there is a further side, whose dense parts ``torch.compile`` has made.
    """
    if setting.cfg().MODEL.RETINANET_ON or setting.cfg().MODEL.KEYPOINT_ON:
        raise ValueError(
            f"the training of {setting.name} is not compared; give the YAML of a Faster or Mask "
            "R-CNN, such as cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml"
        )
    device = setting.device()
    on_cpu = setting.on_cpu(setting.images)
    on_cpu = replace(on_cpu, batch_size=min(plan.checked, setting.batch_size))
    checks = {"float32, on the CPU": train.check(on_cpu)}
    for precision in precisions:
        if precision != "float32" or device.type != "cpu":
            checks[f"{precision}, on {device.type}"] = train.check(setting, precision)
    agreement = [
        f"in {where}, {loss.loss} is {loss.ours:.5f}, torchvision's {loss.theirs:.5f}"
        for where, losses in checks.items()
        for loss in losses
    ]
    far = any(loss.is_too_far for losses in checks.values() for loss in losses)
    unlike = plan.objections(
        "the two sides have other losses, so timing them is idle: " + "; ".join(agreement)
        if far
        else ""
    )
    makers = _makers(train.peer_side, train.our_side, setting, precisions, steps)
    for precision in precisions if compiled else ():
        name = f"Pet {_SHORT[precision]}, compiled"
        makers[name] = train.our_side, setting, precision, steps, True
    sides, memory = make_sides(device, makers, plan.memory)
    title = f"training {setting.name}, from image files to updated weights"
    unit = f"step of {setting.batch_size} images"
    report = _report(title, unit, plan, agreement, unlike, setting.batch_size)
    return _timed(report, device, sides, memory, steps)


def run_loader(setting: Setting, plan: Plan, batches: int) -> Report:
    """Time the loading of training data, ``batches`` a round."""
    makers: dict[str, Maker] = {
        "torchvision": (loader.peer_side, setting, batches, False),
        "torchvision, resized": (loader.peer_side, setting, batches, True),
        "Pet": (loader.our_side, setting, batches),
    }
    report = _report(f"loading training data of {setting.name}", "image", plan, (), ())
    # Loading keeps to the CPU wherever the model is.
    device = torch.device("cpu")
    sides, memory = make_sides(device, makers, plan.memory)
    return _timed(report, device, sides, memory, batches * setting.batch_size)


def _report(
    title: str,
    unit: str,
    plan: Plan,
    agreement: Sequence[str],
    unlike: Sequence[str],
    images: int = 1,
) -> Report:
    """Return the report of what is still to be timed, of units of ``images`` images."""
    env = describe_env()
    return Report(
        title=title,
        unit=unit,
        rounds=plan.rounds,
        environment=env,
        command=plan.command,
        agreement=agreement,
        rows=(),
        images=images,
        unlike=unlike,
    )


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


def _timed(
    report: Report,
    device: torch.device,
    sides: Mapping[str, Work],
    memory: Mapping[str, int],
    units: int,
) -> Report:
    """Return ``report`` with its rows; a turn of a side is ``units`` units."""
    seconds = measure(sides, report.rounds, device)
    on_device = {}
    if device.type == "cuda":
        on_device = {
            name: OnDevice(count_syncs(work()) / units, busy_share(work(), device))
            for name, work in sides.items()
        }
        tf32 = (
            f"TF32 in float32: convolutions {torch.backends.cudnn.allow_tf32}, "
            f"matrix products {torch.backends.cuda.matmul.allow_tf32}"
        )
        report = replace(report, agreement=(*report.agreement, tf32))
    references = [name for name in sides if name.startswith("torchvision")]
    return replace(report, rows=make_rows(seconds, units, references, memory, on_device))
