"""A feed's folder: source.toml and sample.json, read and checked whole before anything is made from them."""

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from feed.conversion import describe
from feed.detection import detect
from feed.errors import FeedError
from feed.inference import SAMPLE, Layout, Override, column_name, infer_columns
from feed.model import EPOCH_UNITS, SCALAR_TYPES, Box, Column, Common, Condition, Feed, Legacy
from feed.naming import FEED_NAME
from feed.parsing import parse
from feed.paths import FieldPath, parse_path, path_text, values_at

SOURCE = "source.toml"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
# How far beyond the sample's own stations another may lie, in degrees, when no [bounds] are declared.
_MARGIN = 0.5
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)

_COMMON_TYPES = {
    "station_id": ("STRING", "INTEGER"),
    "name": ("STRING",),
    "latitude": ("FLOAT", "INTEGER"),
    "longitude": ("FLOAT", "INTEGER"),
    "num_bikes_available": ("INTEGER",),
    "num_docks_available": ("INTEGER",),
    "is_operational": ("BOOLEAN",),
    "last_reported": ("TIMESTAMP",),
}


def load_feeds(folder: Path | Traversable) -> dict[str, Feed]:
    """Every feed below `folder`, by name in order; FeedError for the first folder that is unusable."""
    names = sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name[0] not in "._")
    return {name: load_feed(folder.joinpath(name)) for name in names}


def load_feed(folder: Path | Traversable) -> Feed:
    """The feed of one folder (on disk or in a zip); FeedError says what is wrong with it."""
    name = folder.name
    if not FEED_NAME.fullmatch(name):
        raise FeedError(
            name,
            "",
            "the folder's name",
            repr(name),
            "small letters, digits and _, at most 63 (it names the table)",
        )
    source = _Source(name, SOURCE, _read_toml(name, folder))
    sample = _read(name, folder, SAMPLE)
    feed, layout, records = _feed(source, sample)
    _refuse_unknown_references(source, feed, layout, records)
    _refuse_unfit_sample(feed)
    return feed


def _read(name: str, folder: Path | Traversable, file: str) -> bytes:
    try:
        return folder.joinpath(file).read_bytes()
    except (OSError, KeyError):  # a zip raises KeyError
        raise FeedError(name, file, "", "no such file", "a folder with source.toml and sample.json") from None


def _read_toml(name: str, folder: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(name, folder, SOURCE).decode())
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise FeedError(name, SOURCE, "", str(error), "TOML in UTF-8") from None


# --- one table of source.toml ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """A TOML table whose keys are asked for by kind; `prefix` is its own name, for messages."""

    feed: str
    file: str
    table: Mapping[str, Any]
    prefix: str = ""

    def refuse(self, key: str, found: str, expected: str, hint: str = "") -> NoReturn:
        raise FeedError(self.feed, self.file, f"key {self.prefix}{key}", found, expected, hint)

    def only(self, *accepted: str) -> None:
        for key in self.table:
            if key not in accepted:
                self.refuse(key, "an unknown key", "one of " + ", ".join(accepted), suggestion(key, accepted))

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            self.refuse(key, describe(value), "a text")
        return value

    def texts(self, key: str) -> list[str]:
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.refuse(key, describe(value), "a list of texts")
        return value

    def section(self, key: str) -> "_Source":
        value = self._get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, describe(value), f"a table [{self.prefix}{key}]")
        return _Source(self.feed, self.file, value, f"{self.prefix}{key}.")

    def choice(self, key: str, accepted: Iterable[str], default: str | None = None) -> str:
        value, choices = self.text(key, default), list(accepted)
        if value not in choices:
            self.refuse(key, repr(value), "one of " + ", ".join(choices), suggestion(value, choices))
        return value

    def range(self, key: str, limit: float) -> tuple[float, float]:
        value = self._get(key)
        numbers = isinstance(value, list) and all(type(each) in {int, float} for each in value)
        if not numbers or len(value) != 2 or not -limit <= value[0] < value[1] <= limit:
            self.refuse(key, repr(value), f"[lowest, highest] within -{limit:g} and {limit:g}")
        return float(value[0]), float(value[1])

    def path(self, key: str) -> FieldPath:
        return self.as_path(key, self.text(key))

    def paths(self, key: str) -> tuple[FieldPath, ...]:
        return tuple(self.as_path(key, each) for each in self.texts(key))

    def as_path(self, key: str, text: str) -> FieldPath:
        try:
            return parse_path(text)
        except ValueError as error:
            self.refuse(key, repr(text), "a path such as data.stations", str(error))

    def zone(self, key: str, default: str | None = None) -> str | None:
        if key not in self.table:
            return default
        name = self.text(key)
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            self.refuse(key, repr(name), "an IANA time zone such as Europe/Paris")
        return name

    def _get(self, key: str, default: Any = None) -> Any:
        if key not in self.table and default is None:
            self.refuse(key, "no such key", "this key: it is needed", suggestion(key, self.table))
        return self.table.get(key, default)


