"""OpenCV, with an error that names the package to install if a system library is missing.

Write ``from pet.utils.opencv import cv2`` instead of ``import cv2``.
"""

import re

_DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
}


def explain_import_error(error: ImportError) -> str:
    """Return a message with the remedy for the ``error`` that ``import cv2`` raised."""
    missing = re.search(r"(\S+\.so[.\d]*): cannot open shared object file", str(error))
    if missing is None:
        return f"OpenCV does not load ({error}); try: pip install opencv-python-headless"
    library = missing.group(1)
    package = _DEBIAN_PACKAGES.get(library)
    system = f"apt install {package}, or " if package else ""
    return (
        f"OpenCV does not load, because the system library {library} is missing; {system}"
        "pip uninstall opencv-python && pip install opencv-python-headless (needs no such library)"
    )


try:
    import cv2
except ImportError as _error:
    raise ImportError(explain_import_error(_error)) from _error

__all__ = ["cv2", "explain_import_error"]
