"""Importing a user's own files, which register parts."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

#: Environment variable that lists the imported names, for child processes.
ENVIRONMENT = "PET_IMPORT"


def import_extensions(names: Iterable[str]) -> None:
    """Import each of ``names``: a ``.py`` file, or a module by its dotted name.

    The folder of a file is added to the import path, so that child processes find its module.
    Raises FileNotFoundError, ImportError for an unknown module, and ValueError if a name is neither
    a file nor a module, or the file has the name of another module. Exceptions from the imported
    code are not caught.
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
    """Import the files and modules that the parent process imported with ``import_extensions``."""
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
        raise  # the missing module is one that this module imports


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
    """Return the problem if another module has the name of the file ``path``, else ""."""
    spec = importlib.util.find_spec(path.stem)
    if spec is not None and spec.has_location and path.samefile(str(spec.origin)):
        return ""
    return f"the name of another module ({spec.origin if spec else 'unknown'})"
