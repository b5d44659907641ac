"""The error of an invalid feed folder."""


class FeedError(ValueError):
    """A feed's folder is invalid: which feed, file and key, what was found, and what is accepted.

    What to do: correct the key in `sources/<feed>/`; `python -m feed sources/<feed>` checks the folder again.
    """

    def __init__(  # noqa: PLR0917 - pickle restores an exception from its positional arguments
        self, feed: str, file: str, key: str, found: str, expected: str, hint: str = ""
    ) -> None:
        super().__init__(feed, file, key, found, expected, hint)
        self.feed, self.file, self.key = feed, file, key
        self.found, self.expected, self.hint = found, expected, hint

    def __str__(self) -> str:
        where = f"{self.feed}/{self.file}" + (f", {self.key}" if self.key else "")
        return f"{where}: found {self.found}; expected {self.expected}" + (
            f"; {self.hint}" if self.hint else ""
        )
