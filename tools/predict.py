"""Detect objects in image files, and write a picture and a JSON file for each.

    python tools/predict.py --images a.jpg folder --weights w.pth --cfg FILE [KEY VALUE ...]

The pairs KEY VALUE come last, as for the other tools, with another option between the images and
them.
"""

import argparse

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.engine.predict_files import predict_files
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, run_tool


def main() -> None:
    """Parse the command line and predict."""
    args = _parser().parse_args()
    load_cfg(args)
    predict_files(args.images, args.out, args.weights)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Detect objects in image files.")
    parser.add_argument(
        "--images", nargs="+", required=True, metavar="IMAGE", help="image files, and folders"
    )
    parser.add_argument("--out", metavar="FOLDER", help="default CKPT/predict")
    parser.add_argument(
        "--weights", metavar="FILE", help="default TEST.WEIGHTS, else CKPT/model_latest.pth"
    )
    add_cfg_arguments(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
