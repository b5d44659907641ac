"""Whole runs without Spark: from an archive in the storage emulator to tables in the BigQuery emulator."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from google.auth.exceptions import TransportError
from google.cloud import bigquery

from feed import (
    archive_name,
    compress,
    parse_response,
)
from spark.rebuild.day_batches import FAILED, NOTHING_ARCHIVED, SUCCEEDED
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.worker import ReadHours
from tests.spark.rebuild.batch import DAY, MIDNIGHT, Batch, load_as_collector, make_faulty_body, minute

pytestmark = pytest.mark.emulator


def test_a_rebuilt_day_equals_the_streamed_day(batch: Batch, full_response: bytes) -> None:
    """The streamed rows are replaced by equal ones, column by column; so is the quarantine."""
    project, feed = batch.project, batch.project.feed
    bodies = [feed.sample, full_response, make_faulty_body(feed), b"<html>", b'{"records": []}']
    for number, body in enumerate(bodies):
        project.archive_response(minute(number * 59), body)
        load_as_collector(project, minute(number * 59), body)
    streamed = batch.content()
    assert len(streamed[feed.name]) == len(parse_response(feed, feed.sample, MIDNIGHT).rows) * 2 + 289
    assert sum(row["nbvelosdispo"] is None for row in streamed[feed.name]) == 1
    assert sorted(row["reason"] for row in streamed["quarantine"]) == [
        "bad_value",
        "duplicate_key",
        "empty",
        "html",
    ]
    run = batch.run()
    assert (run.status, run.message) == (SUCCEEDED, None)
    assert batch.content() == streamed
    longitude = [row["longitude"] for row in streamed[feed.name]]
    assert 2.9 < min(longitude) < max(longitude) < 3.4


def test_accepted_responses_without_records_are_rebuilt(batch: Batch) -> None:
    """Those of another feed stay, and one that is not archived yet is not deleted."""
    batch.project = project = replace(batch.project, feed=replace(batch.project.feed, empty_is_ok=True))
    name, nothing = project.feed.name, b'{"records": []}'
    for number, body in enumerate((project.feed.sample, nothing, nothing)):
        project.archive_response(minute(number), body)
        load_as_collector(project, minute(number), body)
    other = {"collected_at": minute(0).isoformat(), "feed": "other", "object": "other/x"}
    project.bq.load_table_from_json([other], f"{project.name}.vlille.empty_responses").result()
    streamed = batch.content()
    assert [(row["feed"], row["collected_at"]) for row in streamed["empty_responses"]] == [
        ("other", minute(0)),
        (name, minute(1)),
        (name, minute(2)),
    ]
    run = batch.run()
    assert (run.status, run.message, run.statistics.objects_read) == (SUCCEEDED, None, 3)
    assert batch.content() == streamed
    load_as_collector(project, minute(3), nothing)
    assert "1 minutes in" in str(batch.run().message)
    assert len(batch.content()["empty_responses"]) == 4


def test_the_statistics_of_a_day_with_every_fault(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    records = len(parse_response(feed, feed.sample, MIDNIGHT).rows)
    project.archive_response(minute(0), feed.sample)
    project.archive_response(minute(1439), make_faulty_body(feed))
    project.put(archive_name(feed.name, minute(61)), compress(feed.sample)[:-9])
    project.put(archive_name(feed.name, minute(62)), compress(b"<html>down</html>"))
    project.put(f"feed={feed.name}/date=2023-10-26/hour=07/data.json", feed.sample)
    project.archive_response(minute(1440), feed.sample)  # the day after
    run = batch.run()
    assert run.objects_listed == 5
    assert run.statistics == RunStatistics(2, 3, 2 * records + 1, 2 * records, 1, 1)
    assert run.objects_listed == run.statistics.objects_read + run.statistics.objects_quarantined
    assert sorted(row["reason"] for row in project.table("quarantine")) == [
        "bad_name",
        "bad_value",
        "duplicate_key",
        "html",
        "unreadable",
    ]
    assert {row["collected_at"] for row in project.table(feed.name)} == {minute(0), minute(1439)}
    (recorded,) = project.table("batch_runs")
    assert recorded["run_id"] == run.run_id
    assert recorded["rows_loaded"] == len(project.table(feed.name))
    assert (recorded["status"], recorded["first_day"], recorded["message"]) == ("succeeded", DAY, None)
    assert recorded["started_at"] <= recorded["finished_at"]
    again, before = batch.run(), batch.content()
    assert again.statistics == run.statistics
    assert batch.content() == before
    assert project.tables() == ["batch_runs", "empty_responses", "quarantine", feed.name]


def test_days_without_objects_are_not_changed(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    load_as_collector(project, minute(-1), feed.sample)
    project.archive_response(minute(5), feed.sample)
    nothing = batch.run(first_day=DAY - timedelta(1), last_day=DAY - timedelta(1))
    assert nothing.status == NOTHING_ARCHIVED
    assert "has no objects of vlille_ods for 2023-10-25; no table was changed" in str(nothing.message)
    some = batch.run(first_day=DAY - timedelta(1), last_day=DAY + timedelta(1))
    assert some.status == SUCCEEDED
    assert some.message == "nothing is archived for 2023-10-25, 2023-10-27: these days were not changed"
    assert {row["collected_at"] for row in project.table(feed.name)} == {minute(-1), minute(5)}
    assert {row["status"] for row in project.table("batch_runs")} == {SUCCEEDED, NOTHING_ARCHIVED}


def test_a_failed_reconciliation_changes_no_table(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    for number in (0, 70):
        project.archive_response(minute(number), feed.sample)
    assert batch.run().status == SUCCEEDED
    before = batch.content()
    project.archive_response(minute(1), feed.sample)

    def lose_an_hour(work: ReadHours, hours: Sequence[ArchiveHour]) -> list[HourResult]:
        return list(batch.run_hours(work, hours))[:-1]

    def lose_an_object(work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
        return batch.run_hours(work, [replace(hour, objects=hour.objects[:1]) for hour in hours])

    def lose_a_file(work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
        results = list(batch.run_hours(work, hours))
        project.gcs.bucket(f"{project.name}-staging").blob(
            f"{work.folder}/rows/{hours[0].label}.parquet"
        ).delete()
        return iter(results)

    def lose_an_archived_object(work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
        project.gcs.bucket(project.archive).blob(hours[0].objects[0].name).delete()
        return batch.run_hours(work, hours)

    faults = {
        lose_an_hour: "1 of 2 hours have no result, the first is 2023-10-26T01",
        lose_an_object: "hour 2023-10-26T00: 2 objects listed, but 1 read and 0 quarantined",
        lose_a_file: "Parquet files were not loaded",
        lose_an_archived_object: "was listed and cannot be read: status 404",
    }
    for fault, says in faults.items():
        run = batch.run(fault)
        assert run.status == FAILED
        assert says in str(run.message)
        assert batch.content() == before
    failed = [row for row in project.table("batch_runs") if row["status"] == FAILED]
    assert len(failed) == len(faults)
    assert all(row["message"] for row in failed)
    assert project.tables() == ["batch_runs", "empty_responses", "quarantine", feed.name]


def test_minutes_not_yet_archived_are_not_lost(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    project.archive_response(minute(0), feed.sample)
    for number in (0, 1):
        load_as_collector(project, minute(number), feed.sample)
    before = batch.content()
    run = batch.run()
    assert run.status == FAILED
    assert "1 minutes in" in str(run.message)
    assert "the first is 2023-10-26T00:01Z; no table was changed: wait for the next sweep" in str(run.message)
    assert batch.content() == before
    project.archive_response(minute(1), feed.sample)
    assert batch.run().status == SUCCEEDED
    assert batch.content() == before


class EventfulClient:
    """A BigQuery client around whose first call of a name something happens."""

    def __init__(self, client: bigquery.Client, name: str, event: Callable[[], None]) -> None:
        self._client, self._name, self._event = client, name, event

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            self._name = ""
            self._event()
        return getattr(self._client, name)


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_minute_that_is_loaded_during_the_run_is_not_lost(batch: Batch, earlier: int) -> None:
    """The collector goes on while the staging tables are filled, after the table was looked at."""
    project, feed = batch.project, batch.project.feed
    project.archive_response(minute(0), feed.sample)
    for number in range(earlier):
        load_as_collector(project, minute(number), feed.sample)

    def collect() -> None:
        load_as_collector(project, minute(2), feed.sample)

    run = batch.run(bq=EventfulClient(project.bq, "load_table_from_uri", collect))
    assert run.status == FAILED
    assert f"{feed.name} changed during the run" in str(run.message)
    assert {row["collected_at"] for row in project.table(feed.name)} == {
        *(minute(number) for number in range(earlier)),
        minute(2),
    }
    assert project.tables() == ["batch_runs", "empty_responses", "quarantine", feed.name]


@pytest.mark.parametrize(
    "fault",
    [
        TransportError("no token"),  # type: ignore[no-untyped-call]  # google-auth leaves it so
        requests.ConnectionError("reset"),
        KeyError("hours"),
    ],
)
def test_any_exception_is_recorded(batch: Batch, fault: Exception) -> None:
    def fail(work: ReadHours, hours: Sequence[ArchiveHour]) -> list[HourResult]:
        raise fault

    batch.project.archive_response(minute(0), batch.project.feed.sample)
    run = batch.run(fail)
    assert (run.status, run.message) == (FAILED, f"{type(fault).__name__}: {fault}")
    assert [row["message"] for row in batch.project.table("batch_runs")] == [run.message]
    assert not run.is_done


class Unrecorded:
    """A BigQuery client that loses its way to the table of runs."""

    def __init__(self, client: bigquery.Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name == "load_table_from_json":
            raise requests.ConnectionError("reset")
        return getattr(self._client, name)


def test_a_run_that_is_not_recorded_is_not_done(batch: Batch) -> None:
    project = batch.project
    project.archive_response(minute(0), project.feed.sample)
    assert batch.run().is_done
    run = batch.run(bq=Unrecorded(project.bq))
    assert (run.status, run.is_done) == (SUCCEEDED, False)
    assert len(project.table("batch_runs")) == 1


def test_a_table_that_is_missing(batch: Batch) -> None:
    batch.project.archive_response(minute(0), batch.project.feed.sample)
    batch.project.bq.delete_table("vlille.quarantine")
    run = batch.run()
    assert run.status == FAILED
    assert f"table {batch.project.name}.vlille.quarantine does not exist: deploy the stack" in str(
        run.message
    )
