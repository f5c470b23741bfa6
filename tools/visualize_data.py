"""Write pictures of the network's input from the loader: images, boxes, masks and class names.

    python tools/visualize_data.py --cfg cfgs/rcnn/mscoco/e2e_mask_rcnn_R-50-FPN_1x.yaml

The pictures are written to CKPT/vis/data. ``--test`` shows the test images, which have no targets.
"""

import argparse
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.config import cfg
from pet.engine.show_data import show_test_data, show_training_data
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, positive_int, run_tool


def main() -> None:
    """Parse the command line and write the pictures."""
    args = _parser().parse_args()
    load_cfg(args)
    show = show_test_data if args.test else show_training_data
    show(args.num, Path(args.out or Path(cfg.CKPT, "vis", "data")))


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Write pictures of the network's input.")
    parser.add_argument("--num", type=positive_int, default=8, help="pictures; default 8")
    parser.add_argument("--out", help="folder of the pictures; default CKPT/vis/data")
    parser.add_argument(
        "--test", action="store_true", help="show TEST.DATASETS, not TRAIN.DATASETS"
    )
    add_cfg_arguments(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
