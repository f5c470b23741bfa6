"""Files that cannot be weights, told by their first bytes before a reader tries them."""

import re
from pathlib import Path

_HEAD = 512  # bytes that are looked at
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
#: How pickles of protocol 0, which are texts, begin: a filled container, or a name on two lines.
_TEXT_PICKLE = re.compile(rb"\((?:[dl]p?\d*\r?\n|[VSILFNc(dlt])|c[\w.]+\r?\n\w+\r?\n")


def require_file(path: Path) -> None:
    """Raise FileNotFoundError, saying what there is in its place, where ``path`` is no file."""
    if not path.is_file():
        raise FileNotFoundError(describe_no_file(path))


def describe_no_file(path: Path) -> str:
    """Return what stands at ``path``, which is no file."""
    if path.is_dir():
        return f"{path} is a folder, and no file"
    if path.exists():
        return f"{path} is a pipe, a socket or a device, and no file that can be read twice"
    return f"there is no file {path}"


def read_head(path: Path) -> bytes:
    """Return the first bytes of the file at ``path``.

    Raises FileNotFoundError where there is none, and ValueError where they are not those of a torch
    file or a pickle, but of something that a user may have got in its place.
    """
    require_file(path)
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    size = path.stat().st_size
    if kind := _kind(head, size):
        raise ValueError(f"{path} ({size} bytes) is no readable torch file: {kind}")
    return head


def _kind(head: bytes, size: int) -> str:
    """Return what the file is, and what would do; "" where it may be weights."""
    if not head:
        return "it is empty: it was cut off, or never written"
    if head.startswith(b"version https://git-lfs"):
        return "it stands for a file that Git LFS keeps elsewhere; git lfs pull brings that"
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
    """Whether ``head``, whose last character may be cut in two, is text in UTF-8."""
    if _CONTROL.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == _HEAD and error.start > _HEAD - 4
    return True
