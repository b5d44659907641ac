"""The one error of this package."""


class GbfsError(ValueError):
    """A file, a catalogue or a name cannot be used: `reason` is one word, the message says what to do next."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message
