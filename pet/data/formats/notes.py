"""Counts of the flaws of a data set, as lines for the log."""


class Notes:
    """Counts the flaws of each kind, and remembers the first place of each."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, where: object) -> None:
        """Count a flaw; ``kind`` continues a number, such as "pictures without an XML file"."""
        count, first = self._found.get(kind, (0, str(where)))
        self._found[kind] = (count + 1, first)

    def lines(self) -> tuple[str, ...]:
        """Return a line for each kind, in the order in which they were found."""
        return tuple(
            f"{count} {kind}; {'the first: ' if count > 1 else ''}{first}"
            for kind, (count, first) in self._found.items()
        )
