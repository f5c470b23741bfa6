"""Merging YAML files and command-line pairs into a config; errors name key and remedy."""

import difflib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from .base import DATASET_TEMPLATE
from .data_folder import check_parts
from .errors import UnknownNameError
from .home import expand_home, expand_paths
from .schedule import fit_steps
from .values import coerce
from .yaml_file import Written, read_yaml

#: The key of a YAML file for the file that it extends.
BASE_KEY = "_BASE_"

#: The names from the root to a key, its value as written, and its source.
Setting = tuple[tuple[str, ...], Any, str]

#: Key counted in iterations -> the one in epochs that sets it.
_IN_EPOCHS = {
    ("SOLVER", "MAX_ITER"): "MAX_EPOCHS",
    ("SOLVER", "SNAPSHOT_ITERS"): "SNAPSHOT_EPOCHS",
    ("TEST", "EVAL_PERIOD"): "EVAL_EPOCHS",
}

#: Stands for a missing value, as None is a value.
_NO_VALUE = object()


def merge_from_file(node: CfgNode, path: str | Path) -> None:
    """Merge the YAML file at ``path`` into ``node``; derives an empty ``CKPT`` from the path.

    A file may extend another: ``_BASE_`` names it, relative to the file's folder, and the file's
    own values take precedence. A ``~`` at the start of a path is the home folder. Raises
    FileNotFoundError, KeyError (unknown key), TypeError (wrong type) or ValueError (not a YAML
    mapping, a key twice, bases in a circle, no such home folder, or ``node`` is frozen). ``node``
    is unchanged after an error.
    """
    file = Path(expand_home(str(path), "the config file"))
    _merge_settings(node, _read_file(file, ()))
    if not node.CKPT:
        node.CKPT = str(_derived_ckpt(file))


def _read_file(path: Path, above: tuple[Path, ...]) -> list[Setting]:
    """Return the settings of the files that ``path`` extends, and then its own.

    ``above`` are the files whose ``_BASE_`` led here.
    """
    _require_file(path, above)
    if path.resolve() in above:
        chain = " -> ".join(map(str, (*above, path.resolve())))
        raise ValueError(f"the configs name each other as {BASE_KEY}, in a circle: {chain}")
    loaded = read_yaml(path)
    stands_alone = BASE_KEY not in loaded
    base = loaded.pop(BASE_KEY, None)
    settings = [(names, value, str(path)) for names, value in _flatten(loaded)]
    if stands_alone:
        return settings
    if isinstance(base, Written):
        base = base.text or None
    if not isinstance(base, str) or not base:
        raise TypeError(f"{BASE_KEY} in {path} must be the path of a config file; got {base!r}")
    base = expand_home(base, f"{BASE_KEY} in {path}")
    return _read_file(path.parent / base, (*above, path.resolve())) + settings


def _require_file(path: Path, above: tuple[Path, ...]) -> None:
    asked = f", the {BASE_KEY} of {above[-1]}" if above else ""
    try:
        if path.is_file():
            return
        is_folder = path.is_dir()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"no config file can be at {path}{asked}: {error.strerror}") from None
    if is_folder:
        raise FileNotFoundError(f"{path}{asked} is a folder; give the config file in it")
    raise FileNotFoundError(f"no config file {path}{asked}; configs are kept under cfgs/")


def merge_from_list(node: CfgNode, opts: Sequence[Any]) -> None:
    """Merge ``[KEY, value, "KEY=VALUE", ...]`` into ``node``; values may be strings, as typed.

    The first ``=`` ends the key; a value may itself contain ``=``. A ``~`` at the start of a
    path is the home folder. Raises KeyError (unknown key), TypeError (wrong type) or ValueError (a
    key without a value, no such home folder, or ``node`` is frozen). ``node`` is unchanged after an
    error.
    """
    pairs = _pairs(opts)
    _merge_settings(node, [(split_key(key), value, "the command line") for key, value in pairs])