def suggestion(word: str, accepted: Iterable[str]) -> str:
    """`did you mean 'records'?`, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, list(accepted), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


# --- the whole of source.toml ---------------------------------------------------------------------


def _feed(source: _Source, sample: bytes) -> tuple[Feed, Layout, list[dict[str, Any]]]:
    source.only(
        *("title", "url", "licence", "description", "records", "lift", "ignore", "timezone", "key", "order"),
        *("rename", "types", "columns", "common", "bounds", "legacy", "descriptions"),
    )
    layout = Layout(
        feed=source.feed,
        lift=source.paths("lift"),
        ignore=source.paths("ignore"),
        renames=_renames(source.section("rename")),
        overrides=_overrides(source.section("types")),
        descriptions=_descriptions(source.section("descriptions")),
        places=_places(source.section("columns")),
        zone=source.zone("timezone"),
    )
    records_path = source.path("records")
    records = _sample_records(source.feed, sample, records_path)
    columns = _ordered(source, infer_columns(records, layout))
    by_name = {column.name: column for column in columns}
    feed = Feed(
        name=source.feed,
        title=source.text("title", source.feed),
        url=_url(source),
        licence=source.text("licence", ""),
        description=source.text("description", "").strip(),
        records=records_path,
        columns=tuple(columns),
        lift=layout.lift,
        ignore=layout.ignore,
        key=_key(source, by_name),
        common=_common(source.section("common"), by_name),
        legacy=_legacy(source, by_name),
        sample=sample,
    )
    return replace(feed, box=_box(source, feed)), layout, records


def is_private_address(url: str) -> bool:
    """Whether a request to `url` can be read by nobody on its way: https, or http that stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


def _url(source: _Source) -> str:
    url = source.text("url")
    if not is_private_address(url) or any(c.isspace() for c in url):
        source.refuse("url", repr(url), f"an https URL (http only to {', '.join(LOOPBACK)})")
    return url


def _new_name(section: _Source, key: str, name: str) -> str:
    if name != column_name(name):
        hint = f"such as {column_name(name)!r}" if column_name(name) else ""
        section.refuse(key, repr(name), "a BigQuery column name: letters of ASCII, digits and _", hint)
    return name


def _renames(section: _Source) -> dict[FieldPath, str]:
    return {section.as_path(key, key): _new_name(section, key, section.text(key)) for key in section.table}


def _places(section: _Source) -> dict[str, FieldPath]:
    places = {_new_name(section, key, key): section.path(key) for key in section.table}
    for name, path in places.items():
        if not path:
            section.refuse(name, "''", "a path in a record, such as geometry.coordinates[0]")
    return places


def _descriptions(section: _Source) -> dict[str, str]:
    texts = {key: section.text(key) for key in section.table}
    for key, text in texts.items():
        if len(text) > 1024:
            section.refuse(key, f"{len(text)} characters", "at most BigQuery's 1024")
    return texts


def _overrides(section: _Source) -> dict[str, Override]:
    return {key: _override(section, key) for key in section.table}


