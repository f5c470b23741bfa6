"""Write a data set of any format that Pet reads as COCO JSON, whole or divided anew.

    python tools/convert_data.py data/mine out/mine.json --split 0.8,0.2

Prints which image folder goes with which file. docs/formats.md describes the formats.
"""

import argparse
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.data.convert_formats import convert_data, parse_shares
from pet.data.formats import FORMATS
from pet.launch.command_line import ToolParser, run_tool


def main() -> None:
    """Parse the command line and convert."""
    args = _parser().parse_args()
    lines = convert_data(
        Path(args.source),
        Path(args.out),
        kind=args.type,
        images=Path(args.images) if args.images else None,
        shares=parse_shares(args.split) if args.split else (),
        seed=args.seed,
        crowds_as_objects=args.crowds_as_objects,
    )
    print("\n".join(lines))


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Write a data set as COCO JSON.")
    parser.add_argument(
        "source", metavar="SOURCE", help="folder of the data set, or a JSON file of COCO's format"
    )
    parser.add_argument(
        "out", metavar="OUT.json", help="file to write; of several parts OUT_train.json, ..."
    )
    parser.add_argument(
        "--type", choices=sorted(FORMATS), default="", help="format; default: found by the files"
    )
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        help="folder that the names of pictures are relative to; default: the pictures' own",
    )
    parser.add_argument(
        "--split",
        default="",
        metavar="SHARES",
        help="divide all images anew: 0.8,0.2 into train and val, 0.7,0.2,0.1 also into test, each "
        "with its share of every class",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of --split; default 0")
    parser.add_argument(
        "--crowds-as-objects",
        action="store_true",
        help="write crowds as objects, as which CVAT marks painted masks",
    )
    return parser


if __name__ == "__main__":
    run_tool(main)
