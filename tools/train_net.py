"""Train a model.

    python tools/train_net.py --cfg cfgs/rcnn/mscoco/e2e_mask_rcnn_R-50-FPN_1x.yaml

On several GPUs, start it with ``torchrun --nproc_per_node=8 tools/train_net.py ...`` or with
``python -m torch.distributed.launch --nproc_per_node=8 tools/train_net.py ...``.
"""

import argparse
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.engine.train import run_training
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, run_tool
from pet.launch.processes import teardown_distributed


def main() -> None:
    """Parse the command line and train."""
    args = _parser().parse_args()
    load_cfg(args)
    try:
        run_training(Path(args.cfg).name)
    finally:
        teardown_distributed()


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Train a model.")
    add_cfg_arguments(parser, weights_key="TRAIN.WEIGHTS")
    return parser


if __name__ == "__main__":
    run_tool(main)
