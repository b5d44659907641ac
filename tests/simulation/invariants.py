"""The invariants of every history, checked from outside: on the contents of services and the messages of Pub/Sub."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from collector.loading import ATTEMPTS, QUOTA_PAUSE, QUOTA_REASONS
from feed import archive_name, landing_name, rejected_archive_name
from tests.simulation.violation import require
from tests.simulation.workloads.feed_pipeline import (
    ARCHIVE,
    EMPTY_RESPONSES,
    FEED,
    LANDING,
    QUARANTINE,
    STATIONS,
    Pipeline,
)

RECORDS = 2  # stations per response


def check_while_running(pipeline: Pipeline, table: str) -> None:
    """Check after each change of a table: rows are unique, and each tick has all rows of one response or none."""
    if table != STATIONS:
        return
    rows = pipeline.bigquery.tables[STATIONS]
    stations = Counter((row.tick, row.values["id"]) for row in rows)
    for (tick, station), count in stations.items():
        require(count == 1, f"station {station} of the tick {tick:%H:%M} is {count} times in the table")
    per_tick = Counter(row.tick for row in rows)
    for tick, count in per_tick.items():
        require(count == RECORDS, f"a reader sees {count} of {RECORDS} rows of the tick {tick:%H:%M}")
        numbers = {row.values["bikes"] % 1000 for row in rows if row.tick == tick}
        require(len(numbers) == 1, f"rows of the tick {tick:%H:%M} come from responses {sorted(numbers)}")
    vanished = pipeline.seen_ticks - per_tick.keys()
    require(not vanished, f"rows of {_format_times(vanished)} have vanished")
    pipeline.seen_ticks |= per_tick.keys()


def check_archive(pipeline: Pipeline, bucket: str) -> None:
    """Check after each change of a bucket: archived objects never change."""
    if bucket != ARCHIVE:
        return
    archive = pipeline.storage.buckets[ARCHIVE]
    for name, generation in pipeline.archived_generations.items():
        found = archive.get(name)
        require(
            found is not None and found.generation == generation,
            f"{name} was replaced or deleted in the archive",
        )
    pipeline.archived_generations = {name: stored.generation for name, stored in archive.items()}


def check_final_state(pipeline: Pipeline) -> None:
    """Check after the last fault, delivery and sweep, before the last rebuild."""
    storage, tables = pipeline.storage, pipeline.bigquery.tables
    archive = storage.buckets[ARCHIVE]
    require(
        not storage.buckets[LANDING], f"left in the landing bucket: {', '.join(storage.buckets[LANDING])}"
    )
    ticks = {message.tick: message for message in pipeline.messages}
    expected = {
        name_of(FEED.name, tick) for tick in ticks for name_of in (archive_name, rejected_archive_name)
    }
    require(archive.keys() <= expected, f"objects of no tick: {sorted(archive.keys() - expected)}")
    for tick, message in ticks.items():
        require(
            not message.unexcused, f"a delivery of {tick:%H:%M} failed without a fault: {message.unexcused}"
        )
        if message.state == "acknowledged":
            require(archive_name(FEED.name, tick) in archive, f"the tick {tick:%H:%M} was lost: no object")
            expected_rows = len(_read_stations(pipeline, tick))
            require(
                _count_rows(pipeline, STATIONS, tick) == expected_rows,
                f"the tick {tick:%H:%M} was lost: no rows",
            )
    needless = [fetch.tick for fetch in pipeline.fetches if fetch.is_redundant]
    require(
        not needless,
        f"a redelivery requested the API although the response was stored: {_format_times(needless)}",
    )
    early = [fetch.tick for fetch in pipeline.fetches if fetch.is_early]
    require(not early, f"the API was requested before the time in Retry-After: {_format_times(set(early))}")
    _compare_with_archive(pipeline, [tick for tick in ticks if _count_rows(pipeline, STATIONS, tick)])
    quarantined, empty = (
        Counter(row.values["object"] for row in tables[table]) for table in (QUARANTINE, EMPTY_RESPONSES)
    )
    for tick, message in ticks.items():
        name, is_stored = landing_name(FEED.name, tick), archive_name(FEED.name, tick) in archive
        is_empty = is_stored and _read_records(pipeline, tick) == []
        is_page = is_stored and _read_records(pipeline, tick) is None
        rejected = int(not is_empty and (pipeline.has_bad_record or is_page))
        for most, count, what in (
            (rejected, quarantined[name], "rejected records"),
            (int(is_empty), empty[name], "empty responses"),
        ):
            least = most if message.state == "acknowledged" else 0
            require(least <= count <= most, f"{count} {what} of the tick {tick:%H:%M}")


def check_load_jobs(pipeline: Pipeline) -> None:
    """Check that a tick starts few load jobs, and none soon after one that exceeded a quota."""
    for kind in ("rows", "quarantine", "empty"):
        for message in pipeline.messages:
            prefix = f"vlille-{landing_name(FEED.name, message.tick).split('.')[0].replace('/', '-')}-{kind}-"
            jobs = [job for job in pipeline.bigquery.jobs.values() if job.job_id.startswith(prefix)]
            require(
                len(jobs) <= ATTEMPTS, f"the tick {message.tick:%H:%M} made {len(jobs)} load jobs of {kind}"
            )
            for job, after in pairwise(jobs):
                reason = job.error_result["reason"] if job.error_result else ""
                is_soon = job.ended and after.began and after.began < job.ended + QUOTA_PAUSE
                require(
                    not (reason in QUOTA_REASONS and is_soon),
                    f"{after.job_id} began soon after {job.job_id}: {reason}",
                )


def check_after_rebuild(pipeline: Pipeline) -> None:
    """Check after the last rebuild of all days: the tables equal the archive."""
    archive = pipeline.storage.buckets[ARCHIVE]
    ticks = [message.tick for message in pipeline.messages]
    archived = [tick for tick in ticks if archive_name(FEED.name, tick) in archive]
    for tick in ticks:
        expected = len(_read_stations(pipeline, tick)) if tick in archived else 0
        count = _count_rows(pipeline, STATIONS, tick)
        require(count == expected, f"{count} rows of the tick {tick:%H:%M} after the rebuild, not {expected}")
        is_empty = tick in archived and _read_records(pipeline, tick) == []
        count = _count_rows(pipeline, EMPTY_RESPONSES, tick)
        require(count == is_empty, f"{count} empty responses of the tick {tick:%H:%M} after the rebuild")
    _compare_with_archive(pipeline, archived)


def _compare_with_archive(pipeline: Pipeline, ticks: Iterable[datetime]) -> None:
    """Check that the rows of each tick are those of its archived object."""
    for tick in ticks:
        stored = pipeline.storage.buckets[ARCHIVE].get(archive_name(FEED.name, tick))
        require(stored is not None, f"the tick {tick:%H:%M} has rows and no archived object")
        expected = _read_stations(pipeline, tick)
        rows = (row for row in pipeline.bigquery.tables[STATIONS] if row.tick == tick)
        found = {row.values["id"]: row.values["bikes"] for row in rows}
        require(found == expected, f"rows of {tick:%H:%M} are {found}, its archived object has {expected}")


def _read_stations(pipeline: Pipeline, tick: datetime) -> dict[int, int]:
    """Return the bikes by station of a tick's archived object."""
    return {record["id"]: record["bikes"] for record in _read_records(pipeline, tick) or () if "id" in record}


def _read_records(pipeline: Pipeline, tick: datetime) -> list[dict[str, int]] | None:
    """Return the records of a tick's archived object; None for a proxy's HTML page."""
    body = gzip.decompress(pipeline.storage.buckets[ARCHIVE][archive_name(FEED.name, tick)].content)
    records: list[dict[str, int]] | None = json.loads(body)["records"] if body.startswith(b"{") else None
    return records


def _count_rows(pipeline: Pipeline, table: str, tick: datetime) -> int:
    return sum(row.tick == tick for row in pipeline.bigquery.tables[table])


def _format_times(ticks: Iterable[datetime]) -> str:
    return ", ".join(f"{tick:%H:%M}" for tick in sorted(ticks))
