"""A tick on the emulators: exactly once, whatever is delivered twice, fails half-way, or races."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from tests.collector.fakes import (
    TICK,
    CollectorEnvironment,
    FakeApi,
    MakeEnvironment,
    Reply,
    without_first_record,
)

pytestmark = pytest.mark.emulator

NAME = landing_name("vlille_ods", TICK)


def collect(environment: CollectorEnvironment, tick: datetime = TICK, *, is_first: bool = False) -> Any:
    return collect_tick(
        environment.settings, environment.feed, environment.services, Delivery(tick, is_first)
    )


def test_a_tick_is_one_object_and_its_rows(
    make_environment: MakeEnvironment, api: FakeApi, full_response: bytes
) -> None:
    environment = make_environment()
    api.set_replies(Reply(full_response))
    outcome = collect(environment)
    blob = environment.gcs.bucket(environment.settings.landing_bucket).get_blob(NAME)
    assert gzip.decompress(blob.download_as_bytes()) == full_response
    assert (blob.content_type, blob.content_encoding) == ("application/gzip", None)
    rows = environment.rows(environment.settings.station_table)
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
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    sample = feeds["vlille_ods"].sample
    api.set_replies(Reply(sample), Reply(without_first_record(sample)))
    first, second = collect(environment), collect(environment)
    assert first.rows == second.rows
    assert len(api.requests) == 1
    assert environment.names(environment.settings.landing_bucket) == [NAME]
    assert len(environment.rows(environment.settings.station_table)) == len(first.rows)


def test_after_a_crash_the_rows_come_from_the_stored_response(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make_environment()
    sample = feeds["vlille_ods"].sample
    api.set_replies(Reply(sample), Reply(without_first_record(sample)))

    def crash(*_: object) -> bool:
        raise ConnectionError("killed between object and rows")

    with monkeypatch.context() as patch:
        patch.setattr(collector.tick, "load_rows_once", crash)
        with pytest.raises(ConnectionError):
            collect(environment)
    assert environment.rows(environment.settings.station_table) == []
    collect(environment)
    records = len(json.loads(sample)["records"])
    assert len(environment.rows(environment.settings.station_table)) == records
    assert len(api.requests) == 1


def test_a_tick_archived_meanwhile_uses_the_archived_response(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    sample = feeds["vlille_ods"].sample
    archived = environment.gcs.bucket(environment.settings.archive_bucket).blob(
        archive_name("vlille_ods", TICK)
    )
    archived.upload_from_string(compress(sample))
    api.set_replies(Reply(without_first_record(sample)))
    collect(environment)
    assert api.requests == []
    assert environment.names(environment.settings.landing_bucket) == []
    assert len(environment.rows(environment.settings.station_table)) == len(json.loads(sample)["records"])


def test_rows_that_the_batch_has_rebuilt_are_not_loaded_again(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery's load failed, the copier and the nightly batch came first: no job of this id was ever run."""
    environment = make_environment()
    document = json.loads(feeds["vlille_ods"].sample)
    document["records"][0]["fields"]["nbvelosdispo"] = "many"
    body = json.dumps(document).encode()
    archived = environment.gcs.bucket(environment.settings.archive_bucket).blob(
        archive_name("vlille_ods", TICK)
    )
    archived.upload_from_string(compress(body))
    outcome = parse_response(environment.feed, body, TICK)
    rebuilt = {
        environment.settings.station_table: convert_rows_to_json(environment.feed, outcome),
        environment.settings.quarantine_table: make_rejection_rows(outcome, NAME),
    }
    for table, rows in rebuilt.items():
        environment.bq.load_table_from_json(rows, table).result()
    collect(environment)
    assert {table: len(environment.rows(table)) for table in rebuilt} == {
        t: len(r) for t, r in rebuilt.items()
    }


