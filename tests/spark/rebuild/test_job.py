"""Whole runs without Spark: from an archive in the storage emulator to tables in the BigQuery emulator."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import TransportError
from google.cloud import bigquery

from feed import (
    Feed,
    archive_name,
    compress,
    convert_rows_to_json,
    landing_name,
    make_rejection_rows,
    parse_response,
)
from spark.archive import make_object_reader, store_file
from spark.rebuild.day_batches import FAILED, NOTHING_ARCHIVED, SUCCEEDED
from spark.rebuild.job import Run, rebuild_days
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.responses.hours import read_hours
from spark.settings import Settings
from spark.worker import ReadHours
from tests.spark.conftest import LOCATION

pytestmark = pytest.mark.emulator

DAY = date(2023, 10, 26)
MIDNIGHT = datetime(2023, 10, 26, tzinfo=UTC)


class Batch:
    """Runs on one project, with the workers' code in this process."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self.nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google-auth leaves it so
        self.settings = Settings(
            project=project.name,
            dataset="vlille",
            location=LOCATION,
            archive_bucket=project.archive,
            staging_bucket=f"{project.name}-staging",
            feed=project.feed.name,
            first_day=DAY,
            last_day=DAY,
            storage_url=project.environment["STORAGE_EMULATOR_HOST"],
        )

    def run_hours(self, work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
        settings = work.settings
        read = make_object_reader(self.nobody, settings.storage_url, settings.archive_bucket, connections=4)
        put = partial(store_file, self.project.gcs, settings.staging_bucket)
        return read_hours(work.feed, hours, read, put, work.folder)

    def run(self, run_hours: Any = None, bq: Any = None, **changed: Any) -> Run:
        return rebuild_days(
            replace(self.settings, **changed),
            self.project.feed,
            gcs=self.project.gcs,
            bq=bq or self.project.bq,
            run_hours=run_hours or self.run_hours,
        )

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """All that a run may change, but for the list of runs."""
        return {name: self.project.table(name) for name in (self.project.feed.name, "quarantine")}


@pytest.fixture
def batch(new_project: Callable[[Feed], Any], ods: Feed) -> Batch:
    return Batch(new_project(ods))


def minute(number: int) -> datetime:
    return MIDNIGHT + timedelta(minutes=number)


def stream(project: Any, tick: datetime, body: bytes) -> None:
    """Load a response's rows as the collector does."""
    feed, outcome = project.feed, parse_response(project.feed, body, tick)
    for table, rows in (
        (feed.name, convert_rows_to_json(feed, outcome)),
        ("quarantine", make_rejection_rows(outcome, landing_name(feed.name, tick))),
    ):
        if rows:
            schema = project.bq.get_table(f"vlille.{table}").schema
            config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_APPEND")
            project.bq.load_table_from_json(
                rows, f"{project.name}.vlille.{table}", job_config=config
            ).result()


def accident(feed: Feed) -> bytes:
    """Return a response with an invalid value in one record, and a duplicate record."""
    document = json.loads(feed.sample)
    document["records"][1]["fields"]["nbvelosdispo"] = "many"
    return json.dumps(document | {"records": [*document["records"], document["records"][0]]}).encode()


def test_a_rebuilt_day_equals_the_streamed_day(batch: Batch, full_response: bytes) -> None:
    """The streamed rows are replaced by equal ones, column by column; so is the quarantine."""
    project, feed = batch.project, batch.project.feed
    bodies = [feed.sample, full_response, accident(feed), b"<html>", b'{"records": []}']
    for number, body in enumerate(bodies):
        project.archive_response(minute(number * 59), body)
        stream(project, minute(number * 59), body)
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


def test_the_statistics_of_a_day_with_every_fault(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    records = len(parse_response(feed, feed.sample, MIDNIGHT).rows)
    project.archive_response(minute(0), feed.sample)
    project.archive_response(minute(1439), accident(feed))
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
    assert project.tables() == ["batch_runs", "quarantine", feed.name]


def test_days_without_objects_are_not_changed(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    stream(project, minute(-1), feed.sample)
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
    assert project.tables() == ["batch_runs", "quarantine", feed.name]


def test_minutes_not_yet_archived_are_not_lost(batch: Batch) -> None:
    project, feed = batch.project, batch.project.feed
    project.archive_response(minute(0), feed.sample)
    for number in (0, 1):
        stream(project, minute(number), feed.sample)
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
        stream(project, minute(number), feed.sample)

    def collect() -> None:
        stream(project, minute(2), feed.sample)

    run = batch.run(bq=EventfulClient(project.bq, "load_table_from_uri", collect))
    assert run.status == FAILED
    assert f"{feed.name} has got other minutes during the run" in str(run.message)
    assert {row["collected_at"] for row in project.table(feed.name)} == {
        *(minute(number) for number in range(earlier)),
        minute(2),
    }
    assert project.tables() == ["batch_runs", "quarantine", feed.name]


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


class KilledError(BaseException):
    """What stands for kill -9."""


class MortalClient:
    """A BigQuery client of a process that is killed just before one of its calls: none is made after it."""

    def __init__(self, client: bigquery.Client, stage: str) -> None:
        self._client, self._stage, self._dead = client, stage, False

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            stage = "transaction" if name == "query" and "BEGIN TRANSACTION" in arguments[0] else name
            self._dead = self._dead or stage == self._stage
            if self._dead:
                raise KilledError
            return getattr(self._client, name)(*arguments, **options)

        return call


def test_killed_anywhere_and_run_again(batch: Batch) -> None:
    """The old rows or the new, never a mixture; the next run sets it right."""
    project, feed = batch.project, batch.project.feed
    project.archive_response(minute(0), feed.sample)
    assert batch.run().status == SUCCEEDED
    old = batch.content()
    project.archive_response(minute(1), feed.sample)
    project.archive_response(minute(2), b"<html>")
    for stage in ("get_table", "create_table", "load_table_from_uri", "query", "transaction"):
        with pytest.raises(KilledError):
            batch.run(bq=MortalClient(project.bq, stage))
        assert batch.content() == old, stage
    with pytest.raises(KilledError):
        batch.run(bq=MortalClient(project.bq, "delete_table"))
    new = batch.content()
    assert {row["collected_at"] for row in new[feed.name]} == {minute(0), minute(1)}
    assert [row["reason"] for row in new["quarantine"]] == ["html"]
    with pytest.raises(KilledError):
        batch.run(bq=MortalClient(project.bq, "load_table_from_json"))
    assert batch.run().status == SUCCEEDED
    assert batch.content() == new
    assert len(project.table("batch_runs")) == 2


class Resumed:
    """Runs of four days, a day at a time, that are killed; what each read and replaced."""

    def __init__(self, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batch = batch
        self.read: list[int] = []
        self.replaced: list[int] = []
        self.killed: tuple[str, int] | None = None
        # BigQuery's part is tested above; here it would only take its time.
        monkeypatch.setattr("spark.rebuild.day_batches.check_nothing_lost", lambda *_, **__: 0)
        monkeypatch.setattr("spark.rebuild.day_batches.replace_days", self._replace)
        monkeypatch.setattr("spark.rebuild.job.record_run", lambda *_: self._die("recorded", 0))
        for day in range(4):
            for number, body in enumerate([batch.project.feed.sample, accident(batch.project.feed)]):
                batch.project.archive_response(minute(day * 1440 + number), body)

    def _die(self, when: str, day: int) -> None:
        if self.killed == (when, day):
            raise KilledError

    def _replace(self, _bq: Any, replacements: Any, days: list[date], *_: Any) -> None:
        [day] = [(each - DAY).days for each in days]
        self._die("before", day)
        assert len(replacements[0].uris) == 1
        self.replaced.append(day)
        self._die("after", day)

    def run(self, killed: tuple[str, int] | None = None, **changed: Any) -> Run | None:
        """A run with what it read in `read`; None where it was killed."""
        self.read, self.replaced, self.killed = [], [], killed

        def read(work: ReadHours, hours: Sequence[ArchiveHour]) -> Iterator[HourResult]:
            self.read += sorted({(hour.day - DAY).days for hour in hours})
            return self.batch.run_hours(work, hours)

        try:
            return self.batch.run(read, last_day=DAY + timedelta(3), days_at_once=1, **changed)
        except KilledError:
            return None


@pytest.fixture
def resumed(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> Resumed:
    return Resumed(batch, monkeypatch)


@pytest.mark.parametrize(
    ("killed", "left"),
    [
        (("before", 0), [0, 1, 2, 3]),
        (("before", 2), [2, 3]),
        (("after", 2), [2, 3]),  # once more, which changes nothing
        (("after", 3), [3]),
        (("recorded", 0), []),
    ],
)
def test_a_killed_run_is_continued(resumed: Resumed, killed: tuple[str, int], left: list[int]) -> None:
    """Only the days that were not finished are read again; the statistics cover all of them."""
    assert resumed.run(killed) is None
    again = resumed.run()
    assert again is not None
    assert again.is_done
    assert resumed.read == resumed.replaced == left
    assert (again.objects_listed, again.statistics.objects_read) == (8, 8)
    whole = resumed.run()
    assert whole is not None
    assert whole.statistics == again.statistics
    assert resumed.read == [0, 1, 2, 3]  # the run before has ended: there is nothing to go on with


def test_a_day_is_made_again_where_it_would_be_another(resumed: Resumed) -> None:
    assert resumed.run(("before", 3)) is None
    resumed.batch.project.archive_response(minute(1440 + 1), resumed.batch.project.feed.sample + b" ")
    assert resumed.run(("recorded", 0)) is None
    assert resumed.read == [1, 3]
    assert resumed.run(("recorded", 0), code="another") is None
    assert resumed.read == [0, 1, 2, 3]
    ended = resumed.run(code="another")
    assert ended is not None
    assert ended.message == "4 days had been finished by an earlier run that did not end"


def test_a_failure_leaves_the_finished_days(batch: Batch) -> None:
    feed = batch.project.feed
    for day in range(2):
        batch.project.archive_response(minute(day * 1440), feed.sample)
    stream(batch.project, minute(1440 + 9), feed.sample)  # not archived
    run = batch.run(last_day=DAY + timedelta(1), days_at_once=1)
    assert run.status == FAILED
    assert "run the batch again" in str(run.message)
    assert "; finished before: 2023-10-26; the next run continues after these days" in str(run.message)
    assert run.statistics.objects_read == 1
    assert {row["collected_at"] for row in batch.content()[feed.name]} == {minute(0), minute(1440 + 9)}
