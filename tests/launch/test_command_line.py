import argparse
import os
import resource
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path

import pytest
import torch
from torch._utils import ExceptionWrapper

from pet.config import freeze, merge_cfg_from_list
from pet.data.image_file import read_image
from pet.launch.command_line import ToolParser, add_cfg_arguments, load_cfg, positive_int, run_tool
from pet.launch.processes import ChildError
from pet.logger.setup import setup_logging
from pet.modeling.backbones import timm_backbone
from pet.utils.files import atomic_path
from tests.source_code import ROOT
from tests.tool_process import TORCHRUN, run


def one_line_of(capsys, main) -> str:
    """Run ``main`` as a tool that ends with status 2, and return what it printed."""
    with pytest.raises(SystemExit) as end:
        run_tool(main)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1 and printed.err.startswith("error: ")
    return printed.err


@pytest.fixture(autouse=True)
def _no_traceback_wanted(monkeypatch):
    monkeypatch.delenv("PET_TRACEBACK", raising=False)


def test_a_tool_that_works_says_nothing(capsys):
    calls = []
    run_tool(lambda: calls.append(1))
    assert calls == [1]
    assert capsys.readouterr() == ("", "")


def test_what_the_user_did_wrong_is_one_line(capsys, fresh_cfg, tmp_path):
    unknown_key = one_line_of(capsys, lambda: merge_cfg_from_list(["SOLVER.LR", 1], fresh_cfg))
    assert unknown_key.startswith("error: unknown config key 'SOLVER.LR'")
    wrong_type = one_line_of(capsys, lambda: merge_cfg_from_list(["SEED", "x"], fresh_cfg))
    assert "SEED in the command line must be a whole number" in wrong_type
    fresh_cfg.SOLVER.BASE_LR = -1.0
    assert "SOLVER.BASE_LR must be" in one_line_of(capsys, lambda: freeze(fresh_cfg))
    assert "no image file" in one_line_of(capsys, lambda: read_image(tmp_path / "a.jpg"))
    assert "a.jpg" in one_line_of(capsys, (tmp_path / "a.jpg").read_bytes)


def test_a_package_that_is_not_there_is_one_line(capsys, fresh_cfg, monkeypatch):
    monkeypatch.setattr(timm_backbone, "_timm", None)
    fresh_cfg.MODEL.CONV_BODY = "timm/resnet18"
    message = one_line_of(capsys, lambda: timm_backbone.timm_backbone(fresh_cfg))
    assert "pip install timm" in message


def test_what_lies_in_the_way_is_one_line(capsys, tmp_path):
    (tmp_path / "run").write_text("a file")
    assert "run" in one_line_of(capsys, lambda: setup_logging(tmp_path / "run"))


def test_pet_traceback_shows_where(monkeypatch, fresh_cfg):
    monkeypatch.setenv("PET_TRACEBACK", "1")
    with pytest.raises(KeyError, match=r"SOLVER\.LR"):
        run_tool(lambda: merge_cfg_from_list(["SOLVER.LR", 1], fresh_cfg))


def fail():
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        (fail, RuntimeError),
        (lambda: {}["key"], KeyError),
        (lambda: int("x"), ValueError),
        (lambda: None + 1, TypeError),
        (lambda: positive_int(None), AttributeError),
        # Inside Pet, but by no `raise` of its own.
        (lambda: merge_cfg_from_list(None), TypeError),
    ],
)
def test_a_bug_keeps_its_traceback(bug, kind):
    with pytest.raises(kind):
        run_tool(bug)


def from_worker(work) -> None:
    """Fail as a DataLoader does after an error in one of its workers."""
    try:
        work()
    except Exception:
        caught = ExceptionWrapper(where="in DataLoader worker process 0")
    caught.reraise()


def test_an_error_in_a_loader_worker_is_one_line(capsys, tmp_path):
    empty = tmp_path / "a.jpg"
    empty.write_bytes(b"")
    message = one_line_of(capsys, lambda: from_worker(lambda: read_image(empty)))
    assert message == f"error: the image file {empty} is empty\n"


def test_a_bug_in_a_loader_worker_keeps_its_traceback():
    with pytest.raises(TypeError, match="Original Traceback"):
        run_tool(lambda: from_worker(lambda: read_image(None)))