def test_quarantined_rows_of_other_feeds_do_not_block_a_tick(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    archived = environment.gcs.bucket(environment.settings.archive_bucket).blob(
        archive_name("vlille_ods", TICK)
    )
    archived.upload_from_string(compress(b"<html>"))
    others = make_rejection_rows(
        parse_response(environment.feed, b"", TICK), landing_name("vlille_ogc", TICK)
    )
    environment.bq.load_table_from_json(others, environment.settings.quarantine_table).result()
    collect(environment)
    assert sorted(row["reason"] for row in environment.rows(environment.settings.quarantine_table)) == [
        "empty",
        "html",
    ]


@pytest.mark.parametrize("is_redelivery", [False, True])
def test_a_response_that_landed_while_another_was_fetched_gives_the_rows(
    make_environment: MakeEnvironment, is_redelivery: bool
) -> None:
    environment = make_environment()

    def fetch_response() -> Response:
        environment.gcs.bucket(environment.settings.landing_bucket).blob(NAME).upload_from_string(
            compress(b"the first delivery's")
        )
        return Response(b"the second delivery's")

    buckets = (environment.settings.landing_bucket, environment.settings.archive_bucket)
    landed = land_response(
        environment.gcs,
        *buckets,
        "vlille_ods",
        TICK,
        is_redelivery=is_redelivery,
        fetch_response=fetch_response,
    )
    assert (decompress(landed.content), landed.is_new) == (b"the first delivery's", False)


def test_stored_response_headers_are_truncated(make_environment: MakeEnvironment, api: FakeApi) -> None:
    """Cloud Storage refuses an object with more than 8 KiB of metadata."""
    environment = make_environment()
    api.set_replies(
        Reply(environment.feed.sample, headers={"ETag": "e" * 9_000, "Content-Type": "application/json"})
    )
    collect(environment)
    metadata = environment.gcs.bucket(environment.settings.landing_bucket).get_blob(NAME).metadata
    assert (metadata["etag"], metadata["content-type"]) == ("e" * 200, "application/json")


def test_two_concurrent_deliveries_store_one_tick(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    sample = feeds["vlille_ods"].sample
    api.set_replies(Reply(sample, pause_s=0.05), Reply(without_first_record(sample), pause_s=0.05))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: collect(environment), range(2)))
    assert outcomes[0].rows == outcomes[1].rows
    assert environment.names(environment.settings.landing_bucket) == [NAME]
    assert len(environment.rows(environment.settings.station_table)) == len(outcomes[0].rows)


