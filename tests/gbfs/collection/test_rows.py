"""The rows of the tables, from the results of a shard's requests."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed import Rejection, quarantine_schema
from gbfs.collection.packs import FetchResult, pack_name, read_pack, write_pack
from gbfs.collection.rows import (
    MAX_SEPARATE_REJECTIONS,
    TableRows,
    group_rejections,
    make_rows,
)
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from tests.gbfs.samples import make_document, make_record

pytestmark = pytest.mark.unit

TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
AT = datetime(2026, 5, 1, 10, 7, 3, tzinfo=UTC)
EARLIER = datetime(2026, 5, 1, 9, 59, tzinfo=UTC)
PACK = pack_name(TICK, 0)
STATION = make_record("2.3", "station_status")
GOOD = make_document("2.3", "station_status", STATION | {"station_id": "1"}, STATION | {"station_id": "2"})


def make_result(**fields: Any) -> FetchResult:
    return replace(
        FetchResult("lille", "station_status", "https://example.org/s", AT, 200, (), GOOD), **fields
    )


def make_table_rows(*results: FetchResult) -> TableRows:
    return make_rows(results, TICK, PACK)


def test_a_received_status_has_a_row_per_station_and_a_poll() -> None:
    rows = make_table_rows(make_result())
    assert [row["station_id"] for row in rows.station_status] == ["1", "2"]
    assert rows.quarantine == []
    assert rows.polls == [
        {
            "collected_at": "2026-05-01T10:07:00+00:00",
            "system_id": "lille",
            "file": "station_status",
            "outcome": "received",
            "status": 200,
            "error": None,
            "fetched_at": "2026-05-01T10:07:03+00:00",
            "bytes": len(GOOD),
            "version": "2.3",
            "last_updated": "2024-05-01T10:00:00+00:00",
            "ttl_seconds": 60,
            "records": 2,
            "rows": 2,
            "rows_at": "2026-05-01T10:07:00+00:00",
        }
    ]


def test_the_rows_have_the_columns_of_their_tables() -> None:
    rows = make_table_rows(make_result(), make_result(body=b"<html>"))
    assert all(
        list(row) == [column.name for column in STATION_STATUS_TABLE.columns] for row in rows.station_status
    )
    assert all(list(row) == [column.name for column in POLLS_TABLE.columns] for row in rows.polls)
    assert all(list(row) == [column["name"] for column in quarantine_schema()] for row in rows.quarantine)


@pytest.mark.parametrize(
    ("result", "outcome", "error"),
    [
        (make_result(status=304, body=b"", unchanged_since=EARLIER), "unchanged", None),
        (make_result(status=304, body=b""), "failed", "status 304 to an unconditional request"),
        (
            make_result(status=None, body=b"", error="no complete response within 10.0 s"),
            "failed",
            "no complete response",
        ),
        (make_result(status=429, body=b""), "failed", "status 429, expected 200"),
        (make_result(body=b"<html>"), "failed", "lille: station_status (html): found an HTML page"),
        (make_result(file="station_information"), "received", None),
    ],
)
def test_a_poll_has_the_outcome_and_the_error(result: FetchResult, outcome: str, error: str | None) -> None:
    rows = make_table_rows(result)
    [poll] = rows.polls
    assert poll["outcome"] == outcome
    assert poll["error"] is None if error is None else str(poll["error"]).startswith(error)
    assert rows.station_status == []
    rows_at = {"received": TICK.isoformat(), "unchanged": EARLIER.isoformat(), "failed": None}
    assert poll["rows_at"] == rows_at[outcome]


def test_an_invalid_value_is_in_the_quarantine_with_its_pack() -> None:
    body = make_document(
        "2.3", "station_status", STATION, STATION | {"station_id": "2", "num_docks_available": -1}
    )
    rows = make_table_rows(make_result(body=body))
    assert len(rows.station_status) == 2
    [row] = rows.quarantine
    assert (row["feed"], row["object"], row["scope"], row["field"]) == (
        "lille",
        PACK,
        "value",
        "num_docks_available",
    )


def test_a_field_that_all_stations_omit_is_one_row_of_quarantine() -> None:
    stations = [
        {name: value for name, value in STATION.items() if name != "is_renting"} | {"station_id": str(number)}
        for number in range(50)
    ]
    rows = make_table_rows(make_result(body=make_document("2.3", "station_status", *stations)))
    [row] = rows.quarantine
    assert (row["reason"], row["field"], row["occurrences"]) == ("missing_field", "is_renting", 50)
    assert row["record_index"] is None


REJECTIONS = st.lists(
    st.builds(
        Rejection,
        reason=st.sampled_from(["bad_value", "missing_field"]),
        index=st.integers(0, 9),
        field=st.sampled_from(["a", "b"]),
        found=st.just("x"),
        expected=st.just("y"),
        message=st.just("z"),
    ),
    max_size=30,
)


@given(REJECTIONS)
@pytest.mark.long
def test_grouping_keeps_the_number_of_rejections(rejections: list[Rejection]) -> None:
    grouped = group_rejections(rejections)
    assert sum(each.occurrences for each in grouped) == len(rejections)
    kinds = {(each.reason, each.field) for each in rejections}
    assert len(grouped) <= MAX_SEPARATE_REJECTIONS * len(kinds)


def test_the_rows_of_a_pack_equal_those_of_its_results() -> None:
    results = [
        make_result(),
        make_result(system_id="bodø", body=b"<html>"),
        make_result(status=304, body=b"", unchanged_since=EARLIER),
        make_result(status=None, body=b"", error="gone"),
    ]
    again = make_rows(read_pack(write_pack(TICK, 0, results)), TICK, PACK)
    assert again == make_table_rows(*results)
    json.dumps(again.station_status + again.polls + again.quarantine).encode()
