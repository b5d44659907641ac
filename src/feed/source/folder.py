"""Load a feed from its folder: source.toml and the sample are read and checked as a whole."""

import tomllib
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from feed.errors import FeedError
from feed.model import ROOT, Column, Common, Feed
from feed.naming import FEED_NAME, RESERVED_NAMES
from feed.parsing.response import add_response_fields
from feed.parsing.response_format import FORMATS
from feed.paths import format_path
from feed.source.api_options import (
    read_encoding,
    read_join,
    read_paging,
    read_parameters,
    read_response_format,
    read_url,
)
from feed.source.column_options import (
    read_column_paths,
    read_descriptions,
    read_renames,
    read_type_overrides,
)
from feed.source.column_roles import (
    make_identifiers_strings,
    read_bounding_box,
    read_common_columns,
    read_key,
    read_legacy_names,
)
from feed.source.column_rules import apply_column_rules
from feed.source.inference import SAMPLE, ColumnOptions, infer_columns
from feed.source.references import check_references, check_sample
from feed.source.sample import SOURCE, decode_sample, read_gbfs_versions, read_sample_records
from feed.source.toml_table import Table, suggest

# The keys of source.toml; docs/schemas/source.json is generated from them.
SOURCE_KEYS = (
    *("title", "url", "licence", "description", "records", "lift", "ignore", "timezone", "key", "order"),
    *("rename", "types", "columns", "common", "bounds", "legacy", "descriptions", "on_mismatch", "rules"),
    *("encoding", "stale_minutes", "frozen_minutes", "empty", "format", "delimiter", "keyed", "columnar"),
    *("header", "nulls", "total", "paging", "join", "query", "headers"),
)


def load_feeds(folder: Path | Traversable) -> dict[str, Feed]:
    """Return the feeds below `folder`, sorted by name. Raises FeedError for the first invalid folder."""
    names = sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name[0] not in "._")
    return {name: load_feed(folder.joinpath(name)) for name in names}


def load_feed(folder: Path | Traversable) -> Feed:
    """Return the feed of one folder (on disk or in a zip). Raises FeedError."""
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
            name,
            "",
            "the folder's name",
            repr(name),
            "a name that the stack does not use for a table or view",
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
    except (OSError, KeyError):  # KeyError is raised for a zip
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
        renames=read_renames(source.section("rename")),
        overrides=read_type_overrides(source.section("types")),
        descriptions=read_descriptions(source.section("descriptions")),
        column_paths=read_column_paths(source.section("columns")),
        zone=source.zone("timezone"),
    )
    response_format = read_response_format(source)
    records_path = source.path("records") if response_format.syntax == "json" else ()
    join = read_join(source, response_format)
    records = read_sample_records(source, sample, records_path, response_format, join)
    if any(path[0] == ROOT for path in layout.column_paths.values()):
        layout = replace(layout, ignore=(*layout.ignore, (ROOT,)))
        records = add_response_fields(records, decode_sample(sample, join), records_path)
    inferred = infer_columns(records, layout)
    if not inferred:
        where, hint = format_path(records_path), "add a record with a field that is not under `ignore`"
        raise FeedError(source.feed, SAMPLE, where, "no field that becomes a column", "at least one", hint)
    columns = make_identifiers_strings(source, inferred, layout.overrides)
    columns = _order_columns(source, columns)
    by_name = {column.name: column for column in columns}
    key = read_key(source, by_name)
    common = read_common_columns(source.section("common"), by_name)
    feed = Feed(
        name=source.feed,
        title=source.text("title", source.feed),
        url=read_url(source),
        licence=source.text("licence", ""),
        description=source.text("description", "").strip(),
        records=records_path,
        columns=apply_column_rules(source, by_name, key),
        lift=layout.lift,
        ignore=layout.ignore,
        key=key,
        common=common,
        legacy=read_legacy_names(source, by_name),
        encoding=read_encoding(source),
        response_format=response_format,
        paging=read_paging(source),
        join=join,
        query=read_parameters(source, "query"),
        headers=read_parameters(source, "headers"),
        total=source.path("total") if "total" in source.table else None,
        stale_minutes=source.number("stale_minutes", 120, 60 * 24 * 366),
        frozen_minutes=source.number("frozen_minutes", _default_frozen_minutes(common), 60 * 24 * 366),
        empty_is_ok=source.choice("empty", ("error", "ok"), "error") == "ok",
        sample=sample,
        gbfs_versions=read_gbfs_versions(sample, join),
    )
    return replace(feed, box=read_bounding_box(source, feed)), layout, records


def _default_frozen_minutes(common: Common) -> int:
    """Return the default: two hours for a feed with bikes or docks; 0 (never frozen) for any other."""
    return 120 if common.num_bikes_available or common.num_docks_available else 0


def _order_columns(source: Table, columns: list[Column]) -> list[Column]:
    order = source.texts("order")
    by_name = {column.name: column for column in columns}
    for name in order:
        if name not in by_name:
            source.refuse(
                "order", repr(name), "one of the columns " + ", ".join(by_name), suggest(name, by_name)
            )
    if len(set(order)) < len(order):
        source.refuse("order", "a column named twice", "each at most once")
    return [by_name[name] for name in order] + [column for column in columns if column.name not in order]
