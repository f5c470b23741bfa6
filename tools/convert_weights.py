"""Convert a published weight file into one with Pet's keys.

    python tools/convert_weights.py model_final.pkl mask_rcnn_R_50_FPN_3x.pth \
        --cfg cfgs/rcnn/detectron2/mask_rcnn_R_50_FPN_3x.yaml

Prints which keys of the file are used and which are not. docs/weights.md lists the files that Pet
reads.
"""

import argparse

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.config import freeze, merge_cfg_from_file
from pet.launch.command_line import ToolParser, add_import_argument, run_tool
from pet.utils.extensions import import_extensions
from pet.weights.convert import (
    FAMILIES,
    check_fit,
    describe_weights,
    read_foreign_weights,
    write_weights,
)


def main() -> None:
    """Parse the command line and convert."""
    args = _parser().parse_args()
    import_extensions(args.imports)
    if args.cfg:
        merge_cfg_from_file(args.cfg)
        freeze()
    weights = read_foreign_weights(args.source, args.family)
    print(describe_weights(weights))
    if args.cfg:
        print(check_fit(weights))
    write_weights(weights, args.out)
    print(f"written to {args.out}")


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Convert published weights to Pet's keys.")
    parser.add_argument("source", metavar="SOURCE_FILE", help="the published file, .pth or .pkl")
    parser.add_argument("out", metavar="OUT.pth", help="the file to write")
    parser.add_argument(
        "--from",
        dest="family",
        choices=FAMILIES,
        default="",
        help="publisher of the file; default: detected from its keys",
    )
    parser.add_argument("--cfg", metavar="FILE", help="YAML of the model to check the result with")
    add_import_argument(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
