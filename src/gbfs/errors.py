"""The one error of this package."""


class GbfsError(ValueError):
    """A file, a catalogue or a name cannot be used: `reason` is one word, the message says what to do next.

    What to do: do what the end of the message says; `python -m gbfs systems` lists what can be named.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message
