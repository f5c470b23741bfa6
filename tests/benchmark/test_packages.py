import shutil
import subprocess
import sys
import zipfile

import pytest

from tools.benchmark import packages
from tools.benchmark.packages import PET, TESTS, advice, install_wheels, missing_modules


def write_wheel(folder, name: str) -> None:
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "VALUE = 7\n")
        # What it depends on is not there, and is not asked for.
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: nowhere\n"
        file.writestr(f"{info}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{info}/WHEEL", tag)
        names = (f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
        file.writestr(f"{info}/RECORD", "".join(f"{line},,\n" for line in names))


def test_what_is_missing_and_how_to_get_it():
    assert missing_modules(["json", "no_such_module"]) == ["no_such_module"]
    assert missing_modules([*PET, *TESTS]) == []  # as the suite runs
    text = advice(["yacs", "cv2", "pytest"])
    assert f"{sys.executable} -m pip install yacs opencv-python-headless pytest;" in text
    assert "--wheels FOLDER" in text


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-m", "pip", "-V"], capture_output=True).returncode != 0,
    reason="there is no pip",
)
def test_wheels_go_into_a_folder_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(
        packages, "PET", {"pet_wheel_a": "pet_wheel_a", "pet_wheel_b": "pet_wheel_b"}
    )
    write_wheel(tmp_path / "wheels", "pet_wheel_a")
    both, target = ["pet_wheel_a", "pet_wheel_b"], tmp_path / "target"
    said = install_wheels(tmp_path / "wheels", both, target)
    assert len(said) == 1 and said[0].startswith("pet_wheel_b: ")
    assert missing_modules(both, target) == ["pet_wheel_b"]
    assert missing_modules(both) == both and (target / "pet_wheel_a.py").is_file()
    shutil.rmtree(target)
