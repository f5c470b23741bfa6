"""Merging YAML files and command-line pairs into a config, with errors that name key and remedy."""

import ast
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from .base import DATASET_TEMPLATE
from .errors import UnknownNameError

#: In a YAML file: the file that it stands on.
BASE_KEY = "_BASE_"


def merge_from_file(node: CfgNode, path: str | Path) -> None:
    """Merge the YAML file at ``path`` into ``node``; sets ``CKPT`` from the path where it is empty.

    A file may stand on another: ``_BASE_`` names it, from the folder of the file itself, and what
    the file says goes before. Raises FileNotFoundError, KeyError (unknown key), TypeError (wrong
    type) or ValueError (not a YAML mapping, bases in a circle, or ``node`` is frozen). ``node`` is
    unchanged after an error.
    """
    _merge_triples(node, _read_file(Path(path), ()))
    if not node.CKPT:
        node.CKPT = str(_derived_ckpt(Path(path)))


def _read_file(path: Path, above: tuple[Path, ...]) -> list[tuple[str, Any, str]]:
    """Return (key, value, file) of the files that ``path`` stands on, and then its own.

    ``above`` are the files that led here by their ``_BASE_``.
    """
    if path.resolve() in above:
        chain = " -> ".join(map(str, (*above, path.resolve())))
        raise ValueError(f"the configs name each other as {BASE_KEY}, in a circle: {chain}")
    if not path.is_file():
        asked = f", the {BASE_KEY} of {above[-1]}" if above else ""
        raise FileNotFoundError(f"no config file {path}{asked}; configs are kept under cfgs/")
    text = path.read_text(encoding="utf-8")
    _refuse_repeated_keys(text, path)
    try:
        loaded = CfgNode.load_cfg(text)
    except Exception as error:
        raise ValueError(f"{path} is not a YAML file of sections and keys: {error}") from error
    stands_alone = BASE_KEY not in loaded
    base = loaded.pop(BASE_KEY, None)
    triples = [(key, value, str(path)) for key, value in _flatten(loaded)]
    if stands_alone:
        return triples
    if not isinstance(base, str) or not base:
        raise TypeError(f"{BASE_KEY} in {path} must be the path of a config file; got {base!r}")
    return _read_file(path.parent / base, (*above, path.resolve())) + triples


def _refuse_repeated_keys(text: str, path: Path) -> None:
    """Raise ValueError where a section or key stands twice: YAML would drop the first silently."""
    seen: set[tuple[str, ...]] = set()
    above: list[tuple[int, str]] = []
    for match in re.finditer(r"^( *)([A-Za-z_][\w.-]*):(?: |$)", text, re.MULTILINE):
        indent, key = len(match.group(1)), match.group(2)
        above = [entry for entry in above if entry[0] < indent] + [(indent, key)]
        place = tuple(name for _, name in above)
        if place in seen:
            raise ValueError(f"{path} has {'.'.join(place)} twice; join the two into one")
        seen.add(place)


def merge_from_list(node: CfgNode, opts: Sequence[Any]) -> None:
    """Merge ``[KEY, value, KEY, value, ...]`` into ``node``; values may be strings, as typed.

    Raises KeyError (unknown key), TypeError (wrong type) or ValueError (a key with no value, or
    ``node`` is frozen). ``node`` is unchanged after an error.
    """
    if len(opts) % 2:
        raise ValueError(f"the key {opts[-1]!r} has no value; give pairs: KEY VALUE KEY VALUE ...")
    pairs = zip(opts[0::2], opts[1::2], strict=True)
    _merge_triples(node, [(key, value, "the command line") for key, value in pairs])


def _merge_triples(node: CfgNode, triples: Sequence[tuple[str, Any, str]]) -> None:
    """Set each (key, value, source) in ``node``: all of them, or, after an error, none."""
    if node.is_frozen():
        source = triples[0][2] if triples else "it"
        raise ValueError(f"the config is frozen, so {source} comes too late; merge before freezing")
    trial = node.clone()
    for key, value, source in triples:
        _set(trial, key, value, source)
    for key, value, source in triples:
        _set(node, key, value, source)


