"""Bodies and records of responses, and what must hold for each outcome."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from feed import (
    Feed,
    Outcome,
    convert_rows_to_json,
    make_rejection_rows,
    quarantine_schema,
    station_schema,
)
from feed.parsing.outcome import MAX_RECORD, MAX_TEXT

MakeFeed = Callable[..., Feed]
TICK = datetime(2023, 10, 26, 20, 50, tzinfo=UTC)
DECODERS: list[Callable[[bytes], Any]] = [json.loads, msgspec.json.Decoder().decode]
both_decoders = pytest.mark.parametrize("decode", DECODERS, ids=["json", "msgspec"])


def copy_sample_records(feed: Feed) -> list[Any]:
    """A fresh copy of the sample's records."""
    document = json.loads(feed.sample)
    records: list[Any] = document["records"] if "records" in document else document["features"]
    return records


def make_body(records: Any) -> bytes:
    return json.dumps({"records": records}).encode()


def assert_reconciled(feed: Feed, outcome: Outcome) -> None:
    """Every record is a row or a rejection, every rejected value is of a row; all of it fits schemas and JSON."""
    assert outcome.records == len(outcome.rows) + outcome.rejected_records
    of_records, of_values = (
        [each.index for each in outcome.rejections if each.scope == scope and each.index is not None]
        for scope in ("record", "value")
    )
    assert of_records == sorted(set(of_records))
    assert of_values == sorted(of_values)
    assert all(index < outcome.records for index in (*of_records, *of_values))
    assert not set(of_records) & set(of_values), (
        "a rejected record has no values of its own in the quarantine"
    )
    values = sum(each.occurrences for each in outcome.rejections if each.scope == "value")
    assert values == outcome.rejected_values + outcome.implausible_values
    if not outcome.is_usable:
        assert (len(outcome.rejections), outcome.records, outcome.rows) == (1, 0, [])
    names = [column["name"] for column in station_schema(feed)]
    assert all(list(row) == names for row in outcome.rows)
    quarantined = make_rejection_rows(outcome, "object")
    assert all(list(row) == [column["name"] for column in quarantine_schema()] for row in quarantined)
    json.dumps(
        [convert_rows_to_json(feed, outcome), quarantined], allow_nan=False, ensure_ascii=False
    ).encode()
    for rejection in outcome.rejections:
        assert rejection.message.startswith(f"{feed.name}: ")
        assert rejection.expected
        assert max(len(rejection.message), len(rejection.found), len(rejection.field)) <= MAX_TEXT
        assert len(rejection.record or "") <= MAX_RECORD


def set_field(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        record["fields"][name] = value
        return record

    return change


def set_record(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda record: record | {name: value}


def drop_field(name: str) -> Callable[[dict[str, Any]], Any]:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        del record["fields"][name]
        return record

    return change


def set_coordinates(*coordinates: Any) -> Callable[[dict[str, Any]], Any]:
    return set_record("geometry", {"type": "Point", "coordinates": list(coordinates)})
