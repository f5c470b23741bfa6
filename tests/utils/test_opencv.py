import pytest

from pet.utils.opencv import cv2, explain_import_error


def test_opencv_is_there():
    assert hasattr(cv2, "imread")


@pytest.mark.parametrize(
    ("library", "package"), [("libGL.so.1", "libgl1"), ("libgthread-2.0.so.0", "libglib2.0-0")]
)
def test_a_missing_system_library_names_its_package(library, package):
    error = ImportError(f"{library}: cannot open shared object file: No such file or directory")
    message = explain_import_error(error)
    assert library in message
    assert f"apt install {package}, or pip uninstall opencv-python" in message
    assert "pip install opencv-python-headless" in message


def test_a_library_of_unknown_package_still_has_a_remedy():
    error = ImportError("libodd.so.7: cannot open shared object file: No such file or directory")
    message = explain_import_error(error)
    assert "libodd.so.7" in message
    assert "apt install" not in message
    assert "pip install opencv-python-headless" in message


def test_another_error_is_passed_on_with_a_remedy():
    message = explain_import_error(ImportError("No module named 'cv2'"))
    assert "No module named 'cv2'" in message
    assert "pip install opencv-python-headless" in message
