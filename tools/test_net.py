"""Test a model: write result files, COCO's metrics and optional pictures.

    python tools/test_net.py --cfg cfgs/rcnn/mscoco/e2e_mask_rcnn_R-50-FPN_1x.yaml

Uses all visible GPUs, or ``--nproc`` processes. ``torchrun`` and ``python -m
torch.distributed.launch`` can start it as well, as for train_net.py.
"""

import argparse

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.engine.inference import run_test
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, positive_int, run_tool
from pet.launch.processes import teardown_distributed


def main() -> None:
    """Parse the command line and test."""
    args = _parser().parse_args()
    load_cfg(args)
    try:
        run_test(nproc=args.nproc)
    finally:
        teardown_distributed()


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Test a model.")
    parser.add_argument(
        "--nproc",
        type=positive_int,
        help="processes that share the images; default: one per GPU, or one",
    )
    add_cfg_arguments(parser, weights_key="TEST.WEIGHTS")
    return parser


if __name__ == "__main__":
    run_tool(main)
