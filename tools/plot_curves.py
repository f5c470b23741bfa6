"""Plot losses, scores, learning rate and times of runs: plot_curves.py CKPT [CKPT ...]."""

import argparse
from pathlib import Path

from pet.utils.sigint import leave_on_interrupt

if __name__ == "__main__":
    leave_on_interrupt()  # the imports below take seconds

from pet.launch.command_line import ToolParser, run_tool
from pet.visualization.curves import plot_curves, read_metrics


def main() -> None:
    """Parse the command line and plot."""
    args = _parser().parse_args()
    plot_curves({run: read_metrics(Path(run, "metrics.jsonl")) for run in args.runs}, args.out)
    print(f"the curves are in {args.out}")


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Draw the curves of training runs into one PNG.")
    parser.add_argument("runs", nargs="+", metavar="CKPT", help="output folder of a run")
    parser.add_argument("--out", default="curves.png", help="picture; default curves.png")
    return parser


if __name__ == "__main__":
    run_tool(main)
