"""A feed compiled for many records: each one becomes a row, and a fault for whatever does not fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from feed.conversion import Converter, MisfitError, WholeConverter, converter, describe, settled, whole_column
from feed.model import COLLECTED_AT, ON_MISMATCH, Box, Column, Feed
from feed.outcome import IMPLAUSIBLE, FaultError
from feed.paths import FieldPath, Step, Where, path_text
from feed.plausibility import all_plausible, broken_rule
from feed.salvage import salvage

# Beyond the sample's stations: no city is as large, so that another city's stations are meant.
FAR_DEGREES = 2.0
_CLOCK_SKEW = timedelta(minutes=5)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
# A value's fault costs this, by what the column says.
_SCOPES = dict(zip(ON_MISMATCH, ("value", "record", "response"), strict=True))


@dataclass(frozen=True)
class _Field:
    """A column, compiled."""

    column: Column
    key: Step  # in the object or array that holds its value
    convert: Converter
    convert_all: WholeConverter

    def settled(self, values: list[Any], tick: datetime) -> list[Any]:
        """Native values with a meaning that the tick decides: of a local time that happened twice."""
        zone = self.column.zone
        if zone is None or self.column.mode == "REPEATED":
            return values
        latest = tick + min(_CLOCK_SKEW, _END_OF_TIME - tick)
        return [settled(value, zone, latest) for value in values]


@dataclass(frozen=True)
class _Place:
    """An object or array of the record, and the columns that are taken from it."""

    path: FieldPath
    fields: tuple[_Field, ...]
    on_mismatch: str  # the strictest of its columns': where it is no object (or array), all of them are lost


@dataclass(frozen=True)
class Reader:
    """What reads one feed's records."""

    places: tuple[_Place, ...]
    names: tuple[str, ...]  # of a row
    repeated: tuple[str, ...]
    ruled: tuple[Column, ...]  # those that have a rule
    key: str | None
    latitude: Column | None
    longitude: Column | None
    box: Box | None

    def all_rows(self, records: list[Any], tick: datetime) -> list[dict[str, Any]] | None:
        """Every record as a row, column by column, or None where one may be at fault: then ask `row`."""
        columns: dict[str, Sequence[Any]] = {"collected_at": [tick] * len(records)}
        try:
            for place in self.places:
                holders = _holders(records, place.path)
                kinds = set(map(type, holders))
                for field in place.fields:
                    values = field.convert_all(_items(holders, kinds, field.key))
                    columns[field.column.name] = field.settled(values, tick)
        except MisfitError:
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
                if not all(self.box.holds(*corner) for corner in corners):
                    return None
        if self.ruled and not all_plausible(self.ruled, columns, tick):
            return None
        in_order = [columns[name] for name in self.names]
        return [dict(zip(self.names, values, strict=True)) for values in zip(*in_order, strict=True)]

    def row(self, record: Any, tick: datetime) -> tuple[dict[str, Any], list[FaultError]]:
        """The record as a row, and the faults of its values; FaultError where it cannot be one."""
        if type(record) is not dict:
            raise FaultError("not_an_object", "", describe(record), "an object")
        faults: list[FaultError] = []
        row: dict[str, Any] = dict.fromkeys(self.names)
        row["collected_at"] = tick
        for place in self.places:
            try:
                holder = _holder(record, place)
            except FaultError as fault:
                _cost(fault, place.on_mismatch)
                if all(fault.field != each.field for each in faults):
                    faults.append(fault)
                continue
            for field in place.fields:
                native = _converted(field, _item(holder, field.key), faults)
                [row[field.column.name]] = field.settled([native], tick)
        for each in self.repeated:
            if row[each] is None:
                row[each] = []
        if self.key is not None and row[self.key] in {None, ""}:
            raise FaultError("missing_key", self.key, describe(row[self.key]), "a value: it is the key")
        if self.box is not None:
            self._place_within(self.box, row, faults)
        for column in self.ruled:
            expected = broken_rule(column.rule, row[column.name], tick) if column.rule else None
            if expected:
                found = _native_text(row[column.name])
                faults.append(FaultError(IMPLAUSIBLE, column.name, found, expected, "value", found))
        return row, faults

    def _place_within(self, box: Box, row: dict[str, Any], faults: list[FaultError]) -> None:
        """Exchange swapped coordinates, and take away those that are no place of the feed's stations."""
        if self.latitude is None or self.longitude is None:
            return
        latitude, longitude = row[self.latitude.name], row[self.longitude.name]
        if latitude is None or longitude is None or box.holds(latitude, longitude):
            return
        fault = self._misplaced(box, latitude, longitude)
        if fault is None:
            return
        if fault.reason == IMPLAUSIBLE:
            fault.scope = "value"
            faults.append(fault)
            return
        _cost(fault, _strictest((self.latitude, self.longitude)))
        is_swapped = fault.reason == "swapped_coordinates" and self.latitude.type == self.longitude.type
        row[self.latitude.name] = longitude if is_swapped else None
        row[self.longitude.name] = latitude if is_swapped else None
        faults.append(fault)

    def _misplaced(self, box: Box, latitude: float, longitude: float) -> FaultError | None:
        """What is wrong with a point outside `box`, if it cannot be a new station beyond the sample's."""
        if self.latitude is None or self.longitude is None:
            return None
        extent = f"latitude {box.south:g} to {box.north:g}, longitude {box.west:g} to {box.east:g}"
        if box.holds(longitude, latitude):
            reason, expected = "swapped_coordinates", extent
        elif box.declared:
            reason, expected = "out_of_range", extent
        elif abs(latitude) > 90 or abs(longitude) > 180:
            reason, expected = "out_of_range", "latitude -90 to 90, longitude -180 to 180"
        elif latitude == longitude == 0:
            reason, expected = "out_of_range", "the place of a station; 0, 0 stands for none"
        elif not box.widened(FAR_DEGREES).holds(latitude, longitude):
            reason, expected = IMPLAUSIBLE, f"a place within {FAR_DEGREES:g} degrees of {extent}"
        else:
            return None
        found = f"{self.latitude.name} {latitude}, {self.longitude.name} {longitude}"
        return FaultError(reason, self.latitude.name, found, expected, value=[latitude, longitude])


