"""Look at the data of a config before training: faults, oddities and figures.

    python tools/check_data.py --cfg cfgs/rcnn/mscoco/e2e_mask_rcnn_R-50-FPN_1x.yaml --html a.html

It looks at TRAIN.DATASETS and TEST.DATASETS, their annotations and the headers of all pictures. The
status is 1 if there is an error among the findings (with ``--strict`` also for a warning), 2 if the
data cannot be looked at, and otherwise 0.
"""

import argparse
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.engine.data_check.run import CheckOptions, run_check
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, run_tool


def main() -> None:
    """Parse the command line, print the report and write the files."""
    args = _parser().parse_args()
    load_cfg(args)
    options = CheckOptions(
        decode=args.decode,
        everything=args.all,
        strict=args.strict,
        html=Path(args.html) if args.html else None,
        json=Path(args.json) if args.json else None,
    )
    if not run_check(args.cfg, options):
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Look at the data of a config before training.")
    parser.add_argument("--html", metavar="FILE", help="also write the report as one page")
    parser.add_argument("--json", metavar="FILE", help="also write the findings, with all ids")
    parser.add_argument(
        "--decode", action="store_true", help="read the pixels of all pictures, which takes longer"
    )
    parser.add_argument(
        "--all", action="store_true", help="name all pictures, annotations and classes"
    )
    parser.add_argument(
        "--strict", action="store_true", help="a warning gives status 1, too, not only an error"
    )
    add_cfg_arguments(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
