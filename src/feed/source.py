"""A feed's folder: source.toml and sample.json, read and checked whole before anything is made from them."""

import tomllib
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feed.arrangement import FORMATS, MAX_RECORDS, PLAIN, Arrangement, ArrangementError, typed_texts
from feed.contract import with_contracts
from feed.conversion import describe
from feed.decoding import decode_utf8
from feed.encoding import as_utf8, known_encoding
from feed.errors import FeedError
from feed.inference import SAMPLE, Layout, Override, column_name, infer_columns
from feed.join import Join, join_records, reference_of, split_response
from feed.meaning import bounding_box, common_columns, key_column, legacy_names
from feed.model import EPOCH_UNITS, ROOT, SCALAR_TYPES, Column, Common, Feed
from feed.naming import FEED_NAME, RESERVED_NAMES
from feed.paging import Paging
from feed.paths import FieldPath, path_text, values_at
from feed.references import refuse_unfit_sample, refuse_unknown_references
from feed.request import FORBIDDEN_HEADERS, HEADER_NAME, SECRET_NAME, Parameter
from feed.response import with_response
from feed.toml_table import Table, suggestion

SOURCE = "source.toml"
# The keys of source.toml; docs/schemas/source.json is generated from them.
KEYS = (
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
            "small letters, digits and _, at most 63 (it names the table)",
        )
    if name in RESERVED_NAMES:
        raise FeedError(
            name, "", "the folder's name", repr(name), "a name that no table or view of the stack has"
        )
    source = Table(name, SOURCE, _read_toml(name, folder))
    kind = source.choice("format", FORMATS, "json")
    sample = _read(name, folder, f"sample.{kind}")
    feed, layout, records = _feed(source, sample)
    refuse_unknown_references(source, feed, layout, records)
    refuse_unfit_sample(feed)
    return feed


def _read(name: str, folder: Path | Traversable, file: str) -> bytes:
    try:
        return folder.joinpath(file).read_bytes()
    except (OSError, KeyError):  # a zip raises KeyError
        raise FeedError(
            name, file, "", "no such file", f"a folder with {SOURCE} and {SAMPLE if file == SOURCE else file}"
        ) from None


def _read_toml(name: str, folder: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(name, folder, SOURCE).decode())
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise FeedError(name, SOURCE, "", str(error), "TOML in UTF-8") from None


def _feed(source: Table, sample: bytes) -> tuple[Feed, Layout, list[dict[str, Any]]]:
    source.only(*KEYS)
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
    arrangement = _arrangement(source)
    records_path = source.path("records") if arrangement.format == "json" else ()
    join = _join(source, arrangement)
    records = _sample_records(source, sample, records_path, arrangement, join)
    if any(path[0] == ROOT for path in layout.places.values()):
        layout = replace(layout, ignore=(*layout.ignore, (ROOT,)))
        records = with_response(records, _sample_document(sample, join), records_path)
    columns = _ordered(source, infer_columns(records, layout))
    by_name = {column.name: column for column in columns}
    key = key_column(source, by_name)
    common = common_columns(source.section("common"), by_name)
    feed = Feed(
        name=source.feed,
        title=source.text("title", source.feed),
        url=_url(source),
        licence=source.text("licence", ""),
        description=source.text("description", "").strip(),
        records=records_path,
        columns=with_contracts(source, by_name, key),
        lift=layout.lift,
        ignore=layout.ignore,
        key=key,
        common=common,
        legacy=legacy_names(source, by_name),
        encoding=_encoding(source),
        arrangement=arrangement,
        paging=_paging(source),
        join=join,
        query=_parameters(source, "query"),
        headers=_parameters(source, "headers"),
        total=source.path("total") if "total" in source.table else None,
        stale_minutes=source.number("stale_minutes", 120, 60 * 24 * 366),
        frozen_minutes=source.number("frozen_minutes", _frozen_minutes(common), 60 * 24 * 366),
        empty_is_ok=source.choice("empty", ("error", "ok"), "error") == "ok",
        sample=sample,
    )
    return replace(feed, box=bounding_box(source, feed)), layout, records


def _frozen_minutes(common: Common) -> int:
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


def _url(source: Table) -> str:
    url = source.text("url")
    if not is_private_address(url) or any(c.isspace() for c in url):
        source.refuse("url", repr(url), f"an https URL (http only to {', '.join(LOOPBACK)})")
    return url


def _arrangement(source: Table) -> Arrangement:
    kind = source.choice("format", FORMATS, "json")
    keys = {"json": ("keyed", "columnar", "header"), "csv": ("delimiter",), "ndjson": ()}
    for other in ("keyed", "columnar", "header", "delimiter"):
        if other in source.table and other not in keys[kind]:
            source.refuse(other, f"a key of another format than {kind}", "no such key")
    columnar = source.table.get("columnar", False)
    if type(columnar) is not bool:
        source.refuse("columnar", describe(columnar), "true or false")
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
    return Arrangement(kind, delimiter, source.text("keyed", ""), columnar, header, tuple(nulls))


def _parameters(source: Table, key: str) -> tuple[Parameter, ...]:
    section = source.section(key)
    for name in section.table:
        is_header = HEADER_NAME.fullmatch(name) and name.lower() not in FORBIDDEN_HEADERS
        if key == "headers" and not is_header:
            section.refuse(name, repr(name), "the name of a header, none that the transport sets itself")
    return tuple(_parameter(section, name) for name in section.table)