@lru_cache(maxsize=32)
def reader_of(feed: Feed) -> Reader:
    """The reader of a feed's records."""
    places: dict[tuple[FieldPath, type], list[_Field]] = {}
    for column in feed.columns:
        *path, key = column.path
        field = _Field(column, key, converter(column), whole_column(column))
        places.setdefault((tuple(path), type(key)), []).append(field)
    located = feed.common.latitude is not None and feed.common.longitude is not None
    return Reader(
        places=tuple(
            _Place(path, tuple(fields), _strictest(field.column for field in fields))
            for (path, _), fields in places.items()
        ),
        names=tuple(column.name for column in (COLLECTED_AT, *feed.columns)),
        repeated=tuple(column.name for column in feed.columns if column.mode == "REPEATED"),
        ruled=tuple(column for column in feed.columns if column.rule is not None),
        key=feed.key,
        latitude=feed.column(feed.common.latitude) if feed.common.latitude else None,
        longitude=feed.column(feed.common.longitude) if feed.common.longitude else None,
        box=feed.box if located else None,
    )


def _strictest(columns: Iterable[Column]) -> str:
    return max((column.on_mismatch for column in columns), key=ON_MISMATCH.index)


def _cost(fault: FaultError, on_mismatch: str) -> None:
    """Give the fault its scope; raise it where it costs more than its value."""
    fault.scope = _SCOPES[on_mismatch]
    if fault.scope != "value":
        raise fault


def _holders(records: list[Any], path: FieldPath) -> list[Any]:
    holders = records
    for step in path:
        holders = _items(holders, set(map(type, holders)), step)
    return holders


def _items(holders: list[Any], kinds: set[type], key: Step) -> list[Any]:
    """The item of each holder, None where it has none; MisfitError where one is not what `key` needs."""
    if isinstance(key, Where) and kinds == {list}:
        return [key.item(holder) for holder in holders]
    if type(key) is str and kinds == {dict}:
        return [holder.get(key) for holder in holders]
    if type(key) is int and kinds == {list}:
        return [holder[key] if key < len(holder) else None for holder in holders]
    raise MisfitError(holders, "objects" if type(key) is str else "arrays")


def _holder(record: Any, place: _Place) -> Any:
    """What holds the values of a place's columns, None where it is null or absent; FaultError."""
    holder = record
    steps = (*place.path, place.fields[0].key)
    for depth, step in enumerate(steps):
        kind = dict if type(step) is str else list
        if type(holder) in {dict, list} and not holder and type(holder) is not kind:
            return None  # PHP writes an empty object and an empty array alike
        if holder is not None and type(holder) is not kind:
            expected = "an array" if kind is list else "an object"
            found = describe(holder)
            raise FaultError("bad_value", path_text(place.path[:depth]), found, expected, value=holder)
        if depth < len(place.path):
            holder = _item(holder, step)
    return holder


def _item(holder: Any, key: Step) -> Any:
    """The item of an object or array, None where it has none."""
    if holder is None:
        return None
    if isinstance(key, Where):
        return key.item(holder)
    if type(key) is int:
        return holder[key] if key < len(holder) else None
    return holder.get(key)


def _converted(field: _Field, value: Any, faults: list[FaultError]) -> Any:
    if value is None:
        return None
    try:
        return field.convert(value)
    except MisfitError as misfit:
        if field.column.on_mismatch != "value":
            _cost(_misfit(field, misfit), field.column.on_mismatch)
    native, misfits = salvage(field.column, value)
    for each in misfits.first:
        fault = _misfit(field, each)
        _cost(fault, "value")
        faults.append(fault)
    if misfits.more:
        found, expected = f"{misfits.more} more values of it", misfits.first[-1].expected
        faults.append(
            FaultError("bad_value", field.column.name, found, expected, "value", None, misfits.more)
        )
    return native


def _misfit(field: _Field, misfit: MisfitError) -> FaultError:
    found, where = describe(misfit.value), field.column.name + misfit.path
    return FaultError("bad_value", where, found, misfit.expected, value=misfit.value)


def _native_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else f"{value}"
