"""The error of this package."""


class GbfsError(ValueError):
    """A file, catalogue or name is invalid: `reason` is a short code, `message` says what was found and expected.

    What to do: do what the end of the message says; `python -m gbfs systems` lists what can be named.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason, self.message = reason, message

    def __str__(self) -> str:
        return self.message
