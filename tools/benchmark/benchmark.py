"""Measure Pet beside torchvision: the same weights, the same images, in one run.

    python tools/benchmark/benchmark.py infer \\
        --cfg cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml DATA_DIR data/coco

The works are infer, train and loader, and growth: how the cost of a step grows with the batch, the
size of the images, their objects, the classes and the loader processes, on drawn data. The name of
the YAML is that of torchvision's model. Weights are random, so nothing is downloaded.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for tools.benchmark
    leave_on_interrupt()  # the imports below take seconds

from pet.launch.command_line import ToolParser, positive_int, run_tool
from tools.benchmark.crowded_images import write_crowded_images
from tools.benchmark.growth import AXES, measure_growth, plot_growth
from tools.benchmark.report import Report, format_report, write_report
from tools.benchmark.run import Plan, run_infer, run_loader, run_train
from tools.benchmark.setting import Setting, parse_opts

PRECISIONS = ("float32", "bfloat16")
_SIZE, _OBJECTS, _CLASSES = (480, 640), 10, 80  # of drawn pictures, as many of COCO have


def main() -> None:
    """Parse the command line, run the benchmark, print its table."""
    args = _parser().parse_args()
    if args.work == "growth":
        _grow(args)
        return
    is_train = args.work != "infer"
    command = shlex.join(["python", *sys.argv])
    plan = Plan(args.rounds, not args.no_memory, command, args.checked, not args.even_if_unlike)
    with _drawn(args) as data:
        opts = (*data, *parse_opts(args.opts))
        setting = Setting(
            args.cfg,
            opts,
            images=args.images,
            batch_size=args.batch_size,
            workers=args.workers,
            is_train=is_train,
        )
        report = _run(args, setting, plan)
    print("\n".join(format_report(report)))
    for path in (args.json, args.markdown):
        if path:
            write_report(report, path)
    if report.unlike:
        raise ValueError("; ".join(report.unlike))


@contextmanager
def _drawn(args: argparse.Namespace) -> Iterator[list[str]]:
    """Yield the config of the pictures that are drawn, if any are: KEY, value, ..."""
    if not args.drawn:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        yield write_crowded_images(
            Path(folder, "data"),
            images=args.images,
            size=_SIZE,
            boxes=_OBJECTS,
            classes=_CLASSES,
        )


def _run(args: argparse.Namespace, setting: Setting, plan: Plan) -> Report:
    if args.work == "loader":
        return run_loader(setting, plan, args.batches)
    if args.work == "train":
        return run_train(setting, plan, args.precision, args.steps, args.compile)
    return run_infer(setting, plan, args.precision)


def _grow(args: argparse.Namespace) -> None:
    opts = parse_opts(args.opts)
    for axis in args.axes:
        points = measure_growth(axis, args.cfg, opts, args.rounds)
        plot_growth(axis, points, Path(args.out, f"growth_{axis}.png"))
    print(f"the plots are in {args.out}")


def _some_of(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what turns words with commas between them into a list of ``choices``."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word not in choices:
                raise argparse.ArgumentTypeError(f"no {word!r}; choose from {', '.join(choices)}")
        return words

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Measure Pet beside torchvision.")
    works = parser.add_subparsers(dest="work", required=True)
    infer = works.add_parser("infer", help="testing: image file -> records")
    train = works.add_parser("train", help="training: image files -> updated weights")
    load = works.add_parser("loader", help="training data: image files -> batches")
    growth = works.add_parser("growth", help="how the cost of a training step grows")
    for work in (infer, train, load, growth):
        work.add_argument("--cfg", required=True, metavar="FILE", help="in cfgs/rcnn/torchvision/")
        work.add_argument("--rounds", type=positive_int, default=5, help="measured rounds")
    for work in (infer, train, load):
        work.add_argument("--json", metavar="FILE", help="write the results there as well")
        work.add_argument("--markdown", metavar="FILE.md", help="write the table there as well")
        work.add_argument(
            "--drawn", action="store_true", help="draw the pictures, need no data set"
        )
        work.add_argument("--images", type=positive_int, default=8, help="images of the data set")
        work.add_argument("--batch-size", type=positive_int, default=1 if work is infer else 2)
        workers = 1 if work is load else 0
        work.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
        work.add_argument("--workers", type=int, default=workers, help="loader processes")
    for work in (infer, train):
        help_ = f"one or more of {','.join(PRECISIONS)}"
        work.add_argument("--precision", type=_some_of(PRECISIONS), default="float32", help=help_)
        help_ = "most images on which the sides are compared on the CPU"
        work.add_argument("--checked", type=positive_int, default=8, help=help_)
        help_ = "time sides that differ as well; the error comes after the results"
        work.add_argument("--even-if-unlike", action="store_true", help=help_)
    train.add_argument("--compile", action="store_true", help="time SOLVER.COMPILE as well")
    load.set_defaults(checked=1, even_if_unlike=False)
    train.add_argument("--steps", type=positive_int, default=2, help="steps of a round")
    load.add_argument("--batches", type=positive_int, default=20, help="batches of a round")
    axes = ",".join(AXES)
    help_ = f"one or more of {axes}; by default all"
    growth.add_argument("--axes", type=_some_of(tuple(AXES)), default=axes, help=help_)
    growth.add_argument("--out", default="growth", metavar="FOLDER", help="where the plots go")
    for work in (infer, train, load, growth):
        work.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE")
    return parser


if __name__ == "__main__":
    run_tool(main)
