"""The tool ``tools/test_net.py``, by the path of the tutorial."""

import runpy
from pathlib import Path

_TOOL = Path(__file__).resolve().parents[1] / "test_net.py"

globals().update(runpy.run_path(str(_TOOL), run_name=__name__))