def _pairs(opts: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the key and the value of each ``KEY value`` and ``KEY=VALUE``."""
    words = iter(opts)
    for word in words:
        key, equals, behind = str(word).partition("=")
        value = behind if equals else next(words, _NO_VALUE)
        if value is _NO_VALUE:
            raise ValueError(
                f"the key {key!r} has no value; give pairs: KEY VALUE KEY VALUE ..., or KEY=VALUE"
            )
        if not equals and isinstance(value, str) and value.startswith("="):
            raise ValueError(f"write {key} VALUE, or {key}=VALUE with no space at the =")
        yield key, value


def split_key(key: str) -> tuple[str, ...]:
    """Split a full key at its full stops, but not those in the name of a data set."""
    first, *rest = key.split(".")
    if first == "DATASETS" and len(rest) > 2:
        return (first, ".".join(rest[:-1]), rest[-1])
    return (first, *rest)


def _merge_settings(node: CfgNode, settings: Sequence[Setting]) -> None:
    """Apply all settings to ``node``, or none after an error."""
    if node.is_frozen():
        source = settings[0][2] if settings else "it"
        raise ValueError(f"the config is frozen, so {source} comes too late; merge before freezing")
    for target in (node.clone(), node):
        for _, of_source in itertools.groupby(settings, key=lambda setting: setting[2]):
            _set_all(target, list(of_source))
        expand_paths(target)


def _set_all(root: CfgNode, settings: Sequence[Setting]) -> None:
    """Apply the settings of one source.

    A new ``MAX_ITER`` scales the steps of the schedule. A key counted in iterations takes the place
    of the one in epochs. Raises ValueError, too, for data sets that ``DATA`` would replace.
    """
    before = root.SOLVER.MAX_ITER
    for names, value, source in settings:
        _set(root, names, value, source)
    given = {names for names, _, _ in settings}
    for (section, iterations), epochs in _IN_EPOCHS.items():
        if (section, iterations) in given and (section, epochs) not in given:
            root[section][epochs] = 0
    for section in ("TRAIN", "TEST"):
        if (section, "DATASETS") in given:
            check_parts(root, section)
    if ("SOLVER", "MAX_ITER") in given and ("SOLVER", "STEPS") not in given:
        fit_steps(root.SOLVER, before)


def _flatten(
    section: dict[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the names from the root to each key, and its value."""
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, (*above, key))
        else:
            yield (*above, key), value


def _set(root: CfgNode, names: tuple[str, ...], value: Any, source: str) -> None:
    *sections, name = names
    full_key = ".".join(names)
    node = root
    if sections[:1] == ["DATASETS"]:
        _ensure_dataset_block(root.DATASETS, names[1])
    for section in sections:
        node = node.get(section) if isinstance(node, CfgNode) else None
        if not isinstance(node, CfgNode):
            raise unknown_key(full_key, root, source)
    if name not in node:
        raise unknown_key(full_key, root, source)
    if isinstance(node[name], CfgNode):
        if _is_nothing(value):
            return  # a section whose keys are all commented out
        keys = ", ".join(f"{full_key}.{key}" for key in node[name]) or "yours to name"
        raise TypeError(f"{full_key} in {source} is a section, not a value; its keys are {keys}")
    node[name] = coerce(value, node[name], full_key, source)


def _is_nothing(value: Any) -> bool:
    if isinstance(value, Written):
        value = value.value
    return value is None or value == {}


def _ensure_dataset_block(datasets: CfgNode, name: str) -> None:
    if name and name not in datasets:
        datasets[name] = DATASET_TEMPLATE.defaults()


def unknown_key(full_key: str, root: CfgNode, source: str = "") -> UnknownNameError:
    """Return the error for a key, written in ``source``, that ``root`` lacks."""
    known = [".".join(names) for names, _ in _flatten(root)]
    last = full_key.rsplit(".", 1)[-1]
    same_name = [key for key in known if key.rsplit(".", 1)[-1] == last]
    near = difflib.get_close_matches(full_key, known, n=3, cutoff=0.6)
    by_name = {key.rsplit(".", 1)[-1]: key for key in known}
    near += [by_name[name] for name in difflib.get_close_matches(last, by_name, n=2, cutoff=0.75)]
    hints = list(dict.fromkeys(same_name + near))[:4]
    remedy = f"did you mean {', '.join(hints)}?" if hints else "the keys are listed in pet/config/"
    where = f" in {source}" if source else ""
    return UnknownNameError(f"unknown config key {full_key!r}{where}; {remedy}")


def _derived_ckpt(path: Path) -> Path:
    parts = path.with_suffix("").parts
    if "cfgs" in parts:
        last = len(parts) - 1 - parts[::-1].index("cfgs")
        return Path("ckpts", *parts[last + 1 :])
    return Path("ckpts", path.stem)
