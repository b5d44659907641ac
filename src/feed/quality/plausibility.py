"""Check whether values that fit their column are plausible."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from feed.model import Column, Rule

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def describe_violation(rule: Rule, value: Any, tick: datetime) -> str | None:
    """Return what the rule expects, if a native value violates it; else None."""
    if value is None:
        return None
    if rule.minimum is not None and value < rule.minimum:
        return f"at least {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"at most {rule.maximum:g}"
    if rule.not_in_future is not None and value > latest_plausible_time(rule, tick):
        minutes = rule.not_in_future.total_seconds() / 60
        return f"a time at most {minutes:g} minutes after the tick {tick:%Y-%m-%dT%H:%MZ}"
    if rule.not_before is not None and value < rule.not_before:
        return f"a time not before {rule.not_before:%Y-%m-%d}"
    return None


def latest_plausible_time(rule: Rule, tick: datetime) -> datetime:
    """Return the latest plausible time for a response of that tick."""
    if rule.not_in_future is None:
        return _END_OF_TIME
    return min(_END_OF_TIME - rule.not_in_future, tick) + rule.not_in_future


def are_all_plausible(columns: Sequence[Column], values: Mapping[str, Sequence[Any]], tick: datetime) -> bool:
    """Return whether all values of all columns satisfy their rules."""
    for column in columns:
        present = [value for value in values[column.name] if value is not None]
        if not present or column.rule is None:
            continue
        lowest, highest = min(present), max(present)
        if describe_violation(column.rule, lowest, tick) or describe_violation(column.rule, highest, tick):
            return False
    return True