def from_child(child_main) -> None:
    """Fail as ``launch.spawn`` does after an error in a process that it started."""
    try:
        child_main()
    except Exception as error:
        error.__cause__ = ChildError(f"in process 1 of 2:\n{traceback.format_exc()}")
        raise


def test_an_error_in_another_process_counts_as_where_it_arose(capsys, fresh_cfg):
    def unknown_key():
        merge_cfg_from_list(["SOLVER.LR", 1], fresh_cfg)

    assert "SOLVER.LR" in one_line_of(capsys, lambda: from_child(unknown_key))
    with pytest.raises(ValueError, match="invalid literal"):
        run_tool(lambda: from_child(lambda: int("x")))


def parse(*words: str) -> argparse.Namespace:
    parser = ToolParser(prog="tool")
    parser.add_argument("--num", type=positive_int, default=1)
    parser.add_argument("--images", nargs="+")
    add_cfg_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def yaml(tmp_path):
    path = tmp_path / "cfgs" / "a.yaml"
    path.parent.mkdir()
    path.write_text("SEED: 3\nFPN:\n  FPN_ON: true\nTEST:\n  SCALE: 320\n")
    return str(path)


def test_the_command_line_wins_over_the_file(yaml, fresh_cfg):
    load_cfg(parse("--num", "2", "--cfg", yaml, "SEED", "5", "TRAIN.FLIP_PROB", "0"), fresh_cfg)
    assert (fresh_cfg.SEED, fresh_cfg.TEST.SCALE, fresh_cfg.TRAIN.FLIP_PROB) == (5, 320, 0.0)
    assert fresh_cfg.CKPT == "ckpts/a"
    assert fresh_cfg.is_frozen()


def test_pairs_may_be_joined(yaml, fresh_cfg):
    load_cfg(parse("--cfg", yaml, "SEED=5", "CKPT", "a=b", "DATASETS.x.IMAGES=/a=b"), fresh_cfg)
    assert (fresh_cfg.SEED, fresh_cfg.DATASETS["x"]["IMAGES"]) == (5, "/a=b")
    assert fresh_cfg["CKPT"] == "a=b"


@pytest.mark.parametrize(
    ("words", "write"),
    [
        (("--cfg", "a", "--SOLVER.BASE_LR", "0.01"), "write SOLVER.BASE_LR VALUE,"),
        (("--SOLVER.BASE_LR=0.01", "--cfg", "a"), "write SOLVER.BASE_LR=VALUE,"),
        (("--cfg", "a", "CKPT", "out", "--SEED", "5"), "write SEED VALUE,"),
        (("--SEED", "5", "--cfg", "a"), "write SEED VALUE,"),
    ],
)
def test_a_key_with_dashes_is_told_how_to_write_it(words, write, capsys):
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    key = write.split()[1].split("=")[0]
    assert last == (
        f"tool: error: {key} is a config key and no option: {write} without the dashes, behind all "
        "options"
    )


