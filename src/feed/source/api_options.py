"""Read the options of requests and responses from source.toml: URL, parameters, paging, join, format and encoding."""

from dataclasses import replace
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from feed.parsing.encoding import find_encoding
from feed.parsing.join import Join, make_relative_reference
from feed.parsing.paging import Paging
from feed.parsing.response_format import FORMATS, JSON_ARRAY, ResponseFormat
from feed.request.parameters import (
    FORBIDDEN_HEADERS,
    HEADER_NAME,
    SECRET_NAME,
    SECRET_PARAMETER,
    Parameter,
)
from feed.source.toml_table import Table
from feed.values.description import describe_value

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_secure_url(url: str) -> bool:
    """Return whether a URL is https, or http on the local host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))


def read_url(source: Table) -> str:
    url = source.text("url")
    _refuse_secrets_in_url(source, url)
    if not is_secure_url(url) or any(c.isspace() for c in url):
        source.refuse("url", repr(url), f"an https URL (http only to {', '.join(LOOPBACK)})")
    return url


def _refuse_secrets_in_url(source: Table, url: str) -> None:
    """Raise FeedError, without the value, if a URL has a parameter that is a secret by its name, or a user name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # refused as a URL
    if "@" in parts.netloc:
        hint = 'use [headers] Authorization = { secret = "name" }'
        source.refuse(
            "url", "a user name or a password", "a URL without them: it stands in the stack and in logs", hint
        )
    for name, value in parse_qsl(parts.query):
        if value and SECRET_PARAMETER.fullmatch(name):
            _refuse_secret_value(source, "url", name, "query")


def _refuse_secret_value(source: Table, key: str, name: str, section: str) -> NoReturn:
    expected = (
        "the name of a secret in Secret Manager: values in source.toml get into the stack, logs and messages"
    )
    source.refuse(key, f"a value of {name}", expected, f'use [{section}] {name} = {{ secret = "name" }}')


def read_response_format(source: Table) -> ResponseFormat:
    kind = source.choice("format", FORMATS, "json")
    keys = {"json": ("keyed", "columnar", "header"), "csv": ("delimiter",), "ndjson": ()}
    for other in ("keyed", "columnar", "header", "delimiter"):
        if other in source.table and other not in keys[kind]:
            source.refuse(other, f"a key that the format {kind} does not have", "no such key")
    columnar = source.table.get("columnar", False)
    if type(columnar) is not bool:
        source.refuse("columnar", describe_value(columnar), "true or false")
    arranged = [key for key in ("keyed", "header") if key in source.table] + ["columnar"] * columnar
    if len(arranged) > 1:
        source.refuse(arranged[0], f"{arranged[0]} and {arranged[1]}", "only one layout of the records")
    delimiter = source.text("delimiter", ",")
    if len(delimiter) != 1:
        source.refuse("delimiter", repr(delimiter), "one character")
    nulls = source.texts("nulls") if "nulls" in source.table else [""] * (kind == "csv")
    header = source.path("header") if "header" in source.table else None
    return ResponseFormat(kind, delimiter, source.text("keyed", ""), columnar, header, tuple(nulls))


def read_parameters(source: Table, key: str) -> tuple[Parameter, ...]:
    section = source.section(key)
    for name in section.table:
        is_header = HEADER_NAME.fullmatch(name) and name.lower() not in FORBIDDEN_HEADERS
        if key == "headers" and not is_header:
            section.refuse(name, repr(name), "the name of an HTTP header that the client does not set itself")
    return tuple(_read_parameter(section, name) for name in section.table)


def _read_parameter(section: Table, name: str) -> Parameter:
    if not isinstance(section.table[name], dict):
        value = section.text(name)
        if not value.isprintable():
            section.refuse(name, describe_value(value), "text of one line")
        if value and SECRET_PARAMETER.fullmatch(name):
            _refuse_secret_value(section, name, name, section.prefix.rstrip("."))
        return Parameter(name, value)
    table = section.section(name)
    table.only("secret")
    secret = table.text("secret")
    if not SECRET_NAME.fullmatch(secret):
        table.refuse("secret", "an invalid name", "the name of a secret in Secret Manager, never its value")
    return Parameter(name, secret=secret)


def read_paging(source: Table) -> Paging | None:
    if "paging" not in source.table:
        return None
    if source.table.get("format", "json") != "json":
        source.refuse("paging", "paging for a format other than JSON", "no such key")
    table = source.section("paging")
    table.only("size", "limit", "offset", "page", "next", "max_requests")
    if sum(key in table.table for key in ("offset", "page", "next")) != 1:
        table.refuse("offset", "none or several of offset, page and next", "exactly one of them")
    return Paging(
        size=max(1, table.number("size", 100, 50_000)),
        limit=table.text("limit", ""),
        offset=table.text("offset", ""),
        page=table.text("page", ""),
        next=table.path("next") if "next" in table.table else None,
        max_requests=max(1, table.number("max_requests", 20, 100)),
    )


def read_join(source: Table, response_format: ResponseFormat) -> Join | None:
    if "join" not in source.table:
        return None
    if "paging" in source.table or response_format != replace(JSON_ARRAY, nulls=response_format.nulls):
        source.refuse(
            "join", "a join with paging, or with records that are no JSON array of objects", "no such key"
        )
    table = source.section("join")
    table.only("url", "records", "on")
    url = table.text("url")
    _refuse_secrets_in_url(table, url)
    try:
        reference = make_relative_reference(source.text("url"), url)
    except ValueError:
        host = urlsplit(source.text("url")).hostname
        table.refuse("url", repr(url), f"a URL on the host of the feed's `url`, {host}")
    records = table.path("records") if "records" in table.table else source.path("records")
    return Join(reference, records, table.text("on"))


def read_encoding(source: Table) -> str:
    name = source.text("encoding", "")
    if name and find_encoding(name) is None:
        source.refuse("encoding", repr(name), "a text encoding such as ISO-8859-1")
    return name
