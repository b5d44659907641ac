"""Read the rules of values from source.toml: what a type mismatch rejects, and which values are plausible."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from feed.model import ON_MISMATCH, Column, Rule
from feed.source.toml_table import Table, suggest

RULES = ("minimum", "maximum", "not_in_future", "not_before")
# Clocks differ, and a response is fetched some seconds after its tick.
_CLOCK_SKEW = timedelta(minutes=5)


def apply_column_rules(source: Table, columns: Mapping[str, Column], key: str | None) -> tuple[Column, ...]:
    """Return the columns with their `on_mismatch` and [rules]. Raises FeedError.

    An invalid key rejects at least its row, because a row without a key is useless.
    """
    default = source.choice("on_mismatch", ON_MISMATCH, "value")
    rules = source.section("rules")
    for name in rules.table:
        if name not in columns:
            hint = suggest(name, columns)
            rules.refuse(name, "no such column", "one of " + ", ".join(columns), hint)
    return tuple(
        _apply_column_rule(column, rules, default, is_key=column.name == key) for column in columns.values()
    )


def _apply_column_rule(column: Column, rules: Table, default: str, *, is_key: bool) -> Column:
    lowest = "row" if is_key and default == "value" else default
    if column.name not in rules.table:
        return replace(column, on_mismatch=lowest)
    table = rules.section(column.name)
    table.only("on_mismatch", *RULES)
    on_mismatch = table.choice("on_mismatch", ON_MISMATCH, lowest)
    if is_key and on_mismatch == "value":
        table.refuse("on_mismatch", "'value' for the key", "'row' or 'response', because a row needs its key")
    return replace(column, on_mismatch=on_mismatch, rule=_read_rule(column, table))


def _read_rule(column: Column, table: Table) -> Rule | None:
    keys = [key for key in RULES if key in table.table]
    if not keys:
        return None
    for key in keys:
        types = ("INTEGER", "FLOAT") if key in {"minimum", "maximum"} else ("TIMESTAMP",)
        if column.mode == "REPEATED" or column.type not in types:
            found = f"a rule for {column.mode} {column.type}"
            table.refuse(key, found, "a column with one " + " or ".join(types))
    rule = Rule(
        minimum=_read_number(table, "minimum"),
        maximum=_read_number(table, "maximum"),
        not_in_future=_read_tolerance(table),
        not_before=_read_time(table),
    )
    if rule.minimum is not None and rule.maximum is not None and rule.minimum > rule.maximum:
        table.refuse("minimum", f"{rule.minimum:g}", f"at most the maximum, {rule.maximum:g}")
    return rule


def _read_number(table: Table, key: str) -> float | None:
    value = table.table.get(key)
    if value is None:
        return None
    if type(value) not in {int, float} or not abs(value) < float("inf"):
        table.refuse(key, repr(value), "a number")
    number: float = value
    return number


def _read_tolerance(table: Table) -> timedelta | None:
    value: Any = table.table.get("not_in_future", False)
    if type(value) is bool:
        return _CLOCK_SKEW if value else None
    if type(value) is not int or not 0 <= value <= 60 * 24 * 366:
        table.refuse("not_in_future", repr(value), "true, or how many minutes after the tick are plausible")
    return timedelta(minutes=value)


def _read_time(table: Table) -> datetime | None:
    if "not_before" not in table.table:
        return None
    value: Any = table.table["not_before"]
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if not isinstance(value, datetime):
        table.refuse("not_before", repr(value), "a date such as 2015-01-01")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
