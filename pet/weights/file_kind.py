"""Detecting files that cannot be weights by their first bytes, before reading them."""

import re
from pathlib import Path

_HEAD = 512  # bytes that are inspected
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
#: The beginning of a pickle of protocol 0, which is text: a container, or a name on two lines.
_TEXT_PICKLE = re.compile(rb"\((?:[dl]p?\d*\r?\n|[VSILFNc(dlt])|c[\w.]+\r?\n\w+\r?\n")


def require_file(path: Path) -> None:
    """Raise FileNotFoundError if ``path`` is not a file."""
    if not path.is_file():
        raise FileNotFoundError(describe_no_file(path))


def describe_no_file(path: Path) -> str:
    """Return a message that ``path`` is missing, a folder or a device."""
    if path.is_dir():
        return f"{path} is a folder, and no file"
    if path.exists():
        return f"{path} is a pipe, a socket or a device, and no file that can be read twice"
    return f"there is no file {path}"


def read_head(path: Path) -> bytes:
    """Return the first bytes of the file at ``path``.

    Raises FileNotFoundError for a missing file, and ValueError if the file is empty, a text, a web
    page, a Git LFS pointer or a safetensors file.
    """
    require_file(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    size = path.stat().st_size
    if problem := _problem(head, size):
        raise ValueError(f"{path} ({size} bytes) is no readable torch file: {problem}")
    return head


def _problem(head: bytes, size: int) -> str:
    """Return a description of a file that cannot be weights, with advice; else ""."""
    if not head:
        return "it is empty: it was cut off, or never written"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
    if head[8:9] == b"{" and 1 < int.from_bytes(head[:8], "little") <= size - 8:
        return (
            "it is a safetensors file; torch.save(safetensors.torch.load_file(path), "
            '"weights.pth") makes a torch file of it'
        )
    if not _is_text(head) or _TEXT_PICKLE.match(head):
        return ""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "it is a web page, as a download that failed leaves it"
    line = head.decode("utf-8", "replace").strip().partition("\n")[0]
    return f"it is a text that begins with {line[:60].strip()!r}"


def _is_text(head: bytes) -> bool:
    """Whether ``head`` is UTF-8 text; its last character may be incomplete."""
    if _CONTROL.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == _HEAD and error.start > _HEAD - 4
    return True
