"""Compare BigQuery schemas column by column, nested ones too: changes in place, and those that replace the table.

Which changes replace a table is decided by the provider, see docs/review.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from review.findings.text import HIDDEN, UNKNOWN, span
from review.plan.values import is_nested_deeper

Column = Mapping[str, Any]
DEEPEST = 60  # lists and mappings within one another: BigQuery nests 15 records
# Types that the provider considers equal; RECORD and STRUCT are not, so that change replaces a table.
ALIASES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
DETAILS = (
    "description",
    "policyTags",
    "defaultValueExpression",
    "maxLength",
    "precision",
    "scale",
    "roundingMode",
    "collation",
)


@dataclass(frozen=True)
class ColumnChange:
    """One change of one column: whether it replaces the table, and whether the column's values are lost."""

    column: str
    sentence: str
    replaces: bool = False
    loses_values: bool = False


def parse_columns(schema: Any) -> Sequence[Column] | None:
    """Return the columns of a schema, which the provider holds as JSON text; None if they are hidden or unknown."""
    if isinstance(schema, str):
        if not schema or UNKNOWN in schema or schema.startswith(HIDDEN):
            return None if schema else []
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            return None
    if schema is None:
        return []
    if isinstance(schema, Mapping):
        schema = schema.get("fields")
    if (
        is_nested_deeper(schema, DEEPEST)
        or not isinstance(schema, list)
        or not all(isinstance(each, dict) and _read_name(each) for each in schema)
    ):
        return None
    return schema


def compare_schemas(before: Any, after: Any) -> tuple[ColumnChange, ...] | None:
    """Return every change between two schemas, in the columns' order; None if either is hidden or unknown."""
    old, new = parse_columns(before), parse_columns(after)
    return None if old is None or new is None else tuple(_compare_columns(old, new, ""))


def _compare_columns(old: Sequence[Column], new: Sequence[Column], above: str) -> Iterator[ColumnChange]:
    before = {_read_name(each): each for each in old}
    after = {_read_name(each): each for each in new}
    dropped = [each for each in before if each not in after]
    added = [each for each in after if each not in before]
    renamed = _pair_renamed(dropped, added, before, after)
    for name in dropped:
        path = f"{above}{name}"
        if name in renamed:
            yield ColumnChange(
                path,
                f"column {span(path)} is renamed to {span(above + renamed[name])}, which BigQuery cannot "
                "do in place: the "
                "old one is removed with its values and the new one starts empty",
                replaces=True,
                loses_values=True,
            )
        else:
            what = f"nested column {span(path)}" if above else f"column {span(path)}"
            yield ColumnChange(
                path,
                f"{what} ({_describe_column(before[name])}) is removed",
                replaces=bool(above or added),
                loses_values=True,
            )
    made = frozenset(renamed.values())
    for name in added:
        if name in made:
            continue
        path, mode = f"{above}{name}", _read_mode(after[name])
        begins = "is required in every row" if mode == "REQUIRED" else "is NULL in existing rows"
        begins = "is empty in existing rows" if mode == "REPEATED" else begins
        sentence = f"column {span(path)} ({_describe_column(after[name])}) is added, and {begins}"
        yield ColumnChange(path, sentence, replaces=mode == "REQUIRED")
    for name, column in after.items():
        if name in before and column != before[name]:
            yield from _compare_column(before[name], column, f"{above}{name}")
    if [each for each in before if each in after] != [each for each in after if each in before]:
        where = f"of {span(above.rstrip('.'))} " if above else ""
        yield ColumnChange(above, f"the order of the columns {where}changes, which has no effect in BigQuery")


def _pair_renamed(
    dropped: list[str],
    added: list[str],
    before: Mapping[str, Column],
    after: Mapping[str, Column],
) -> dict[str, str]:
    """Pair removed with added columns, in their order, if as many of a type and mode are removed as added."""
    going, coming = _group_by_shape(dropped, before), _group_by_shape(added, after)
    pairs: dict[str, str] = {}
    for shape, names in going.items():
        others = coming.get(shape, [])
        if len(names) == len(others):
            pairs |= dict(zip(names, others, strict=True))
    return pairs


def _group_by_shape(names: list[str], columns: Mapping[str, Column]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        found.setdefault((_read_type(columns[name]), _read_mode(columns[name])), []).append(name)
    return found


def _compare_column(old: Column, new: Column, path: str) -> Iterator[ColumnChange]:
    name = span(path)
    if _read_type(old) != _read_type(new):
        sentence = f"column {name} changes its type from {_read_type(old)} to {_read_type(new)}"
        yield ColumnChange(path, sentence, replaces=True, loses_values=True)
        return
    modes = _read_mode(old), _read_mode(new)
    if modes == ("REQUIRED", "NULLABLE"):
        yield ColumnChange(path, f"column {name} is relaxed from REQUIRED to NULLABLE")
    elif modes[0] != modes[1]:
        sentence = f"column {name} changes its mode from {modes[0]} to {modes[1]}"
        yield ColumnChange(path, sentence, replaces=True, loses_values=True)
    for detail in DETAILS:
        before, after = old.get(detail), new.get(detail)
        if (before or None) != (after or None):
            words = _DETAIL_WORDS.get(detail, detail)
            yield ColumnChange(path, f"the {words} of column {name} {_describe_difference(before, after)}")
    inner = [each if isinstance(each, list) else [] for each in (old.get("fields"), new.get("fields"))]
    if inner[0] or inner[1]:
        sides = [[each for each in side if isinstance(each, dict) and _read_name(each)] for side in inner]
        yield from _compare_columns(sides[0], sides[1], f"{path}.")


_DETAIL_WORDS = {
    "description": "description",
    "policyTags": "policy tag (decides who can read it)",
    "defaultValueExpression": "default value (for new rows)",
    "maxLength": "maximum length",
}


def _describe_difference(before: Any, after: Any) -> str:
    if not before:
        return f"is set to {span(after)}"
    return (
        f"is removed; it was {span(before)}" if not after else f"changes from {span(before)} to {span(after)}"
    )


def _read_name(column: Column) -> str:
    found = column.get("name")
    return found if isinstance(found, str) else ""


def _read_type(column: Column) -> str:
    found = str(column.get("type") or "STRING").upper()
    plain = ALIASES.get(found, found)
    return plain if plain.replace("_", "").isalnum() and len(plain) < 40 and plain.isascii() else span(plain)


def _read_mode(column: Column) -> str:
    found = str(column.get("mode") or "NULLABLE").upper()
    return found if found in ("NULLABLE", "REQUIRED", "REPEATED") else span(found)


def _describe_column(column: Column) -> str:
    mode = _read_mode(column)
    return _read_type(column) if mode == "NULLABLE" else f"{_read_type(column)}, {mode}"
