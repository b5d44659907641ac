"""Runs that are killed or fail: days are replaced as a whole, and the next run continues."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from google.cloud import bigquery

from bench.batch.exactness import count_skipped_days
from spark.rebuild.day_batches import FAILED, SUCCEEDED
from spark.rebuild.job import Run
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult
from spark.worker import ReadHours
from tests.spark.rebuild.batch import DAY, Batch, load_as_collector, make_faulty_body, minute

pytestmark = pytest.mark.emulator


class KilledError(BaseException):
    """Simulates kill -9."""


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
            for number, body in enumerate([batch.project.feed.sample, make_faulty_body(batch.project.feed)]):
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
    assert ended.message == "days rebuilt by an earlier, interrupted run and skipped: 4"
    assert count_skipped_days(ended.message) == 4  # the benchmark reads it


def test_a_failure_leaves_the_finished_days(batch: Batch) -> None:
    feed = batch.project.feed
    for day in range(2):
        batch.project.archive_response(minute(day * 1440), feed.sample)
    load_as_collector(batch.project, minute(1440 + 9), feed.sample)  # not archived
    run = batch.run(last_day=DAY + timedelta(1), days_at_once=1)
    assert run.status == FAILED
    assert "run the batch again" in str(run.message)
    assert "The other days are already replaced, and the next run skips them: 2023-10-26" in str(run.message)
    assert run.statistics.objects_read == 1
    assert {row["collected_at"] for row in batch.content()[feed.name]} == {minute(0), minute(1440 + 9)}
