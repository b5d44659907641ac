"""What a month costs, before and after."""

from dataclasses import dataclass
from typing import Any

from review.findings import Detail


@dataclass(frozen=True)
class Cost:
    """A month before and after, in words, with what it was made from."""

    headline: str
    answer: str
    details: tuple[Detail, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures for machines."""
        return {}
