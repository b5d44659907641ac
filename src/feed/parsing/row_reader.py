"""Convert records to rows, with a fault for each value that does not fit; compiled once per feed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from feed.model import COLLECTED_AT, ON_MISMATCH, Box, Column, Feed
from feed.parsing.outcome import IMPLAUSIBLE, FaultError
from feed.paths import FieldPath, Step, Where, format_path
from feed.quality.plausibility import are_all_plausible, describe_violation
from feed.values.conversion import ColumnConverter, make_column_converter, make_converter
from feed.values.description import describe_value
from feed.values.errors import ConversionError
from feed.values.partial_conversion import convert_partially
from feed.values.scalars import Converter
from feed.values.timestamps import resolve_repeated_hour

# Distance from the sample's stations beyond which a station must belong to another city.
FAR_DEGREES = 2.0
_CLOCK_SKEW = timedelta(minutes=5)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
# What a type mismatch rejects, by the column's `on_mismatch`.
_SCOPES = dict(zip(ON_MISMATCH, ("value", "record", "response"), strict=True))


@dataclass(frozen=True)
class _ColumnReader:
    """The converters of one column."""

    column: Column
    key: Step  # in the object or array that contains its value
    convert: Converter
    convert_all: ColumnConverter

    def resolve_repeated_hours(self, values: list[Any], tick: datetime) -> list[Any]:
        """Return native values; of local times in a repeated hour, the tick decides which one is meant."""
        zone = self.column.zone
        if zone is None or self.column.mode == "REPEATED":
            return values
        latest = tick + min(_CLOCK_SKEW, _END_OF_TIME - tick)
        return [resolve_repeated_hour(value, zone, latest) for value in values]


@dataclass(frozen=True)
class _ColumnGroup:
    """The columns that are taken from one object or array of the record (their parent)."""

    path: FieldPath
    fields: tuple[_ColumnReader, ...]
    on_mismatch: str  # the strictest of its columns, because all of them are lost if it has another type


@dataclass(frozen=True)
class RowReader:
    """Converts the records of one feed to rows."""

    groups: tuple[_ColumnGroup, ...]
    names: tuple[str, ...]  # of the columns of a row
    repeated: tuple[str, ...]
    ruled: tuple[Column, ...]  # columns with a rule
    key: str | None
    latitude: Column | None
    longitude: Column | None
    box: Box | None

    def read_all(self, records: list[Any], tick: datetime) -> list[dict[str, Any]] | None:
        """Convert all records at once, column by column. Return None if one may have a fault: use `read_row`."""
        columns: dict[str, Sequence[Any]] = {"collected_at": [tick] * len(records)}
        try:
            for group in self.groups:
                parents = _find_parents(records, group.path)
                kinds = set(map(type, parents))
                for field in group.fields:
                    values = field.convert_all(_get_items(parents, kinds, field.key))
                    columns[field.column.name] = field.resolve_repeated_hours(values, tick)
        except ConversionError:
            return None
        if self.key is not None:
            keys = set(columns[self.key])
            if len(keys) < len(records) or None in keys or "" in keys:
                return None
        if self.box is not None and self.latitude is not None and self.longitude is not None:
            latitudes = [value for value in columns[self.latitude.name] if value is not None]
            longitudes = [value for value in columns[self.longitude.name] if value is not None]
            if latitudes and longitudes:
                corners = (min(latitudes), min(longitudes)), (max(latitudes), max(longitudes))
                if not all(self.box.contains(*corner) for corner in corners):
                    return None
        if self.ruled and not are_all_plausible(self.ruled, columns, tick):
            return None
        in_order = [columns[name] for name in self.names]
        return [dict(zip(self.names, values, strict=True)) for values in zip(*in_order, strict=True)]

    def read_row(self, record: Any, tick: datetime) -> tuple[dict[str, Any], list[FaultError]]:
        """Return the record as a row, and the faults of its values. Raises FaultError if it cannot become a row."""
        if type(record) is not dict:
            raise FaultError("not_an_object", "", describe_value(record), "an object")
        faults: list[FaultError] = []
        row: dict[str, Any] = dict.fromkeys(self.names)
        row["collected_at"] = tick
        for group in self.groups:
            try:
                parent = _find_parent(record, group)
            except FaultError as fault:
                _set_scope(fault, group.on_mismatch)
                if all(fault.field != each.field for each in faults):
                    faults.append(fault)
                continue
            for field in group.fields:
                native = _convert_value(field, _get_item(parent, field.key), faults)
                [row[field.column.name]] = field.resolve_repeated_hours([native], tick)
        for each in self.repeated:
            if row[each] is None:
                row[each] = []
        if self.key is not None and row[self.key] in {None, ""}:
            raise FaultError(
                "missing_key", self.key, describe_value(row[self.key]), "a value, because it is the key"
            )
        if self.box is not None:
            self._check_coordinates(self.box, row, faults)
        for column in self.ruled:
            expected = describe_violation(column.rule, row[column.name], tick) if column.rule else None
            if expected:
                found = _format_native(row[column.name])
                faults.append(FaultError(IMPLAUSIBLE, column.name, found, expected, "value", found))
        return row, faults

    def _check_coordinates(self, box: Box, row: dict[str, Any], faults: list[FaultError]) -> None:
        """Exchange swapped coordinates, and remove invalid ones."""
        if self.latitude is None or self.longitude is None:
            return
        latitude, longitude = row[self.latitude.name], row[self.longitude.name]
        if latitude is None or longitude is None or box.contains(latitude, longitude):
            return
        fault = self._find_coordinates_fault(box, latitude, longitude)
        if fault is None:
            return
        if fault.reason == IMPLAUSIBLE:
            fault.scope = "value"
            faults.append(fault)
            return
        _set_scope(fault, _find_strictest((self.latitude, self.longitude)))
        is_swapped = fault.reason == "swapped_coordinates" and self.latitude.type == self.longitude.type
        row[self.latitude.name] = longitude if is_swapped else None
        row[self.longitude.name] = latitude if is_swapped else None
        faults.append(fault)

    def _find_coordinates_fault(self, box: Box, latitude: float, longitude: float) -> FaultError | None:
        """Return what is wrong with a point outside `box`; None if it may be a new station."""
        if self.latitude is None or self.longitude is None:
            return None
        extent = f"latitude {box.south:g} to {box.north:g}, longitude {box.west:g} to {box.east:g}"
        if box.contains(longitude, latitude):
            reason, expected = "swapped_coordinates", extent
        elif box.is_declared:
            reason, expected = "out_of_range", extent
        elif abs(latitude) > 90 or abs(longitude) > 180:
            reason, expected = "out_of_range", "latitude -90 to 90, longitude -180 to 180"
        elif latitude == longitude == 0:
            reason, expected = "out_of_range", "the coordinates of a station; 0, 0 means none"
        elif not box.expand(FAR_DEGREES).contains(latitude, longitude):
            reason, expected = IMPLAUSIBLE, f"a point within {FAR_DEGREES:g} degrees of {extent}"
        else:
            return None
        found = f"{self.latitude.name} {latitude}, {self.longitude.name} {longitude}"
        return FaultError(reason, self.latitude.name, found, expected, value=[latitude, longitude])


@lru_cache(maxsize=32)
def make_row_reader(feed: Feed) -> RowReader:
    """Return the row reader of a feed."""
    groups: dict[tuple[FieldPath, type], list[_ColumnReader]] = {}
    for column in feed.columns:
        *path, key = column.path
        field = _ColumnReader(column, key, make_converter(column), make_column_converter(column))
        groups.setdefault((tuple(path), type(key)), []).append(field)
    has_coordinates = feed.common.latitude is not None and feed.common.longitude is not None
    return RowReader(
        groups=tuple(
            _ColumnGroup(path, tuple(fields), _find_strictest(field.column for field in fields))
            for (path, _), fields in groups.items()
        ),
        names=tuple(column.name for column in (COLLECTED_AT, *feed.columns)),
        repeated=tuple(column.name for column in feed.columns if column.mode == "REPEATED"),
        ruled=tuple(column for column in feed.columns if column.rule is not None),
        key=feed.key,
        latitude=feed.column(feed.common.latitude) if feed.common.latitude else None,
        longitude=feed.column(feed.common.longitude) if feed.common.longitude else None,
        box=feed.box if has_coordinates else None,
    )


def _find_strictest(columns: Iterable[Column]) -> str:
    return max((column.on_mismatch for column in columns), key=ON_MISMATCH.index)


def _set_scope(fault: FaultError, on_mismatch: str) -> None:
    """Set the scope of a fault; raise it if its scope is more than the value."""
    fault.scope = _SCOPES[on_mismatch]
    if fault.scope != "value":
        raise fault


def _find_parents(records: list[Any], path: FieldPath) -> list[Any]:
    parents = records
    for step in path:
        parents = _get_items(parents, set(map(type, parents)), step)
    return parents


def _get_items(parents: list[Any], kinds: set[type], key: Step) -> list[Any]:
    """Return the item of each parent, None if it has none. Raises ConversionError for a parent of another type."""
    if isinstance(key, Where) and kinds == {list}:
        return [key.item(parent) for parent in parents]
    if type(key) is str and kinds == {dict}:
        return [parent.get(key) for parent in parents]
    if type(key) is int and kinds == {list}:
        return [parent[key] if key < len(parent) else None for parent in parents]
    raise ConversionError(parents, "objects" if type(key) is str else "arrays")


def _find_parent(record: Any, group: _ColumnGroup) -> Any:
    """Return the object or array with the columns' values, None if it is null or missing. Raises FaultError."""
    parent = record
    steps = (*group.path, group.fields[0].key)
    for depth, step in enumerate(steps):
        kind = dict if type(step) is str else list
        if type(parent) in {dict, list} and not parent and type(parent) is not kind:
            return None  # PHP writes empty objects and empty arrays alike
        if parent is not None and type(parent) is not kind:
            expected = "an array" if kind is list else "an object"
            found = describe_value(parent)
            raise FaultError("bad_value", format_path(group.path[:depth]), found, expected, value=parent)
        if depth < len(group.path):
            parent = _get_item(parent, step)
    return parent


def _get_item(parent: Any, key: Step) -> Any:
    """Return the item of an object or array, None if it has none."""
    if parent is None:
        return None
    if isinstance(key, Where):
        return key.item(parent)
    if type(key) is int:
        return parent[key] if key < len(parent) else None
    return parent.get(key)


def _convert_value(field: _ColumnReader, value: Any, faults: list[FaultError]) -> Any:
    if value is None:
        return None
    try:
        return field.convert(value)
    except ConversionError as error:
        if field.column.on_mismatch != "value":
            _set_scope(_make_value_fault(field, error), field.column.on_mismatch)
    native, errors = convert_partially(field.column, value)
    for each in errors.first:
        fault = _make_value_fault(field, each)
        _set_scope(fault, "value")
        faults.append(fault)
    if errors.more:
        found, expected = f"{errors.more} more of its values", errors.first[-1].expected
        faults.append(FaultError("bad_value", field.column.name, found, expected, "value", None, errors.more))
    return native


def _make_value_fault(field: _ColumnReader, error: ConversionError) -> FaultError:
    found, location = describe_value(error.value), field.column.name + error.path
    return FaultError("bad_value", location, found, error.expected, value=error.value)


def _format_native(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else f"{value}"
