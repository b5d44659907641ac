"""A tick on the emulators: exactly once, whatever is delivered twice, fails half-way, or races."""

import gzip
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

import collector.tick
from collector.api import ApiError, Response
from collector.envelope import Delivery
from collector.landing import land_response
from collector.loading import LoadError, load_rows_once
from collector.tick import collect_tick
from feed import (
    archive_name,
    compress,
    convert_rows_to_json,
    decompress,
    landing_name,
    make_rejection_rows,
    parse_response,
    station_schema,
)
from tests.collector.surroundings import TICK, Api, Reply, System, without_first_record

pytestmark = pytest.mark.emulator

MakeSystem = Callable[..., System]
NAME = landing_name("vlille_ods", TICK)


def collect(system: System, *, is_first: bool = False) -> Any:
    return collect_tick(system.settings, system.feed, system.services, Delivery(TICK, is_first))


def test_a_tick_is_one_object_and_its_rows(system: MakeSystem, api: Api, full_response: bytes) -> None:
    one = system()
    api.answers(Reply(full_response))
    outcome = collect(one)
    blob = one.gcs.bucket(one.settings.landing_bucket).get_blob(NAME)
    assert gzip.decompress(blob.download_as_bytes()) == full_response
    assert (blob.content_type, blob.content_encoding) == ("application/gzip", None)
    rows = one.rows(one.settings.station_table)
    assert (len(rows), outcome.records) == (289, 289)
    assert {row["collected_at"] for row in rows} == {TICK}
    longitudes, latitudes = [r["longitude"] for r in rows], [r["latitude"] for r in rows]
    assert 2.8 < min(longitudes) < max(longitudes) < 3.4
    assert 50.4 < min(latitudes) < max(latitudes) < 50.9
    record = json.loads(full_response)["records"][0]
    fields, (longitude, latitude) = record["fields"], record["geometry"]["coordinates"]
    row = next(row for row in rows if row["libelle"] == fields["libelle"])
    assert (row["etat"], row["longitude"], row["latitude"]) == (fields["etat"], longitude, latitude)
    assert row["datemiseajour"] == datetime.fromisoformat(fields["datemiseajour"])


def test_a_redelivery_loads_nothing_twice_and_requests_nothing(
    system: MakeSystem, api: Api, feeds: dict[str, Any]
) -> None:
    one = system()
    sample = feeds["vlille_ods"].sample
    api.answers(Reply(sample), Reply(without_first_record(sample)))
    first, second = collect(one), collect(one)
    assert first.rows == second.rows
    assert len(api.requests) == 1
    assert one.names(one.settings.landing_bucket) == [NAME]
    assert len(one.rows(one.settings.station_table)) == len(first.rows)