def _parameter(section: Table, name: str) -> Parameter:
    if not isinstance(section.table[name], dict):
        value = section.text(name)
        if not value.isprintable():
            section.refuse(name, describe(value), "a text of one line")
        return Parameter(name, value)
    table = section.section(name)
    table.only("secret")
    secret = table.text("secret")
    if not SECRET_NAME.fullmatch(secret):
        table.refuse("secret", "another text", "the name of a secret of Secret Manager, never its value")
    return Parameter(name, secret=secret)


def _paging(source: Table) -> Paging | None:
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


def _join(source: Table, arrangement: Arrangement) -> Join | None:
    if "join" not in source.table:
        return None
    if "paging" in source.table or arrangement != replace(PLAIN, nulls=arrangement.nulls):
        source.refuse("join", "pages, or records that are no array of objects in JSON", "no such key")
    table = source.section("join")
    table.only("url", "records", "on")
    url = table.text("url")
    try:
        reference = reference_of(source.text("url"), url)
    except ValueError:
        host = urlsplit(source.text("url")).hostname
        table.refuse("url", repr(url), f"an address on the host of the feed's url, {host}")
    records = table.path("records") if "records" in table.table else source.path("records")
    return Join(reference, records, table.text("on"))


def _encoding(source: Table) -> str:
    name = source.text("encoding", "")
    if name and known_encoding(name) is None:
        source.refuse("encoding", repr(name), "an encoding of text such as ISO-8859-1")
    return name


def _new_name(section: Table, key: str, name: str) -> str:
    if name != column_name(name):
        hint = f"such as {column_name(name)!r}" if column_name(name) else ""
        section.refuse(key, repr(name), "a BigQuery column name: letters of ASCII, digits and _", hint)
    return name


def _renames(section: Table) -> dict[FieldPath, str]:
    return {section.as_path(key, key): _new_name(section, key, section.text(key)) for key in section.table}


def _places(section: Table) -> dict[str, FieldPath]:
    places = {_new_name(section, key, key): section.path(key) for key in section.table}
    for name, path in places.items():
        if not path:
            section.refuse(name, "''", "a path in a record, such as geometry.coordinates[0]")
    return places


def _descriptions(section: Table) -> dict[str, str]:
    texts = {key: section.text(key) for key in section.table}
    for key, text in texts.items():
        if len(text) > 1024:
            section.refuse(key, f"{len(text)} characters", "at most BigQuery's 1024")
    return texts


def _overrides(section: Table) -> dict[str, Override]:
    return {key: _override(section, key) for key in section.table}


def _override(section: Table, key: str) -> Override:
    if not isinstance(section.table[key], dict):
        return Override(section.choice(key, SCALAR_TYPES))
    table = section.section(key)
    table.only("type", "unit", "zone", "decimal", "format")
    override = Override(
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


def _sample_records(
    source: Table, sample: bytes, path: FieldPath, arrangement: Arrangement, join: Join | None
) -> list[dict[str, Any]]:
    feed, other = source.feed, None
    try:
        is_json = arrangement.format == "json"
        answer = decode_utf8(as_utf8(sample)) if is_json else arrangement.document(sample.decode())
    except ValueError as error:
        kind = arrangement.format.upper()
        raise FeedError(
            feed, SAMPLE, "", str(error), f"{kind}: one answer of the API, cut to a few records"
        ) from None
    if join is not None:
        answer, other = split_response(answer)
        if not isinstance(other, dict):
            found = "nothing that is joined" if other is None else describe(other)
            raise FeedError(feed, SAMPLE, "", found, 'both documents: {"response": …, "joined": …}')
    try:
        records = arrangement.records(answer, path)
    except ArrangementError as error:
        raise _no_records(feed, answer, path, error, arrangement) from None
    if arrangement.format == "csv":
        records = list(typed_texts([record for record in records if isinstance(record, dict)]))
    if not records:
        raise FeedError(feed, SAMPLE, path_text(path), "an empty array", "at least one record")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise FeedError(feed, SAMPLE, f"{path_text(path)}[{index}]", describe(record), "an object")
    if join is None:
        return records
    joined = join_records(join, records, other, MAX_RECORDS)
    if joined.unmatched == len(records):
        expected = f"records at {path_text(join.records)!r} of `joined` with the same {join.on!r}"
        source.section("join").refuse(
            "on", f"{join.on!r}, by which no record of {SAMPLE} finds another", expected
        )
    return joined.records


def _sample_document(sample: bytes, join: Join | None) -> Any:
    """The document that the records are in; nothing for what is no JSON."""
    try:
        document = decode_utf8(as_utf8(sample))
    except ValueError:
        return None
    return split_response(document)[0] if join else document


def _no_records(
    feed: str, answer: Any, path: FieldPath, error: ArrangementError, arrangement: Arrangement
) -> FeedError:
    found = list(values_at(answer, path))
    keys = list(answer) if isinstance(answer, dict) else []
    hint = suggestion(path_text(path), keys)
    expected = f"the path of {error.expected} ({SAMPLE} is {describe(answer)})"
    if arrangement.is_plain:
        told = describe(found[0]) if found else "nothing"
        if found and isinstance(found[0], dict):
            hint = 'for an object of records by key say keyed = "id", for parallel arrays columnar = true'
    else:
        told = "nothing" if not found else error.found
    return FeedError(
        feed, SOURCE, "key records", f"{path_text(path)!r}, where {SAMPLE} has {told}", expected, hint
    )


def _ordered(source: Table, columns: list[Column]) -> list[Column]:
    order = source.texts("order")
    by_name = {column.name: column for column in columns}
    for name in order:
        if name not in by_name:
            source.refuse("order", repr(name), "columns of " + ", ".join(by_name), suggestion(name, by_name))
    if len(set(order)) < len(order):
        source.refuse("order", "a column named twice", "each at most once")
    return [by_name[name] for name in order] + [column for column in columns if column.name not in order]
