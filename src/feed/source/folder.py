"""A feed's folder: source.toml and sample.json, read and checked whole before anything is made from them."""

import tomllib
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feed.errors import FeedError
from feed.model import EPOCH_UNITS, ROOT, SCALAR_TYPES, Column, Common, Feed
from feed.naming import FEED_NAME, RESERVED_NAMES
from feed.parsing.encoding import convert_to_utf8, find_encoding
from feed.parsing.join import Join, join_records, make_relative_reference, split_response
from feed.parsing.json_decoding import decode_utf8
from feed.parsing.paging import Paging
from feed.parsing.response import add_response_fields
from feed.parsing.response_format import (
    FORMATS,
    JSON_ARRAY,
    MAX_RECORDS,
    ResponseFormat,
    ResponseFormatError,
    infer_csv_types,
)
from feed.paths import FieldPath, find_values, format_path
from feed.request.parameters import FORBIDDEN_HEADERS, HEADER_NAME, SECRET_NAME, Parameter
from feed.source.column_roles import read_bounding_box, read_common_columns, read_key, read_legacy_names
from feed.source.column_rules import apply_column_rules
from feed.source.inference import SAMPLE, ColumnOptions, TypeOverride, infer_columns, make_column_name
from feed.source.references import check_references, check_sample
from feed.source.toml_table import Table, suggest
from feed.values.conversion import describe_value

SOURCE = "source.toml"
# The keys of source.toml; docs/schemas/source.json is generated from them.
SOURCE_KEYS = (
    *("title", "url", "licence", "description", "records", "lift", "ignore", "timezone", "key", "order"),
    *("rename", "types", "columns", "common", "bounds", "legacy", "descriptions", "on_mismatch", "rules"),
    *("encoding", "stale_minutes", "frozen_minutes", "empty", "format", "delimiter", "keyed", "columnar"),
    *("header", "nulls", "total", "paging", "join", "query", "headers"),
)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
            "lower-case letters, digits and _, at most 63 (it names the table)",
        )
    if name in RESERVED_NAMES:
        raise FeedError(
            name, "", "the folder's name", repr(name), "a name that no table or view of the stack has"
        )
    source = Table(name, SOURCE, _read_toml(name, folder))
    kind = source.choice("format", FORMATS, "json")
    sample = _read_file(name, folder, f"sample.{kind}")
    feed, layout, records = _build_feed(source, sample)
    check_references(source, feed, layout, records)
    check_sample(feed)
    return feed


def _read_file(name: str, folder: Path | Traversable, file: str) -> bytes:
    try:
        return folder.joinpath(file).read_bytes()
    except (OSError, KeyError):  # a zip raises KeyError
        raise FeedError(
            name, file, "", "no such file", f"a folder with {SOURCE} and {SAMPLE if file == SOURCE else file}"
        ) from None


def _read_toml(name: str, folder: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_file(name, folder, SOURCE).decode())
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise FeedError(name, SOURCE, "", str(error), "TOML in UTF-8") from None


def _build_feed(source: Table, sample: bytes) -> tuple[Feed, ColumnOptions, list[dict[str, Any]]]:
    source.only(*SOURCE_KEYS)
    layout = ColumnOptions(
        feed=source.feed,
        lift=source.paths("lift"),
        ignore=source.paths("ignore"),
        renames=_read_renames(source.section("rename")),
        overrides=_read_overrides(source.section("types")),
        descriptions=_read_descriptions(source.section("descriptions")),
        places=_read_column_paths(source.section("columns")),
        zone=source.zone("timezone"),
    )
    response_format = _read_response_format(source)
    records_path = source.path("records") if response_format.syntax == "json" else ()
    join = _read_join(source, response_format)
    records = _read_sample_records(source, sample, records_path, response_format, join)
    if any(path[0] == ROOT for path in layout.places.values()):
        layout = replace(layout, ignore=(*layout.ignore, (ROOT,)))
        records = add_response_fields(records, _decode_sample(sample, join), records_path)
    columns = _order_columns(source, infer_columns(records, layout))
    by_name = {column.name: column for column in columns}
    key = read_key(source, by_name)
    common = read_common_columns(source.section("common"), by_name)
    feed = Feed(
        name=source.feed,
        title=source.text("title", source.feed),
        url=_read_url(source),
        licence=source.text("licence", ""),
        description=source.text("description", "").strip(),
        records=records_path,
        columns=apply_column_rules(source, by_name, key),
        lift=layout.lift,
        ignore=layout.ignore,
        key=key,
        common=common,
        legacy=read_legacy_names(source, by_name),
        encoding=_read_encoding(source),
        response_format=response_format,
        paging=_read_paging(source),
        join=join,
        query=_read_parameters(source, "query"),
        headers=_read_parameters(source, "headers"),
        total=source.path("total") if "total" in source.table else None,
        stale_minutes=source.number("stale_minutes", 120, 60 * 24 * 366),
        frozen_minutes=source.number("frozen_minutes", _default_frozen_minutes(common), 60 * 24 * 366),
        empty_is_ok=source.choice("empty", ("error", "ok"), "error") == "ok",
        sample=sample,
    )
    return replace(feed, box=read_bounding_box(source, feed)), layout, records