def test_after_a_crash_the_rows_come_from_the_stored_response(
    system: MakeSystem, api: Api, feeds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = system()
    sample = feeds["vlille_ods"].sample
    api.answers(Reply(sample), Reply(without_first_record(sample)))

    def crash(*_: object) -> bool:
        raise ConnectionError("killed between object and rows")

    with monkeypatch.context() as patch:
        patch.setattr(collector.tick, "load_rows_once", crash)
        with pytest.raises(ConnectionError):
            collect(one)
    assert one.rows(one.settings.station_table) == []
    collect(one)
    records = len(json.loads(sample)["records"])
    assert len(one.rows(one.settings.station_table)) == records
    assert len(api.requests) == 1


def test_a_tick_archived_meanwhile_uses_the_archived_response(
    system: MakeSystem, api: Api, feeds: dict[str, Any]
) -> None:
    one = system()
    sample = feeds["vlille_ods"].sample
    archived = one.gcs.bucket(one.settings.archive_bucket).blob(archive_name("vlille_ods", TICK))
    archived.upload_from_string(compress(sample))
    api.answers(Reply(without_first_record(sample)))
    collect(one)
    assert api.requests == []
    assert one.names(one.settings.landing_bucket) == []
    assert len(one.rows(one.settings.station_table)) == len(json.loads(sample)["records"])


def test_rows_that_the_batch_has_rebuilt_are_not_loaded_again(
    system: MakeSystem, api: Api, feeds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery's load failed, the copier and the nightly batch came first: no job of this id was ever run."""
    one = system()
    answer = json.loads(feeds["vlille_ods"].sample)
    answer["records"][0]["fields"]["nbvelosdispo"] = "many"
    body = json.dumps(answer).encode()
    archived = one.gcs.bucket(one.settings.archive_bucket).blob(archive_name("vlille_ods", TICK))
    archived.upload_from_string(compress(body))
    outcome = parse_response(one.feed, body, TICK)
    rebuilt = {
        one.settings.station_table: convert_rows_to_json(one.feed, outcome),
        one.settings.quarantine_table: make_rejection_rows(outcome, NAME),
    }
    for table, rows in rebuilt.items():
        one.bq.load_table_from_json(rows, table).result()
    collect(one)
    assert {table: len(one.rows(table)) for table in rebuilt} == {t: len(r) for t, r in rebuilt.items()}


def test_quarantined_rows_of_other_feeds_do_not_block_a_tick(
    system: MakeSystem, api: Api, feeds: dict[str, Any]
) -> None:
    one = system()
    archived = one.gcs.bucket(one.settings.archive_bucket).blob(archive_name("vlille_ods", TICK))
    archived.upload_from_string(compress(b"<html>"))
    others = make_rejection_rows(parse_response(one.feed, b"", TICK), landing_name("vlille_ogc", TICK))
    one.bq.load_table_from_json(others, one.settings.quarantine_table).result()
    collect(one)
    assert sorted(row["reason"] for row in one.rows(one.settings.quarantine_table)) == ["empty", "html"]


@pytest.mark.parametrize("is_redelivery", [False, True])
def test_a_response_that_landed_while_another_was_fetched_gives_the_rows(
    system: MakeSystem, is_redelivery: bool
) -> None:
    one = system()

    def ask() -> Response:
        one.gcs.bucket(one.settings.landing_bucket).blob(NAME).upload_from_string(
            compress(b"the first delivery's")
        )
        return Response(b"the second delivery's")

    buckets = (one.settings.landing_bucket, one.settings.archive_bucket)
    landed = land_response(
        one.gcs, *buckets, "vlille_ods", TICK, is_redelivery=is_redelivery, fetch_response=ask
    )
    assert (decompress(landed.content), landed.is_new) == (b"the first delivery's", False)


def test_stored_response_headers_are_truncated(system: MakeSystem, api: Api) -> None:
    """Cloud Storage refuses an object with more than 8 KiB of metadata."""
    one = system()
    api.answers(Reply(one.feed.sample, headers={"ETag": "e" * 9_000, "Content-Type": "application/json"}))
    collect(one)
    metadata = one.gcs.bucket(one.settings.landing_bucket).get_blob(NAME).metadata
    assert (metadata["etag"], metadata["content-type"]) == ("e" * 200, "application/json")


def test_two_concurrent_deliveries_store_one_tick(
    system: MakeSystem, api: Api, feeds: dict[str, Any]
) -> None:
    one = system()
    sample = feeds["vlille_ods"].sample
    api.answers(Reply(sample, pause_s=0.05), Reply(without_first_record(sample), pause_s=0.05))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: collect(one), range(2)))
    assert outcomes[0].rows == outcomes[1].rows
    assert one.names(one.settings.landing_bucket) == [NAME]
    assert len(one.rows(one.settings.station_table)) == len(outcomes[0].rows)


