"""Reading the source of Pet with ``ast``: who imports what, which config keys are read."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pet.config import CfgNode

ROOT = Path(__file__).resolve().parents[1]

# What each package of pet may import from pet, besides itself. Rows go down: a package imports
# only from rows above it, and the packages of one row do not know each other.
_FOUNDATION = {"config", "utils", "ops", "structures", "layers", "annotations"}
MAY_IMPORT = {
    "config": set(),
    "utils": {"config"},
    "ops": set(),
    "structures": {"ops", "utils"},
    "layers": {"ops", "structures", "utils"},
    "annotations": {"structures", "utils"},
    "data": _FOUNDATION - {"layers"},
    "modeling": _FOUNDATION - {"annotations"},
    "solver": _FOUNDATION - {"annotations"},
    "evaluation": _FOUNDATION,
    "visualization": _FOUNDATION,
    "weights": _FOUNDATION | {"data", "modeling", "solver", "evaluation", "visualization"},
    "logger": {"config", "utils"},
    "launch": {"config", "utils"},
}
MAY_IMPORT["checkpoint"] = MAY_IMPORT["weights"] | {"weights"}
MAY_IMPORT["engine"] = MAY_IMPORT["checkpoint"] | {"checkpoint", "logger", "launch"}

# Model families, side by side in pet/modeling; they share its other modules, which know none.
FAMILIES = ("rcnn", "cnn", "ssd")
# The module that assembles a family may know them.
FAMILY_BUILDER = "pet.modeling.build"

Modules = dict[str, ast.Module]  # dotted module name -> its tree


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def dotted(path: Path) -> str:
    """Return ``pet.data.build`` for pet/data/build.py, ``pet.data`` for pet/data/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(name: str) -> str:
    """Return the row entry that a module belongs to: ``data`` for ``pet.data.build``."""
    return name.split(".")[1] if "." in name else ""


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports, relative ones resolved."""
    is_package = (ROOT.joinpath(*name.split(".")) / "__init__.py").is_file()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = len(parts) - node.level + is_package
                base = ".".join([*parts[:kept], *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def module_of(target: str, modules: Modules) -> str | None:
    """Return the module that an imported name lives in, or None where it is none of ours."""
    while target and target not in modules:
        target = target.rpartition(".")[0]
    return target or None


def row_breaches(modules: Modules) -> list[str]:
    """Return a line for each import from outside a package's rows, and each unknown package."""
    breaches = []
    for name, tree in modules.items():
        own = package(name)
        if own and own not in MAY_IMPORT:
            breaches.append(f"{name}: the package {own} has no row")
            continue
        allowed = {own, "__version__"} | MAY_IMPORT.get(own, set())
        breaches += [
            f"{name} imports {target}"
            for target in imports(name, tree)
            if target.startswith("pet.") and package(target) not in allowed
        ]
    return breaches


def _family(name: str) -> str | None:
    parts = name.split(".")
    inside = parts[:2] == ["pet", "modeling"] and len(parts) > 2 and parts[2] in FAMILIES
    return parts[2] if inside else None


def family_breaches(modules: Modules) -> list[str]:
    """Return a line for each import by which a family, or a shared module, knows a family."""
    return [
        f"{name} imports {target}"
        for name, tree in modules.items()
        for target in imports(name, tree)
        if name != FAMILY_BUILDER and package(name) == "modeling"
        if _family(target) not in (None, _family(name))
    ]


def keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    """Yield every key with its section; a section that starts empty counts as a key."""
    for key, value in node.items():
        if isinstance(value, CfgNode) and value:
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _chain(node: ast.expr) -> tuple[str, str]:
    """Return ``("cfg", "RPN.MIN_SIZE")`` for ``cfg.RPN.MIN_SIZE``: first name, keys after it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        if node.attr.isupper():
            parts.insert(0, node.attr)
        node = node.value
    return (node.id if isinstance(node, ast.Name) else ""), ".".join(parts)


def key_reads(tree: ast.Module) -> set[str]:
    """Return the keys a module reads, directly or through a name that holds a section."""
    holds = _section_names(tree)
    reads = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            name, key = _chain(node)
            sections = holds.get(name, set()) if isinstance(node.value, ast.Name) else set()
            reads |= {f"{section}.{key}" for section in sections if key} or {key}
    return reads - {""}


def _section_names(tree: ast.Module) -> dict[str, set[str]]:
    """Return name -> sections: assigned from ``cfg.A``, or a parameter where ``cfg.A`` is given."""
    holds: dict[str, set[str]] = {}
    given: set[str] = set()
    parameters: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target, value in _assigned(node.targets[0], node.value):
                if isinstance(target, ast.Name) and (section := _chain(value)[1]):
                    holds.setdefault(target.id, set()).add(section)
        elif isinstance(node, ast.Call):
            given |= {_chain(argument)[1] for argument in node.args} - {""}
        elif isinstance(node, ast.arg) and node.arg not in ("self", "cfg"):
            parameters.add(node.arg)
    for name in parameters if given else ():
        holds.setdefault(name, set()).update(given)
    return holds


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def rules_by_place(tree: ast.Module) -> list[str]:
    """Return the dataclasses named ``*Rule`` whose values may be given by their place."""
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Rule")
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "kw_only=True" not in decorator
    ]


def is_unsafe(call: ast.Call) -> bool:
    """Whether ``call`` runs a text as code, or may unpickle what a file says."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in ("eval", "exec")
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return False
    where, what = function.value.id, function.attr
    flags = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
    if where == "torch" and what == "load":
        return flags.get("weights_only") is not True
    if where in ("np", "numpy") and what == "load":
        return flags.get("allow_pickle", False) is not False
    if (where, what) == ("pickle", "loads"):
        return not ast.unparse(call.args[0]).startswith("pickle.dumps(")
    return (where, what) in {("pickle", "load"), ("yaml", "load")}
