"""Draws the pictures of the tutorials into docs/images/, or into the folder that is given."""

import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from docs.pictures import fpn, loader, roi_align, rpn
from docs.pictures.blocks import save

PICTURES: dict[str, Callable[[], Figure]] = {
    "tutorial_loader": loader.draw,
    "tutorial_rpn_anchors": rpn.draw_anchors,
    "tutorial_rpn_head": rpn.draw_head,
    "tutorial_fpn": fpn.draw,
    "tutorial_roi_align": roi_align.draw,
}


def main() -> None:
    """Draw all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        save(draw(), folder / f"{name}.png")


if __name__ == "__main__":
    main()
