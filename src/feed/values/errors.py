"""The error of a value that its column cannot hold."""

from typing import Any


class ConversionError(ValueError):
    """A value that a column cannot hold; `path` is its path inside of the column's value."""

    def __init__(self, value: Any, expected: str, path: str = "") -> None:
        super().__init__(value, expected, path)
        self.value, self.expected, self.path = value, expected, path
