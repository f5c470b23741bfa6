"""What docs/design.md promises about the code, held by reading the code with ``ast``."""

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest

from pet.config import default_cfg, describe_key, freeze, merge_cfg_from_file
from pet.config.keys import DATASET_KEYS, KEYS
from tests.source_code import (
    FAMILY_BUILDER,
    MAY_IMPORT,
    ROOT,
    Modules,
    dotted,
    family_breaches,
    files,
    imports,
    is_unsafe,
    key_reads,
    keys,
    module_of,
    package,
    row_breaches,
    rules_by_place,
)

# What the two lowest packages may import from outside, besides the standard library.
OUTSIDE = {"config": {"yacs", "yaml"}, "ops": {"torch", "torchvision"}}

MAX_LINES = 350


@pytest.fixture(scope="module")
def modules() -> Modules:
    return {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in files("pet")}


@pytest.fixture(scope="module")
def tools() -> Modules:
    return {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in files("tools")}


# Imports -----------------------------------------------------------------------------------------


def test_packages_import_only_from_the_rows_above(modules):
    assert not row_breaches(modules)


def test_a_breach_of_the_rows_is_found():
    assert row_breaches({"pet.utils.x": ast.parse("from pet.ops import boxes")})
    assert row_breaches({"pet.data.x": ast.parse("from ..modeling.build import build_model")})
    assert row_breaches({"pet.nobody.x": ast.parse("")})
    assert not row_breaches({"pet.data.x": ast.parse("from pet.ops.boxes import box_iou")})


def test_model_families_do_not_know_each_other(modules):
    assert not family_breaches(modules)


def test_a_breach_of_the_families_is_found():
    to_rcnn = ast.parse("from pet.modeling.rcnn.rpn import RPN")
    assert family_breaches({"pet.modeling.ssd.generalized_ssd": to_rcnn})
    assert family_breaches({"pet.modeling.cnn.heads.x": to_rcnn})
    assert family_breaches({"pet.modeling.anchors": ast.parse("from . import ssd")})
    assert not family_breaches({"pet.modeling.rcnn.x": to_rcnn, FAMILY_BUILDER: to_rcnn})


def test_there_are_no_import_cycles(modules):
    graph = {
        name: {module_of(target, modules) for target in imports(name, tree)} - {None, name}
        for name, tree in modules.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, naming the cycle


def test_config_and_ops_stay_small_in_what_they_need(modules):
    breaches = [
        f"{name} imports {target}"
        for name, tree in modules.items()
        for target in imports(name, tree)
        if package(name) in OUTSIDE
        and not target.startswith("pet.")
        and target.split(".")[0] not in OUTSIDE[package(name)] | sys.stdlib_module_names
    ]
    assert not breaches


def test_no_import_hides_in_a_function(modules, tools):
    hidden = [
        f"{name}:{inner.lineno}"
        for name, tree in (modules | tools).items()
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not hidden


# Config ------------------------------------------------------------------------------------------


def test_every_key_is_read_somewhere(modules, tools):
    reads: set[str] = set()
    for name, tree in (modules | tools).items():
        if package(name) != "config":
            reads |= key_reads(tree)
    assert sorted(set(keys(default_cfg())) - reads) == []


def test_every_field_of_a_dataset_block_is_read(modules):
    read = set()  # as block.FIELD, or by name, as in block[field]
    for name, tree in modules.items():
        for node in ast.walk(tree) if package(name) == "data" else ():
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
            elif isinstance(node, ast.Constant):
                read.add(node.value)
    assert sorted(set(DATASET_KEYS) - read) == []


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("cfg.RPN.NMS_THRESH", {"RPN", "RPN.NMS_THRESH"}),
        ("self.cfg.SEED", {"SEED"}),
        ("rpn, a = cfg.RPN, 1\nrpn.MIN_SIZE", {"RPN", "RPN.MIN_SIZE"}),
        ("def f(s):\n  s.STEPS\nf(cfg.SOLVER)", {"SOLVER", "SOLVER.STEPS"}),
        ("cfg.MODEL.NUM_CLASSES = 3", {"MODEL"}),
        ("other.MIN_SIZE\ncfg.RPN", {"MIN_SIZE", "RPN"}),
    ],
)
def test_reads_of_keys_are_recognised(code, reads):
    assert key_reads(ast.parse(code)) == reads


def test_every_key_has_a_comment_above_its_default():
    of_a_dataset = [f"DATASETS.mine.{name}" for name in DATASET_KEYS]
    assert [name for name in [*KEYS, *of_a_dataset] if not describe_key(name).comment] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "cfgs").rglob("*.yaml")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_config_file_merges_and_freezes(path):
    node = default_cfg()
    merge_cfg_from_file(path, node)
    freeze(node)
    assert node.TRAIN.DATASETS and node.TEST.DATASETS
    assert Path(node.CKPT) == Path("ckpts") / path.relative_to(ROOT / "cfgs").with_suffix("")


# The page ----------------------------------------------------------------------------------------


def test_the_design_page_names_only_what_there_is():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    there = {path.name for folder in ("pet", "tools", "tests") for path in files(folder)}
    assert sorted(set(re.findall(r"\b\w+\.py\b", text)) - there - {"NAME.py"}) == []
    paths = re.findall(r"`((?:pet|tools|cfgs|tests)/[\w/.-]+)", text)
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []
    assert [name for name in MAY_IMPORT if not re.search(rf"^\d {name}/", text, re.M)] == []
    sections = [key for key in default_cfg() if f"`{key}`" not in text]
    assert sections == []


# Style -------------------------------------------------------------------------------------------


def test_files_stay_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (*files("pet"), *files("tools"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert not long


def test_every_module_opens_with_a_docstring(modules, tools):
    assert not [name for name, tree in (modules | tools).items() if not ast.get_docstring(tree)]


def test_the_values_of_a_rule_are_given_by_name(modules):
    found = {name: rules for name, tree in modules.items() if (rules := rules_by_place(tree))}
    assert not found
    by_place = "@dataclass(frozen=True)\nclass NmsRule: pass\n@dataclass\nclass OtherRule: pass"
    assert rules_by_place(ast.parse(by_place)) == ["NmsRule", "OtherRule"]
    by_name = "@dataclass(frozen=True, kw_only=True)\nclass NmsRule: pass\nclass Ruler: pass"
    assert rules_by_place(ast.parse(by_name)) == []


def test_nothing_runs_or_unpickles_what_a_file_says(modules, tools):
    assert not [
        f"{name}:{node.lineno}"
        for name, tree in (modules | tools).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_unsafe(node)
    ]


@pytest.mark.parametrize(
    ("code", "unsafe"),
    [
        ("eval(text)", True),
        ("model.eval()", False),
        ("pickle.load(file)", True),
        ("pickle.loads(text)", True),
        ("pickle.loads(pickle.dumps(error))", False),  # what this process made itself
        ("yaml.load(file)", True),
        ("yaml.safe_load(file)", False),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("json.load(file)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path)", False),
    ],
)
def test_unsafe_calls_are_recognised(code, unsafe):
    assert is_unsafe(ast.parse(code, mode="eval").body) is unsafe