def _default_frozen_minutes(common: Common) -> int:
    """By default two hours of a feed that says how many bikes or docks there are; of any other nothing need move."""
    return 120 if common.num_bikes_available or common.num_docks_available else 0


def is_private_address(url: str) -> bool:
    """Whether a request to `url` can be read by nobody on its way: https, or http that stays on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


def _read_url(source: Table) -> str:
    url = source.text("url")
    if not is_private_address(url) or any(c.isspace() for c in url):
        source.refuse("url", repr(url), f"an https URL (http only to {', '.join(LOOPBACK)})")
    return url


def _read_response_format(source: Table) -> ResponseFormat:
    kind = source.choice("format", FORMATS, "json")
    keys = {"json": ("keyed", "columnar", "header"), "csv": ("delimiter",), "ndjson": ()}
    for other in ("keyed", "columnar", "header", "delimiter"):
        if other in source.table and other not in keys[kind]:
            source.refuse(other, f"a key of another format than {kind}", "no such key")
    columnar = source.table.get("columnar", False)
    if type(columnar) is not bool:
        source.refuse("columnar", describe_value(columnar), "true or false")
    arranged = [key for key in ("keyed", "header") if key in source.table] + ["columnar"] * columnar
    if len(arranged) > 1:
        source.refuse(
            arranged[0], f"{arranged[0]} and {arranged[1]}", "one way in which records are arranged"
        )
    delimiter = source.text("delimiter", ",")
    if len(delimiter) != 1:
        source.refuse("delimiter", repr(delimiter), "one character")
    nulls = source.texts("nulls") if "nulls" in source.table else [""] * (kind == "csv")
    header = source.path("header") if "header" in source.table else None
    return ResponseFormat(kind, delimiter, source.text("keyed", ""), columnar, header, tuple(nulls))


def _read_parameters(source: Table, key: str) -> tuple[Parameter, ...]:
    section = source.section(key)
    for name in section.table:
        is_header = HEADER_NAME.fullmatch(name) and name.lower() not in FORBIDDEN_HEADERS
        if key == "headers" and not is_header:
            section.refuse(name, repr(name), "the name of a header, none that the transport sets itself")
    return tuple(_read_parameter(section, name) for name in section.table)


def _read_parameter(section: Table, name: str) -> Parameter:
    if not isinstance(section.table[name], dict):
        value = section.text(name)
        if not value.isprintable():
            section.refuse(name, describe_value(value), "a text of one line")
        return Parameter(name, value)
    table = section.section(name)
    table.only("secret")
    secret = table.text("secret")
    if not SECRET_NAME.fullmatch(secret):
        table.refuse("secret", "another text", "the name of a secret of Secret Manager, never its value")
    return Parameter(name, secret=secret)


def _read_paging(source: Table) -> Paging | None:
    if "paging" not in source.table:
        return None
    if source.table.get("format", "json") != "json":
        source.refuse("paging", "pages of a feed that is no JSON", "no such key")
    table = source.section("paging")
    table.only("size", "limit", "offset", "page", "next", "max_requests")
    if sum(key in table.table for key in ("offset", "page", "next")) != 1:
        table.refuse("offset", "none or several of offset, page and next", "one way to the next page")
    return Paging(
        size=max(1, table.number("size", 100, 50_000)),
        limit=table.text("limit", ""),
        offset=table.text("offset", ""),
        page=table.text("page", ""),
        next=table.path("next") if "next" in table.table else None,
        max_requests=max(1, table.number("max_requests", 20, 100)),
    )


def _read_join(source: Table, response_format: ResponseFormat) -> Join | None:
    if "join" not in source.table:
        return None
    if "paging" in source.table or response_format != replace(JSON_ARRAY, nulls=response_format.nulls):
        source.refuse("join", "pages, or records that are no array of objects in JSON", "no such key")
    table = source.section("join")
    table.only("url", "records", "on")
    url = table.text("url")
    try:
        reference = make_relative_reference(source.text("url"), url)
    except ValueError:
        host = urlsplit(source.text("url")).hostname
        table.refuse("url", repr(url), f"an address on the host of the feed's url, {host}")
    records = table.path("records") if "records" in table.table else source.path("records")
    return Join(reference, records, table.text("on"))


def _read_encoding(source: Table) -> str:
    name = source.text("encoding", "")
    if name and find_encoding(name) is None:
        source.refuse("encoding", repr(name), "an encoding of text such as ISO-8859-1")
    return name


def _check_column_name(section: Table, key: str, name: str) -> str:
    if name != make_column_name(name):
        hint = f"such as {make_column_name(name)!r}" if make_column_name(name) else ""
        section.refuse(key, repr(name), "a BigQuery column name: letters of ASCII, digits and _", hint)
    return name


def _read_renames(section: Table) -> dict[FieldPath, str]:
    return {
        section.as_path(key, key): _check_column_name(section, key, section.text(key))
        for key in section.table
    }


def _read_column_paths(section: Table) -> dict[str, FieldPath]:
    places = {_check_column_name(section, key, key): section.path(key) for key in section.table}
    for name, path in places.items():
        if not path:
            section.refuse(name, "''", "a path in a record, such as geometry.coordinates[0]")
    return places


def _read_descriptions(section: Table) -> dict[str, str]:
    texts = {key: section.text(key) for key in section.table}
    for key, text in texts.items():
        if len(text) > 1024:
            section.refuse(key, f"{len(text)} characters", "at most BigQuery's 1024")
    return texts


def _read_overrides(section: Table) -> dict[str, TypeOverride]:
    return {key: _read_override(section, key) for key in section.table}


def _read_override(section: Table, key: str) -> TypeOverride:
    if not isinstance(section.table[key], dict):
        return TypeOverride(section.choice(key, SCALAR_TYPES))
    table = section.section(key)
    table.only("type", "unit", "zone", "decimal", "format")
    override = TypeOverride(
        type=table.choice("type", SCALAR_TYPES, "FLOAT" if "decimal" in table.table else "TIMESTAMP"),
        decimal=table.choice("decimal", [","]) if "decimal" in table.table else "",
        format=table.text("format", ""),
        unit=table.choice("unit", EPOCH_UNITS) if "unit" in table.table else None,
        zone=table.zone("zone"),
    )
    if override.type != "TIMESTAMP" and (override.unit or override.zone or override.format):
        table.refuse("type", override.type, "TIMESTAMP: only it has a unit, a zone or a format")
    if override.decimal and override.type != "FLOAT":
        table.refuse("type", override.type, "FLOAT: only it has a decimal comma")
    if override.format and not override.zone and "%z" not in override.format:
        table.refuse("format", repr(override.format), "a format with %z, or a zone beside it")
    if override.unit and override.zone:
        table.refuse("zone", repr(override.zone), "a unit or a zone: seconds since 1970 have no zone")
    return override


def _read_sample_records(
    source: Table, sample: bytes, path: FieldPath, response_format: ResponseFormat, join: Join | None
) -> list[dict[str, Any]]:
    feed, other = source.feed, None
    try:
        is_json = response_format.syntax == "json"
        document = (
            decode_utf8(convert_to_utf8(sample)) if is_json else response_format.parse_text(sample.decode())
        )
    except ValueError as error:
        kind = response_format.syntax.upper()
        raise FeedError(
            feed, SAMPLE, "", str(error), f"{kind}: one answer of the API, cut to a few records"
        ) from None
    if join is not None:
        document, other = split_response(document)
        if not isinstance(other, dict):
            found = "nothing that is joined" if other is None else describe_value(other)
            raise FeedError(feed, SAMPLE, "", found, 'both documents: {"response": …, "joined": …}')
    try:
        records = response_format.extract_records(document, path)
    except ResponseFormatError as error:
        raise _make_no_records_error(feed, document, path, error, response_format) from None
    if response_format.syntax == "csv":
        records = list(infer_csv_types([record for record in records if isinstance(record, dict)]))
    if not records:
        raise FeedError(feed, SAMPLE, format_path(path), "an empty array", "at least one record")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise FeedError(
                feed, SAMPLE, f"{format_path(path)}[{index}]", describe_value(record), "an object"
            )
    if join is None:
        return records
    joined = join_records(join, records, other, MAX_RECORDS)
    if joined.unmatched == len(records):
        expected = f"records at {format_path(join.records)!r} of `joined` with the same {join.on!r}"
        source.section("join").refuse(
            "on", f"{join.on!r}, by which no record of {SAMPLE} finds another", expected
        )
    return joined.records


def _decode_sample(sample: bytes, join: Join | None) -> Any:
    """The document that the records are in; nothing for what is no JSON."""
    try:
        document = decode_utf8(convert_to_utf8(sample))
    except ValueError:
        return None
    return split_response(document)[0] if join else document


def _make_no_records_error(
    feed: str, document: Any, path: FieldPath, error: ResponseFormatError, response_format: ResponseFormat
) -> FeedError:
    found = list(find_values(document, path))
    keys = list(document) if isinstance(document, dict) else []
    hint = suggest(format_path(path), keys)
    expected = f"the path of {error.expected} ({SAMPLE} is {describe_value(document)})"
    if response_format.is_json_array:
        told = describe_value(found[0]) if found else "nothing"
        if found and isinstance(found[0], dict):
            hint = 'for an object of records by key say keyed = "id", for parallel arrays columnar = true'
    else:
        told = "nothing" if not found else error.found
    return FeedError(
        feed, SOURCE, "key records", f"{format_path(path)!r}, where {SAMPLE} has {told}", expected, hint
    )


def _order_columns(source: Table, columns: list[Column]) -> list[Column]:
    order = source.texts("order")
    by_name = {column.name: column for column in columns}
    for name in order:
        if name not in by_name:
            source.refuse("order", repr(name), "columns of " + ", ".join(by_name), suggest(name, by_name))
    if len(set(order)) < len(order):
        source.refuse("order", "a column named twice", "each at most once")
    return [by_name[name] for name in order] + [column for column in columns if column.name not in order]
