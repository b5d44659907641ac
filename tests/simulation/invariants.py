"""What must hold in every history, looked at from outside: only the services' contents and Pub/Sub's record count."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from collector.loading import ATTEMPTS, QUOTA_PAUSE, QUOTA_REASONS
from feed import archive_name, landing_name, rejected_archive_name
from tests.simulation.workloads.feed_pipeline import ARCHIVE, FEED, LANDING, QUARANTINE, STATIONS, Pipeline

RECORDS = 2  # stations of a response


class ViolationError(BaseException):
    """An invariant does not hold. No handler may take it for a service's answer, hence no Exception."""


def check_while_running(pipeline: Pipeline, table: str) -> None:
    """After each change of a table: no row twice, and of each tick all rows of one response or none."""
    if table != STATIONS:
        return
    rows = pipeline.bigquery.tables[STATIONS]
    stations = Counter((row.tick, row.values["id"]) for row in rows)
    for (tick, station), count in stations.items():
        _require(count == 1, f"station {station} of the tick {tick:%H:%M} is {count} times in the table")
    per_tick = Counter(row.tick for row in rows)
    for tick, count in per_tick.items():
        _require(count == RECORDS, f"a reader sees {count} of {RECORDS} rows of the tick {tick:%H:%M}")
        numbers = {row.values["bikes"] % 1000 for row in rows if row.tick == tick}
        _require(len(numbers) == 1, f"rows of the tick {tick:%H:%M} come from responses {sorted(numbers)}")
    vanished = pipeline.seen_ticks - per_tick.keys()
    _require(not vanished, f"rows of {_times(vanished)} were there, and a reader sees them no more")
    pipeline.seen_ticks |= per_tick.keys()


def check_archive(pipeline: Pipeline, bucket: str) -> None:
    """After each change of a bucket: what is archived stays as it is."""
    if bucket != ARCHIVE:
        return
    archive = pipeline.storage.buckets[ARCHIVE]
    for name, generation in pipeline.archived_generations.items():
        found = archive.get(name)
        _require(
            found is not None and found.generation == generation,
            f"{name} was replaced or deleted in the archive",
        )
    pipeline.archived_generations = {name: stored.generation for name, stored in archive.items()}


def check_at_the_end(pipeline: Pipeline) -> None:
    """Once faults have stopped, the last sweep and the last delivery are over; before the last rebuild."""
    storage, tables = pipeline.storage, pipeline.bigquery.tables
    archive = storage.buckets[ARCHIVE]
    _require(
        not storage.buckets[LANDING], f"left in the landing bucket: {', '.join(storage.buckets[LANDING])}"
    )
    ticks = {message.tick: message for message in pipeline.messages}
    expected = {
        name_of(FEED.name, tick) for tick in ticks for name_of in (archive_name, rejected_archive_name)
    }
    _require(archive.keys() <= expected, f"objects of no tick: {sorted(archive.keys() - expected)}")
    for tick, message in ticks.items():
        _require(
            not message.unexcused, f"a delivery of {tick:%H:%M} failed without a fault: {message.unexcused}"
        )
        if message.state == "acknowledged":
            _require(archive_name(FEED.name, tick) in archive, f"the tick {tick:%H:%M} was lost: no object")
            expected_rows = len(_stations(pipeline, tick))
            _require(
                _count(pipeline, STATIONS, tick) == expected_rows, f"the tick {tick:%H:%M} was lost: no rows"
            )
    needless = [fetch.tick for fetch in pipeline.fetches if fetch.is_needless]
    _require(not needless, f"a redelivery asked the API although the response was stored: {_times(needless)}")
    early = [fetch.tick for fetch in pipeline.fetches if fetch.is_early]
    _require(not early, f"the API was asked although it had asked to wait: {_times(set(early))}")
    _compare(pipeline, [tick for tick in ticks if _count(pipeline, STATIONS, tick)])
    quarantined = Counter(row.values["object"] for row in tables[QUARANTINE])
    for tick, message in ticks.items():
        count = quarantined[landing_name(FEED.name, tick)]
        is_page = archive_name(FEED.name, tick) in archive and not _stations(pipeline, tick)
        most = int(pipeline.has_bad_record or is_page)
        least = most if message.state == "acknowledged" else 0
        _require(least <= count <= most, f"{count} rejected records of the tick {tick:%H:%M} in quarantine")


def check_load_jobs(pipeline: Pipeline) -> None:
    """A tick makes few load jobs, and none soon after one that failed for a quota."""
    for kind in ("rows", "quarantine"):
        for message in pipeline.messages:
            prefix = f"vlille-{landing_name(FEED.name, message.tick).split('.')[0].replace('/', '-')}-{kind}-"
            jobs = [job for job in pipeline.bigquery.jobs.values() if job.job_id.startswith(prefix)]
            _require(
                len(jobs) <= ATTEMPTS, f"the tick {message.tick:%H:%M} made {len(jobs)} load jobs of {kind}"
            )
            for job, after in pairwise(jobs):
                reason = job.error_result["reason"] if job.error_result else ""
                is_soon = job.ended and after.began and after.began < job.ended + QUOTA_PAUSE
                _require(
                    not (reason in QUOTA_REASONS and is_soon),
                    f"{after.job_id} began soon after {job.job_id}: {reason}",
                )


def check_after_the_rebuild(pipeline: Pipeline) -> None:
    """The last batch has rebuilt all days: the tables are what the archive says."""
    archive = pipeline.storage.buckets[ARCHIVE]
    ticks = [message.tick for message in pipeline.messages]
    archived = [tick for tick in ticks if archive_name(FEED.name, tick) in archive]
    for tick in ticks:
        expected = len(_stations(pipeline, tick)) if tick in archived else 0
        count = _count(pipeline, STATIONS, tick)
        _require(
            count == expected, f"{count} rows of the tick {tick:%H:%M} after the rebuild, not {expected}"
        )
    _compare(pipeline, archived)


def _compare(pipeline: Pipeline, ticks: Iterable[datetime]) -> None:
    """The rows of each tick are those of its archived object."""
    for tick in ticks:
        stored = pipeline.storage.buckets[ARCHIVE].get(archive_name(FEED.name, tick))
        _require(stored is not None, f"the tick {tick:%H:%M} has rows and no archived object")
        expected = _stations(pipeline, tick)
        rows = (row for row in pipeline.bigquery.tables[STATIONS] if row.tick == tick)
        found = {row.values["id"]: row.values["bikes"] for row in rows}
        _require(found == expected, f"rows of {tick:%H:%M} are {found}, its archived object has {expected}")


def _stations(pipeline: Pipeline, tick: datetime) -> dict[int, int]:
    """Station → bikes of a tick's archived object; none of a proxy's page."""
    body = gzip.decompress(pipeline.storage.buckets[ARCHIVE][archive_name(FEED.name, tick)].content)
    if not body.startswith(b"{"):
        return {}
    return {record["id"]: record["bikes"] for record in json.loads(body)["records"] if "id" in record}


def _count(pipeline: Pipeline, table: str, tick: datetime) -> int:
    return sum(row.tick == tick for row in pipeline.bigquery.tables[table])


def _times(ticks: Iterable[datetime]) -> str:
    return ", ".join(f"{tick:%H:%M}" for tick in sorted(ticks))


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise ViolationError(words)
