"""The tool ``tools/plot_curves.py``, by the path of the tutorial."""

import runpy
from pathlib import Path

_TOOL = Path(__file__).resolve().parents[1] / "plot_curves.py"

globals().update(runpy.run_path(str(_TOOL), run_name=__name__))
