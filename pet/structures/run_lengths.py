"""Decoding COCO's compressed RLE, of one mask or of many at once.

T texts, V run lengths in them. Source: pycocotools, ``rleToString`` and ``rleFrString``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_FIRST = 48  # the character "0", which stands for 0
_LONGEST = 7  # characters of a value: 35 bits, more than any mask needs


@dataclass(frozen=True)
class Runs:
    """The concatenated runs of T masks; background and foreground alternate in each mask."""

    lengths: np.ndarray  # (V,) int64
    starts: np.ndarray  # (T,) int64, index in ``lengths`` of the first run of each mask
    sound: np.ndarray  # (T,) bool: whether the text is a valid RLE without negative runs

    def totals(self) -> np.ndarray:
        """Return (T,) int64: the number of pixels, foreground and background, of each mask."""
        return _sums(self.lengths, self.starts)

    def foreground(self) -> np.ndarray:
        """Return (T,) int64: the number of foreground pixels of each mask."""
        place = np.arange(len(self.lengths)) - np.repeat(self.starts, self._counts())
        return _sums(self.lengths * (place % 2), self.starts)

    def has_empty(self) -> np.ndarray:
        """Return (T,) bool: whether a mask has a run of length 0 that is not its first."""
        empty = self.lengths == 0
        empty[self.starts] = False
        return _sums(empty.astype(np.int64), self.starts) > 0

    def of(self, mask: int) -> np.ndarray:
        """Return the runs of one mask."""
        start = self.starts[mask]
        return self.lengths[start : start + self._counts()[mask]]

    def _counts(self) -> np.ndarray:
        return np.diff(np.append(self.starts, len(self.lengths)))


def decode_runs(texts: Sequence[bytes]) -> Runs:
    """Decode ``texts``; an invalid text raises nothing, but its mask is not ``sound``.

    Each character holds five bits and a flag that the value continues. From the fourth on, a run is
    stored as the difference to the run two before.
    """
    sizes = np.array([len(text) for text in texts], np.int64)
    # An empty text is read as one run of length 0, so that each mask has a run.
    joined = b"".join(text or b"0" for text in texts)
    ends = np.cumsum(np.maximum(sizes, 1))
    codes = np.frombuffer(joined, np.uint8).astype(np.int64) - _FIRST
    last = (codes & 32) == 0
    whole = last[ends - 1] & (sizes > 0)
    last[ends - 1] = True  # no value reaches into the next text
    firsts = np.flatnonzero(np.concatenate(([True], last[:-1])))[: np.count_nonzero(last)]
    owner = np.searchsorted(ends, firsts, side="right")
    values, characters = _values(codes, firsts)
    starts = np.searchsorted(owner, np.arange(len(texts)))
    lengths = _undo_differences(values, owner, starts)
    wrong = np.zeros(len(texts), bool)
    bad_character = (codes < 0) | (codes > 63)
    wrong[np.searchsorted(ends, np.flatnonzero(bad_character), side="right")] = True
    wrong[owner[(characters > _LONGEST) | (lengths < 0)]] = True
    return Runs(lengths, starts, whole & ~wrong)


def without_empty(lengths: np.ndarray) -> np.ndarray:
    """Return the runs of the same mask without runs of length 0, except the first."""
    is_foreground = np.arange(len(lengths)) % 2
    lengths, is_foreground = lengths[lengths > 0], is_foreground[lengths > 0]
    starts = np.flatnonzero(np.diff(is_foreground, prepend=-1))
    first = [0] if is_foreground[:1].any() else []
    return np.append(np.array(first, np.int64), _sums(lengths, starts))


def _values(codes: np.ndarray, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode the numbers that start at ``codes[firsts]``.

    Returns their signed values (V,), and how many characters each takes.
    """
    characters = np.diff(np.append(firsts, len(codes)))
    if not len(firsts):
        return np.zeros(0, np.int64), characters
    place = np.arange(len(codes)) - np.repeat(firsts, characters)
    bits = (codes & 31) << (5 * np.minimum(place, _LONGEST))
    values = np.add.reduceat(bits, firsts)
    negative = (codes[firsts + characters - 1] & 16) != 0
    return values - (negative << (5 * np.minimum(characters, _LONGEST))), characters


def _undo_differences(values: np.ndarray, owner: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the runs (V,) from their differences: cumulative sums over every other value."""
    place = np.arange(len(values)) - starts[owner]
    lengths = values.copy()
    for chosen in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        sums, owners = np.cumsum(values[chosen]), owner[chosen]
        begins = np.searchsorted(owners, np.arange(len(starts)))[owners]  # of each one's text
        before = np.concatenate(([0], sums))[begins]
        lengths[chosen] = sums - before
    return lengths


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)


def run_lengths_of(text: str | bytes) -> list[int]:
    """Return the runs of COCO's compressed RLE ``text``; ValueError if the text is truncated.

    Each character holds five bits and a flag that the value continues. From the fourth on, a run is
    stored as the difference to the run two before (pycocotools, ``rleFrString``).
    """
    codes = text.encode() if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        code -= 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError(f"a run-length encoded mask breaks off after {len(codes)} characters")
    return runs
