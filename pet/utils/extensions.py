"""Importing files of a user's own, for the parts that they register."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

#: Holds what was imported, for the processes that this one starts.
ENVIRONMENT = "PET_IMPORT"


def import_extensions(names: Iterable[str]) -> None:
    """Import each of ``names``: a ``.py`` file, or a module by its dotted name.

    The folder of a file joins the import path, so that processes started later find it by its
    name. Raises FileNotFoundError, ImportError for an unknown module, or ValueError where a name
    is neither, or that of a file another module's; what the file itself raises passes through.
    """
    names = [str(name) for name in names]
    for name in names:
        if name.endswith(".py"):
            _import_file(Path(name).expanduser().absolute())
        else:
            _import_module(name)
    known = [name for name in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if name]
    added = [str(Path(n).expanduser().absolute()) if n.endswith(".py") else n for n in names]
    if added:
        os.environ[ENVIRONMENT] = os.pathsep.join(dict.fromkeys(known + added))


def import_inherited_extensions() -> None:
    """Import what the process that started this one had imported."""
    import_extensions(name for name in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if name)


def _import_module(name: str) -> None:
    if not all(name.split(".")) or os.sep in name:
        raise ValueError(
            f"{name!r} is neither a file, NAME.py, nor the dotted name of a module to import"
        )
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise ImportError(
                f"there is no module {error.name} to import; install it, or give a file, NAME.py"
            ) from None
        raise  # a module that this one imports


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} to import")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    if path.stem == "__main__" or not path.stem.isidentifier():
        problem = "no name for a module"
    else:
        problem = _other_module(path)
    if problem:
        raise ValueError(f"{path} cannot be imported, {path.stem!r} is {problem}; rename the file")
    importlib.import_module(path.stem)


def _other_module(path: Path) -> str:
    """Return whose name the file at ``path`` has, or "" where it is its own."""
    spec = importlib.util.find_spec(path.stem)
    if spec is not None and spec.has_location and path.samefile(str(spec.origin)):
        return ""
    return f"the name of another module ({spec.origin if spec else 'unknown'})"
