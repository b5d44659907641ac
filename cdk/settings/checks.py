"""Checks that several sections use: a choice, a range, an amount of memory."""

import re
from collections.abc import Iterable

from cdk.settings.errors import Problem, format_choices

_MEMORY = re.compile(r"([1-9][0-9]{0,5})(Mi|Gi)")


def check_range(key: str, value: int, low: int, high: int, *, or_else: str = "") -> Iterable[Problem]:
    if not low <= value <= high:
        yield key, value, f"{or_else}a whole number from {low} to {high}"


def is_outside(value: int, bounds: tuple[int, int]) -> bool:
    return not bounds[0] <= value <= bounds[1]


def check_choice(value: str, key: str, accepted: tuple[str, ...]) -> Iterable[Problem]:
    if value not in accepted:
        yield key, value, format_choices(value, accepted)


def check_memory(key: str, value: str, low: int, high: int) -> Iterable[Problem]:
    match = _MEMORY.fullmatch(value)
    mebibytes = int(match[1]) * (1024 if match[2] == "Gi" else 1) if match else 0
    if not low <= mebibytes <= high:
        yield key, value, f"{low}Mi to {high}Mi, written as 512Mi or 1Gi"
