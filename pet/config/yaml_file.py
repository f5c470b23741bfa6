"""Reading the sections and keys of a YAML file, with every value as it was written."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

#: The most bytes of a file; configs have fewer, weights and pictures more.
_MOST_BYTES = 10_000_000
#: The most levels of a file. The deepest key of a config is on the third, or a list of lists.
_MOST_LEVELS = 20
#: Byte order mark at the start of a file -> its encoding.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: YAML's tags of unquoted scalars that are not texts.
_OTHER_THAN_TEXT = ("null", "bool", "int", "float", "timestamp", "value", "merge")
_LINE_BREAK = re.compile(r"\r\n?|\n")


@dataclass(frozen=True)
class Written:
    """An unquoted scalar that YAML does not read as a text.

    YAML reads 2026_01 and 0x10 as integers, 2026-01-05 as a date, 1.10 as 1.1, on as True.
    """

    text: str  # the characters in the file
    value: Any  # YAML's value: a number, True, False, None or a date


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the sections and keys of the file at ``path``, none if it is empty.

    Sections are dicts with texts as keys, lists are lists, and a scalar is a text or ``Written``.
    Raises ValueError, naming file and line, if the file is not of that form or not a text, or has a
    key twice, as YAML would silently drop the first.
    """
    text = _read_text(path)
    try:
        return _parse(text, path)
    except RecursionError:
        raise ValueError(_too_deep(path)) from None
    except yaml.YAMLError as error:
        raise ValueError(_not_yaml(path, _problem(error, text))) from None


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    encoding = next((_MARKS[mark] for mark in _MARKS if data.startswith(mark)), "utf-8")
    if len(data) > _MOST_BYTES or (encoding == "utf-8" and b"\0" in data):
        raise ValueError(
            f"{path} is no text in UTF-8, or longer than a config is; give a YAML file such as "
            "those under cfgs/, and save it as UTF-8"
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(encoding, errors="replace"))
        raise ValueError(
            f"{path}, line {line}: the byte 0x{data[error.start]:02x} there is not "
            f"{encoding.removesuffix('-sig').upper()}; save the file as UTF-8"
        ) from None


def _line(text: str) -> int:
    """Return the number of the last line of ``text``."""
    return len(_LINE_BREAK.findall(text)) + 1


def _parse(text: str, path: Path) -> dict[str, Any]:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        _check_keys(root, (), {}, path)
        content = loader.construct_document(root)
    finally:
        loader.dispose()
    if isinstance(content, Written) and content.value is None:
        return {}
    if not isinstance(content, dict):
        kind = "list" if isinstance(content, list) else "single value"
        raise ValueError(_not_yaml(path, f"it holds a {kind}"))
    return content


def _check_keys(
    node: yaml.Node, above: tuple[str, ...], is_open: dict[yaml.Node, bool], path: Path
) -> None:
    """Raise ValueError for a key that is not a text or is repeated, and for endless nesting.

    ``above`` are the keys that lead to ``node``, "" for an item of a list. ``is_open`` tells of
    each visited node whether the check is still inside it, as an alias may name a node again.
    """
    if len(above) > _MOST_LEVELS or is_open.get(node):
        raise ValueError(_too_deep(path))
    if node in is_open or isinstance(node, yaml.ScalarNode):
        return
    is_open[node] = True
    if isinstance(node, yaml.MappingNode):
        _refuse_repeats(node, above, path)
        for key, value in node.value:
            _check_keys(value, (*above, key.value), is_open, path)
    else:
        for item in node.value:
            _check_keys(item, (*above, ""), is_open, path)
    is_open[node] = False


def _refuse_repeats(node: yaml.MappingNode, above: tuple[str, ...], path: Path) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(_not_yaml(path, f"line {line}: a key must be a text"))
        if key.value in lines:
            name = ".".join((*above, key.value))
            raise ValueError(
                f"{path} has {name} twice; join the two into one: they stand in lines "
                f"{lines[key.value]} and {line}"
            )
        lines[key.value] = line


def _too_deep(path: Path) -> str:
    return _not_yaml(path, f"it is nested more than {_MOST_LEVELS} levels deep, or without an end")


def _not_yaml(path: Path, why: str) -> str:
    return f"{path} is not a YAML file of sections and keys: {why}"


def _problem(error: yaml.YAMLError, text: str) -> str:
    """Return a message of one line for ``error`` in ``text``."""
    if isinstance(error, yaml.reader.ReaderError):
        line = _line(text[: error.position])
        return f"line {line} holds the control character U+{error.character:04X}; take it out"
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    words = " ".join(filter(None, (error.context, error.problem)))
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {words}" if mark else words


def _as_written(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    try:
        value = yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    except (ValueError, LookupError, ArithmeticError, AttributeError):
        value = node.value  # such as 2026-13-45, not a valid date
    return Written(node.value, value) if node.style is None else value


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with texts as keys, and ``Written`` for scalars that are not texts."""

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **yaml.SafeLoader.yaml_constructors,
        **{f"tag:yaml.org,2002:{name}": _as_written for name in _OTHER_THAN_TEXT},
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)  # merges the values of <<
            return {key.value: self.construct_object(value, deep) for key, value in node.value}
        return super().construct_mapping(node, deep)