def test_an_unusable_response_is_stored_and_quarantined(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    environment = make_environment()
    page = b"<!DOCTYPE html><html><body>Maintenance</body></html>"
    api.set_replies(Reply(page, headers={"Content-Type": "text/html"}))
    outcome = collect(environment)
    assert (outcome.records, outcome.rows) == (0, [])
    blob = environment.gcs.bucket(environment.settings.landing_bucket).get_blob(NAME)
    assert gzip.decompress(blob.download_as_bytes()) == page
    [row] = environment.rows(environment.settings.quarantine_table)
    assert (row["reason"], row["object"], row["record_index"]) == ("html", NAME, None)
    collect(environment)
    assert len(environment.rows(environment.settings.quarantine_table)) == 1


def test_an_accepted_response_without_records_has_a_row_of_its_own(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    """It tells a closed night from a failed collector, also where the batch has rebuilt it."""
    environment = make_environment()
    environment = replace(environment, feed=replace(environment.feed, empty_is_ok=True))
    table = environment.settings.empty_responses_table
    api.set_replies(Reply(b'{"records": []}'))
    for _ in range(2):
        assert collect(environment).is_empty
        [row] = environment.rows(table)
        assert row == {"collected_at": TICK, "feed": "vlille_ods", "object": NAME}
    assert environment.rows(environment.settings.quarantine_table) == []
    rebuilt = TICK + timedelta(minutes=1)
    name = landing_name("vlille_ods", rebuilt)
    environment.gcs.bucket(environment.settings.landing_bucket).blob(name).upload_from_string(
        compress(b'{"records": []}')
    )
    others = [{"collected_at": rebuilt.isoformat(), "feed": "vlille_ods", "object": name}]
    environment.bq.load_table_from_json(others, table).result()
    collect(environment, rebuilt)
    assert len(environment.rows(table)) == 2


def test_a_response_without_records_is_quarantined_where_the_feed_does_not_accept_it(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    environment = make_environment()
    api.set_replies(Reply(b'{"records": []}'))
    assert not collect(environment).is_empty
    assert environment.rows(environment.settings.empty_responses_table) == []
    assert [row["reason"] for row in environment.rows(environment.settings.quarantine_table)] == ["empty"]


def test_valid_rows_are_loaded_and_invalid_records_quarantined(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    document = json.loads(feeds["vlille_ods"].sample)
    document["records"][0]["fields"]["nbvelosdispo"] = "many"
    document["records"].append(document["records"][1])
    api.set_replies(Reply(json.dumps(document).encode()))
    outcome = collect(environment)
    quarantined = environment.rows(environment.settings.quarantine_table)
    assert {(row["reason"], row["scope"], row["record_index"], row["value"]) for row in quarantined} == {
        ("bad_value", "value", 0, '"many"'),
        ("duplicate_key", "record", len(document["records"]) - 1, None),
    }
    rows = environment.rows(environment.settings.station_table)
    assert len(rows) == len(outcome.rows) == outcome.records - 1
    assert [row["libelle"] for row in rows if row["nbvelosdispo"] is None] == [301]


def test_a_failing_api_is_an_error_and_stores_nothing(
    make_environment: MakeEnvironment, api: FakeApi
) -> None:
    environment = make_environment()
    api.set_replies(Reply(b"no", 404))
    with pytest.raises(ApiError, match="404"):
        collect(environment)
    assert environment.names(environment.settings.landing_bucket) == []


def test_a_failed_load_job_is_not_the_end(make_environment: MakeEnvironment, feeds: dict[str, Any]) -> None:
    environment = make_environment()
    schema = station_schema(feeds["vlille_ods"])
    row = {"collected_at": TICK.isoformat(), "recordid": "a", "libelle": 1}
    table = environment.settings.station_table
    with pytest.raises(LoadError, match="5 load jobs failed"):
        load_rows_once(environment.bq, table, [row | {"libelle": "no number"}], schema, "job")
    assert environment.rows(table) == []
    assert load_rows_once(environment.bq, table, [row], schema, "other") is True
    assert load_rows_once(environment.bq, table, [row], schema, "other") is False
    assert len(environment.rows(table)) == 1


def test_the_attempt_after_a_failed_job_has_an_id_of_its_own(
    make_environment: MakeEnvironment, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    schema = [bigquery.SchemaField.from_api_repr(c) for c in station_schema(feeds["vlille_ods"])]
    table = environment.settings.station_table
    config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")
    with pytest.raises(GoogleAPICallError):
        environment.bq.load_table_from_json(
            [{"libelle": "x"}], table, job_id="tick", job_config=config
        ).result()
    row = {"collected_at": TICK.isoformat(), "recordid": "a"}
    assert load_rows_once(environment.bq, table, [row], station_schema(feeds["vlille_ods"]), "tick") is True
    assert load_rows_once(environment.bq, table, [row], station_schema(feeds["vlille_ods"]), "tick") is False
    assert len(environment.rows(table)) == 1


def test_ticks_are_independent(
    make_environment: MakeEnvironment, api: FakeApi, feeds: dict[str, Any]
) -> None:
    environment = make_environment()
    api.set_replies(Reply(feeds["vlille_ods"].sample))
    for minutes in range(3):
        collect_tick(
            environment.settings,
            environment.feed,
            environment.services,
            Delivery(TICK + timedelta(minutes=minutes), is_first=True),
        )
    assert len(environment.names(environment.settings.landing_bucket)) == 3
    stations = len(json.loads(feeds["vlille_ods"].sample)["records"])
    assert len(environment.rows(environment.settings.station_table)) == 3 * stations