def _override(section: _Source, key: str) -> Override:
    if not isinstance(section.table[key], dict):
        return Override(section.choice(key, SCALAR_TYPES))
    table = section.section(key)
    table.only("type", "unit", "zone")
    override = Override(
        type=table.choice("type", SCALAR_TYPES, "TIMESTAMP"),
        unit=table.choice("unit", EPOCH_UNITS) if "unit" in table.table else None,
        zone=table.zone("zone"),
    )
    if override.type != "TIMESTAMP" and (override.unit or override.zone):
        table.refuse("type", override.type, "TIMESTAMP: only it has a unit or a zone")
    if override.unit and override.zone:
        table.refuse("zone", repr(override.zone), "a unit or a zone: seconds since 1970 have no zone")
    return override


def _sample_records(feed: str, sample: bytes, path: FieldPath) -> list[dict[str, Any]]:
    try:
        answer = json.loads(sample)
    except (ValueError, RecursionError) as error:
        raise FeedError(
            feed, SAMPLE, "", str(error), "JSON: one answer of the API, cut to a few records"
        ) from None
    found = list(values_at(answer, path))
    if not found or not isinstance(found[0], list):
        keys = list(answer) if isinstance(answer, dict) else []
        raise FeedError(
            feed,
            SOURCE,
            "key records",
            f"{path_text(path)!r}, where {SAMPLE} has {describe(found[0]) if found else 'nothing'}",
            f"the path of the array of records ({SAMPLE} is {describe(answer)})",
            suggestion(path_text(path), keys),
        )
    records = found[0]
    if not records:
        raise FeedError(feed, SAMPLE, path_text(path), "an empty array", "at least one record")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise FeedError(feed, SAMPLE, f"{path_text(path)}[{index}]", describe(record), "an object")
    return records


def _ordered(source: _Source, columns: list[Column]) -> list[Column]:
    order = source.texts("order")
    by_name = {column.name: column for column in columns}
    for name in order:
        if name not in by_name:
            source.refuse("order", repr(name), "columns of " + ", ".join(by_name), suggestion(name, by_name))
    if len(set(order)) < len(order):
        source.refuse("order", "a column named twice", "each at most once")
    return [by_name[name] for name in order] + [column for column in columns if column.name not in order]


def _key(source: _Source, columns: Mapping[str, Column]) -> str | None:
    if "key" not in source.table:
        return None
    return _mapped(source, "key", source.text("key"), columns, [t for t in SCALAR_TYPES if t != "FLOAT"])


def _mapped(
    source: _Source, key: str, name: str, columns: Mapping[str, Column], types: Iterable[str] = SCALAR_TYPES
) -> str:
    """`name`, if it is a column with one value of one of the types."""
    if name not in columns:
        source.refuse(key, repr(name), "a column: " + ", ".join(columns), suggestion(name, columns))
    column = columns[name]
    if column.type not in types or column.mode == "REPEATED":
        source.refuse(
            key,
            f"column {name!r}, {column.mode} {column.type}",
            "a column with one " + " or ".join(types),
            f"its type can be set under [types]: {name} = …",
        )
    return name


def _common(section: _Source, columns: Mapping[str, Column]) -> Common:
    names = [field.name for field in fields(Common)]
    section.only(*names)
    mapped: dict[str, Any] = {
        name: _condition(section.section(name), columns)
        if name == "is_operational" and isinstance(value, dict)
        else _mapped(section, name, section.text(name), columns, _COMMON_TYPES[name])
        for name, value in section.table.items()
    }
    if mapped and "station_id" not in mapped:
        section.refuse("station_id", "no such key", "this key: [common] needs it")
    if ("latitude" in mapped) != ("longitude" in mapped):
        section.refuse("latitude", "only one of latitude and longitude", "both or none")
    return Common(**mapped)


def _condition(section: _Source, columns: Mapping[str, Column]) -> Condition:
    section.only("column", "equals")
    column = _mapped(section, "column", section.text("column"), columns, ("STRING", "INTEGER", "BOOLEAN"))
    equals = section.table.get("equals", [])
    values = equals if isinstance(equals, list) else [equals]
    kind = columns[column].type
    if not values or any(
        (detect(value) if kind != "STRING" else _text_type(value)) != kind for value in values
    ):
        section.refuse("equals", repr(equals), f"{kind} as column {column!r} is, or a list of such values")
    return Condition(column, tuple(values))


