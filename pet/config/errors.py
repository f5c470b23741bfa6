"""The error for an unknown name."""


class UnknownNameError(KeyError):
    """A KeyError that prints its message as it is, not quoted."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