def test_an_unusable_response_is_stored_and_quarantined(system: MakeSystem, api: Api) -> None:
    one = system()
    page = b"<!DOCTYPE html><html><body>Maintenance</body></html>"
    api.answers(Reply(page, headers={"Content-Type": "text/html"}))
    outcome = collect(one)
    assert (outcome.records, outcome.rows) == (0, [])
    blob = one.gcs.bucket(one.settings.landing_bucket).get_blob(NAME)
    assert gzip.decompress(blob.download_as_bytes()) == page
    [row] = one.rows(one.settings.quarantine_table)
    assert (row["reason"], row["object"], row["record_index"]) == ("html", NAME, None)
    collect(one)
    assert len(one.rows(one.settings.quarantine_table)) == 1


def test_valid_rows_are_loaded_and_invalid_records_quarantined(
    system: MakeSystem, api: Api, feeds: dict[str, Any]
) -> None:
    one = system()
    answer = json.loads(feeds["vlille_ods"].sample)
    answer["records"][0]["fields"]["nbvelosdispo"] = "many"
    answer["records"].append(answer["records"][1])
    api.answers(Reply(json.dumps(answer).encode()))
    outcome = collect(one)
    quarantined = one.rows(one.settings.quarantine_table)
    assert {(row["reason"], row["scope"], row["record_index"], row["value"]) for row in quarantined} == {
        ("bad_value", "value", 0, '"many"'),
        ("duplicate_key", "record", len(answer["records"]) - 1, None),
    }
    rows = one.rows(one.settings.station_table)
    assert len(rows) == len(outcome.rows) == outcome.records - 1
    assert [row["libelle"] for row in rows if row["nbvelosdispo"] is None] == [301]


def test_a_failing_api_is_an_error_and_stores_nothing(system: MakeSystem, api: Api) -> None:
    one = system()
    api.answers(Reply(b"no", 404))
    with pytest.raises(ApiError, match="404"):
        collect(one)
    assert one.names(one.settings.landing_bucket) == []


def test_a_failed_load_job_is_not_the_end(system: MakeSystem, feeds: dict[str, Any]) -> None:
    one = system()
    schema = station_schema(feeds["vlille_ods"])
    row = {"collected_at": TICK.isoformat(), "recordid": "a", "libelle": 1}
    table = one.settings.station_table
    with pytest.raises(LoadError, match="5 load jobs failed"):
        load_rows_once(one.bq, table, [row | {"libelle": "no number"}], schema, "job")
    assert one.rows(table) == []
    assert load_rows_once(one.bq, table, [row], schema, "other") is True
    assert load_rows_once(one.bq, table, [row], schema, "other") is False
    assert len(one.rows(table)) == 1


def test_the_attempt_after_a_failed_job_has_an_id_of_its_own(
    system: MakeSystem, feeds: dict[str, Any]
) -> None:
    one = system()
    schema = [bigquery.SchemaField.from_api_repr(c) for c in station_schema(feeds["vlille_ods"])]
    table = one.settings.station_table
    config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")
    with pytest.raises(GoogleAPICallError):
        one.bq.load_table_from_json([{"libelle": "x"}], table, job_id="tick", job_config=config).result()
    row = {"collected_at": TICK.isoformat(), "recordid": "a"}
    assert load_rows_once(one.bq, table, [row], station_schema(feeds["vlille_ods"]), "tick") is True
    assert load_rows_once(one.bq, table, [row], station_schema(feeds["vlille_ods"]), "tick") is False
    assert len(one.rows(table)) == 1


def test_ticks_are_independent(system: MakeSystem, api: Api, feeds: dict[str, Any]) -> None:
    one = system()
    api.answers(Reply(feeds["vlille_ods"].sample))
    for minutes in range(3):
        collect_tick(
            one.settings, one.feed, one.services, Delivery(TICK + timedelta(minutes=minutes), is_first=True)
        )
    assert len(one.names(one.settings.landing_bucket)) == 3
    stations = len(json.loads(feeds["vlille_ods"].sample)["records"])
    assert len(one.rows(one.settings.station_table)) == 3 * stations