def test_options_may_open_with_a_tilde(yaml, fresh_cfg, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ("--images", "~/a.jpg", "b~.jpg", "--import=~/x.py", "--cfg=~/cfgs/a.yaml", "CKPT=~/o")
    args = parse(*words)
    assert args.images == [f"{tmp_path}/a.jpg", "b~.jpg"]
    assert (args.imports, args.cfg) == ([f"{tmp_path}/x.py"], yaml)
    args.imports = []
    load_cfg(args, fresh_cfg)
    assert fresh_cfg["CKPT"] == f"{tmp_path}/o"


@pytest.mark.parametrize(
    "words", [("--cfg=~nobody_such/a",), ("--cfg", "a", "--images", "~nobody_such")]
)
def test_the_home_folder_of_nobody_ends_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    assert "there is no home folder of a user 'nobody_such'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# gr\xfcn", "line 1: the byte 0xfc there is not UTF-8; save the file as UTF-8"),
        (b"PK\x03\x04\0\0", "is no text in UTF-8"),
        (b"- 1", "it holds a list"),
        (b"A: [" * 9999, "nested more than"),
        (b"SEED: \x07", "control character U+0007"),
        (b"SEED: 1\nSEED: 2", "has SEED twice"),
        (b"CKPT: ~nobody_such", "there is no home folder"),
        (b"SEED: 1" + b"0" * 30, "SEED must lie between -2**63 and 2**63 - 1"),
        (b"SOLVER: {BASE_LR: .nan}", "SOLVER.BASE_LR must be finite; got nan"),
    ],
)
def test_a_broken_file_is_one_line(capsys, fresh_cfg, tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert message in one_line_of(capsys, lambda: load_cfg(parse("--cfg", str(path)), fresh_cfg))


def test_a_contradiction_is_found_at_once(yaml, fresh_cfg):
    with pytest.raises(ValueError, match=r"TRAIN\.FLIP_PROB"):
        load_cfg(parse("--cfg", yaml, "TRAIN.FLIP_PROB", "2"), fresh_cfg)


def test_an_option_among_the_pairs_is_named(yaml, fresh_cfg):
    with pytest.raises(ValueError, match="--num must stand before the pairs KEY VALUE"):
        load_cfg(parse("--cfg", yaml, "SEED", "5", "--num", "2"), fresh_cfg)


@pytest.mark.parametrize("spelling", ["--local_rank=3", "--local-rank=3"])
def test_both_spellings_of_the_local_rank(yaml, fresh_cfg, spelling, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    load_cfg(parse(spelling, "--cfg", yaml), fresh_cfg)
    assert os.environ["LOCAL_RANK"] == "1"
    fresh_cfg.defrost()
    monkeypatch.delenv("LOCAL_RANK")
    load_cfg(parse(spelling, "--cfg", yaml), fresh_cfg)
    assert os.environ["LOCAL_RANK"] == "3"


@pytest.mark.parametrize("words", [(), ("--cfg", "a", "--num"), ("--num", "0", "--cfg", "a")])
def test_a_wrong_command_line_ends_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_too_little_memory_is_one_line(capsys):
    def too_much():
        raise MemoryError("Unable to allocate 3.00 TiB for an array")

    message = one_line_of(capsys, too_much)
    assert message.startswith("error: not enough memory: Unable to allocate 3.00 TiB")
    assert "TRAIN.BATCH_SIZE" in message
    assert "Original Traceback" not in one_line_of(capsys, lambda: from_worker(too_much))

    def on_the_gpu():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    assert "Tried to allocate 2 GiB" in one_line_of(capsys, on_the_gpu)


def test_a_recursion_without_an_end_keeps_its_traceback():
    def again():
        again()

    with pytest.raises(RecursionError):
        run_tool(again)


def test_a_full_disk_is_one_line_with_the_path(capsys, tmp_path):
    def write():
        with atomic_path(tmp_path / "a.txt"), open("/dev/full", "w") as file:
            file.write("much")

    message = one_line_of(capsys, write)
    assert message == f"error: [Errno 28] No space left on device: '{tmp_path / 'a.txt'}'\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="files are limited on Linux only")
def test_a_checkpoint_that_the_disk_refuses_is_one_line(tmp_path):
    lines = """
        import resource, sys
        import torch
        from pet.weights.torch_file import write_torch_file
        from pet.launch.command_line import run_tool

        def main():
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            write_torch_file({"weight": torch.zeros(10_000)}, "a.pth")

        run_tool(main)
    """
    done = script(tmp_path, lines)
    assert (done.returncode, done.stderr) == (2, "error: [Errno 27] File too large: 'a.pth'\n")
    assert [path.name for path in tmp_path.iterdir()] == ["tool.py"]


def script(folder: Path, lines: str, stdout: int = subprocess.PIPE, **env: str):
    """Run ``lines`` of Python, as ``tool.py``, in ``folder``."""
    (folder / "tool.py").write_text(textwrap.dedent(lines), encoding="utf-8")
    command = [sys.executable, "tool.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env}
    return subprocess.run(
        command, cwd=folder, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


# Prints what does not fit into any buffer, then works on.
PRINTS = """
    from pathlib import Path
    from pet.launch.command_line import run_tool

    def main():
        for _ in range(9):
            print("x" * 99_999)
        Path("worked").touch()

    run_tool(main)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_any_longer(tmp_path, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    done = script(tmp_path, PRINTS, writer, PYTHONUNBUFFERED=unbuffered)
    os.close(writer)
    why = "[Errno 32] Broken pipe\n"
    assert done.stderr == f"error: the output cannot be written, so the tool stopped: {why}"
    assert done.returncode == 2
    assert not (tmp_path / "worked").exists()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_into_a_full_disk(tmp_path, unbuffered):
    with open("/dev/full", "w") as full:
        done = script(tmp_path, PRINTS, full.fileno(), PYTHONUNBUFFERED=unbuffered)
    why = "[Errno 28] No space left on device\n"
    assert done.stderr == f"error: the output cannot be written, so the tool stopped: {why}"
    assert done.returncode == 2


def test_a_log_that_nobody_reads_does_not_end_the_work(tmp_path):
    lines = """
        import logging
        from pathlib import Path
        from pet.launch.command_line import run_tool
        from pet.logger.setup import logging_rank, setup_logging

        def main():
            setup_logging("run")
            for _ in range(9):
                logging_rank("x" * 99_999)
            logging_rank("done")

        run_tool(main)
    """
    reader, writer = os.pipe()
    os.close(reader)
    done = script(tmp_path, lines, writer)
    os.close(writer)
    warning = "WARNING: the log does not reach the output: [Errno 32] Broken pipe\n"
    assert (done.returncode, done.stderr) == (0, warning)
    assert (tmp_path / "run" / "log.txt").read_text().endswith("x\ndone\n")


def test_names_that_the_terminal_cannot_show(tmp_path):
    lines = """
        from pet.launch.command_line import run_tool
        from pet.logger.setup import logging_rank, setup_logging

        def main():
            setup_logging("run")
            logging_rank("类 \\udcff")
            print("别")

        run_tool(main)
    """
    done = script(tmp_path, lines, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "\\u7c7b \\udcff\n\\u522b\n"
    assert (tmp_path / "run" / "log.txt").read_text(encoding="utf-8") == "类 \\udcff\n"


def test_an_interrupt_is_one_line(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt("interrupted at iteration 3")

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(KeyboardInterrupt):
        run_tool(interrupted)
    assert capsys.readouterr() == ("", "interrupted at iteration 3\n")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(KeyboardInterrupt):
        run_tool(interrupted)
    monkeypatch.setenv("PET_TRACEBACK", "1")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(KeyboardInterrupt):
        run_tool(interrupted)
    assert capsys.readouterr() == ("", "")


def test_torchrun_shows_the_line_last(tmp_path):
    words = ("--cfg", "nowhere.yaml")
    status, out, err = run("rcnn/train_net.py", tmp_path, *words, launcher=TORCHRUN)
    line = "error: no config file nowhere.yaml; configs are kept under cfgs/"
    lines = err.splitlines()
    assert (status, out) == (1, "")
    assert lines.count(line) == 1
    assert lines[-2:] == [f"  traceback : {line}", "=" * 60]


def test_torchrun_shows_the_line_of_another_process(tmp_path):
    (tmp_path / "tool.py").write_text(
        "import os, time\n"
        "from pet.launch.command_line import run_tool\n"
        "from pet.launch.processes import setup_distributed\n"
        "def main():\n"
        "    if os.environ['RANK'] == '0':\n"
        "        time.sleep(600)  # until torchrun ends it\n"
        "    setup_distributed('cpu', {'WORLD_SIZE': '2'})\n"
        "run_tool(main)\n"
    )
    status, _, err = run(str(tmp_path / "tool.py"), tmp_path, launcher=TORCHRUN)
    assert status == 1
    assert err.count("WORLD_SIZE is set but RANK is not") == 1
    assert "WORLD_SIZE is set but RANK is not" in err.splitlines()[-2]


def test_short_names_stand_for_keys(yaml, fresh_cfg):
    words = ("--data-path", "/data/mine", "--num-classes", "20", "--weights", "a.pth")
    parser = ToolParser(prog="tool")
    add_cfg_arguments(parser, weights_key="TRAIN.WEIGHTS")
    args = parser.parse_args([*words, "--cfg", yaml, "TRAIN.WEIGHTS", "b.pth"])
    load_cfg(args, fresh_cfg)
    assert (fresh_cfg.DATA, fresh_cfg.MODEL.NUM_CLASSES) == ("/data/mine", 21)
    assert fresh_cfg.TRAIN.WEIGHTS == "b.pth"  # a key wins
    assert (fresh_cfg.TRAIN.DATASETS, fresh_cfg.TEST.DATASETS) == (("data_train",), ("data_val",))


@pytest.mark.parametrize("number", ["0", "-3", "two"])
def test_a_number_of_classes_is_positive(capsys, yaml, number):
    with pytest.raises(SystemExit):
        parse("--cfg", yaml, f"--num-classes={number}")
    assert f"give a whole number from 1 on, not '{number}'" in capsys.readouterr().err
