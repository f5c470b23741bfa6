"""Compare a model with torchvision's, stage by stage, on the same weights and images.

    python tools/compare_with_torchvision.py --cfg cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml

The YAML must have the name of torchvision's model. ``--weights`` is a state dict of torchvision;
by default weights and images are random.
"""

import argparse
import sys
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tools.benchmark
    leave_on_interrupt()  # the imports below take seconds

from pet.config import cfg
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, run_tool
from tools.benchmark.comparison import compare_with_torchvision, format_table


def main() -> None:
    """Parse the command line and print the table."""
    args = _parser().parse_args()
    load_cfg(args)
    rows = compare_with_torchvision(Path(args.cfg).stem, args.weights, args.images, cfg)
    for line in format_table(rows):
        print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Compare with torchvision, stage by stage.")
    parser.add_argument("--weights", help="file of torchvision's model; default: random weights")
    parser.add_argument("--images", nargs="+", default=[], help="files; default: random pictures")
    add_cfg_arguments(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