def _text_type(value: Any) -> str | None:
    return "STRING" if isinstance(value, str) else None


def _box(source: _Source, feed: Feed) -> Box | None:
    latitude, longitude = feed.common.latitude, feed.common.longitude
    if "bounds" in source.table:
        bounds = source.section("bounds")
        bounds.only("latitude", "longitude")
        if latitude is None or longitude is None:
            source.refuse("bounds", "bounds for no column", "latitude and longitude under [common]")
        return Box(*bounds.range("latitude", 90), *bounds.range("longitude", 180))
    if latitude is None or longitude is None:
        return None
    points = [(row[latitude], row[longitude]) for row in parse(feed, feed.sample, _ANY_TIME).rows]
    points = [point for point in points if None not in point]
    if not points:
        return None
    latitudes, longitudes = [p[0] for p in points], [p[1] for p in points]
    return Box(
        *(min(latitudes) - _MARGIN, max(latitudes) + _MARGIN),
        *(min(longitudes) - _MARGIN, max(longitudes) + _MARGIN),
        declared=False,
    )


def _legacy(source: _Source, columns: Mapping[str, Column]) -> Legacy | None:
    if "legacy" not in source.table:
        return None
    legacy = source.section("legacy")
    legacy.only("pattern", "timezone", "times")
    pattern = legacy.text("pattern")
    moment = datetime(2023, 10, 26, 22, 51, 7)  # noqa: DTZ001 - a local time, as the pattern's are
    try:
        complete = datetime.strptime(moment.strftime(pattern), pattern) == moment  # noqa: DTZ007
    except ValueError:
        complete = False
    if not complete:
        legacy.refuse("pattern", repr(pattern), "a strftime pattern with %Y, %m, %d, %H, %M and %S")
    times = [_mapped(legacy, "times", name, columns, ("TIMESTAMP",)) for name in legacy.texts("times")]
    legacy.text("timezone")
    return Legacy(pattern, ZoneInfo(legacy.zone("timezone") or ""), tuple(times))


# --- source.toml against the sample ---------------------------------------------------------------


def _refuse_unknown_references(
    source: _Source, feed: Feed, layout: Layout, records: list[dict[str, Any]]
) -> None:
    """What source.toml says of a column or a field must be of one that there is."""
    names = list(_dotted_names(feed.columns, ""))
    for key, mapping in (("types", layout.overrides), ("descriptions", layout.descriptions)):
        for name in mapping:
            if name not in names:
                source.refuse(
                    f"{key}.{name}", "no such column", "one of " + ", ".join(names), suggestion(name, names)
                )
    places = {path_text(path): path for path in _field_paths(records, ())}
    for key, paths in (("lift", layout.lift), ("rename", tuple(layout.renames))):
        for path in paths:
            if path_text(path) not in places:
                source.refuse(
                    key,
                    repr(path_text(path)),
                    f"a field of {SAMPLE}'s records",
                    suggestion(path_text(path), places),
                )
    for path in layout.lift:
        if path[:-1] and path[:-1] not in layout.lift:
            source.refuse(
                "lift", repr(path_text(path)), f"{path_text(path[:-1])!r} lifted too, for it to be reached"
            )


def _dotted_names(columns: Iterable[Column], prefix: str) -> Iterator[str]:
    for column in columns:
        yield prefix + column.name
        yield from _dotted_names(column.fields, f"{prefix}{column.name}.")


def _field_paths(value: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, list):
        for item in value:
            yield from _field_paths(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _field_paths(item, (*path, key))


def _refuse_unfit_sample(feed: Feed) -> None:
    for rejection in parse(feed, feed.sample, _ANY_TIME).rejections:
        raise FeedError(
            feed.name,
            SAMPLE,
            f"record {rejection.index}, {rejection.field}",
            rejection.found,
            rejection.expected,
            "the sample itself must be usable: mend it or source.toml",
        )