def _flatten(node: CfgNode, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, CfgNode) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set(root: CfgNode, full_key: str, value: Any, source: str) -> None:
    *sections, name = str(full_key).split(".")
    node = root
    if sections[:1] == ["DATASETS"]:
        _ensure_dataset_block(root.DATASETS, full_key)
    for section in sections:
        node = node.get(section) if isinstance(node, CfgNode) else None
        if not isinstance(node, CfgNode):
            raise _unknown_key(root, full_key, source)
    if name not in node:
        raise _unknown_key(root, full_key, source)
    if isinstance(node[name], CfgNode):
        if value is None or (isinstance(value, CfgNode) and not value):
            return  # a section in a file with every key commented out changes nothing
        keys = ", ".join(f"{full_key}.{key}" for key in node[name]) or "yours to name"
        raise TypeError(f"{full_key} in {source} is a section, not a value; its keys are {keys}")
    if not isinstance(node[name], str):
        value = _decode(value)
    node[name] = _coerce(value, node[name], full_key, source)


def _ensure_dataset_block(datasets: CfgNode, full_key: str) -> None:
    name = full_key.split(".")[1]
    if name and name not in datasets:
        datasets[name] = DATASET_TEMPLATE.clone()


def _unknown_key(root: CfgNode, full_key: str, source: str) -> UnknownNameError:
    known = [key for key, _ in _flatten(root)]
    last = str(full_key).rsplit(".", 1)[-1]
    same_name = [key for key in known if key.rsplit(".", 1)[-1] == last]
    near = difflib.get_close_matches(str(full_key), known, n=3, cutoff=0.6)
    by_name = {key.rsplit(".", 1)[-1]: key for key in known}
    near += [by_name[name] for name in difflib.get_close_matches(last, by_name, n=2, cutoff=0.75)]
    hints = list(dict.fromkeys(same_name + near))[:4]
    remedy = f"did you mean {', '.join(hints)}?" if hints else "the keys are listed in pet/config/"
    return UnknownNameError(f"unknown config key {full_key!r} in {source}; {remedy}")


def _decode(value: Any) -> Any:
    """Read a string as the Python literal it spells, where it spells one."""
    if isinstance(value, dict):
        return CfgNode(value)
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _coerce(value: Any, default: Any, key: str, source: str) -> Any:
    """Return ``value`` as the type of ``default``, or raise TypeError naming both."""
    wanted = type(default)
    if isinstance(default, bool) or isinstance(value, bool):
        spelled = {"true": True, "false": False}.get(str(value).lower())
        if isinstance(default, bool) and spelled is not None and not isinstance(value, int | float):
            return spelled
        if isinstance(default, bool) and isinstance(value, bool):
            return value
    elif wanted is float and isinstance(value, int):
        return float(value)
    elif wanted is str and isinstance(value, int | float):
        return str(value)
    elif wanted is tuple:
        return _coerce_tuple(value, default, key, source)
    elif isinstance(value, wanted):
        return value
    raise TypeError(
        f"{key} in {source} must be {_kind(default)}, as in its default {default!r}; got {value!r}"
    )


def _coerce_tuple(value: Any, default: tuple[Any, ...], key: str, source: str) -> tuple[Any, ...]:
    if isinstance(value, str):
        # Brackets are left where a shell took the quotes out of ("a", "b").
        value = tuple(part.strip() for part in value.strip("()[] ").split(",") if part.strip())
    elif not isinstance(value, list | tuple):
        value = (value,)
    # Only the tuples of data set names are empty by default.
    model = default[0] if default else ""
    return tuple(_coerce(_decode(item), model, key, source) for item in value)


def _kind(default: Any) -> str:
    names = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
    return names.get(type(default), f"a {type(default).__name__}")


def _derived_ckpt(path: Path) -> Path:
    parts = path.with_suffix("").parts
    if "cfgs" in parts:
        last = len(parts) - 1 - parts[::-1].index("cfgs")
        return Path("ckpts", *parts[last + 1 :])
    return Path("ckpts", path.stem)
