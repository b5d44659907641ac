"""The nightly batch of GBFS systems: rebuild days of station_status, polls and station_status_changes from packs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from feed import Feed, quarantine_schema
from gbfs.tables import CHANGES_TABLE, POLLS_TABLE, STATION_STATUS_TABLE
from spark.archive import list_objects
from spark.packs.changes import DayBucket, DayChanges
from spark.packs.hours import FEED, PackHourResult, assign_bucket, parse_pack_name
from spark.packs.worker import JoinChanges, ReadPacks
from spark.rebuild.day_batches import DayBatches, ReadBatch
from spark.rebuild.planning import ArchiveHour, StoredObject
from spark.rebuild.statistics import HourResult
from spark.rebuild.warehouse import Replacement, check_nothing_lost

PACKS = Feed(FEED, "GBFS systems", url="", licence="", description="", records=(), columns=())
PREFIX = "gbfs/"


class PackDayBatches(DayBatches):
    """Rebuilds days of three tables, and of the quarantine's rows of packs, from packs."""

    def tables(self) -> Sequence[str]:
        """Return the names of the tables whose days are replaced, in addition to the quarantine."""
        return STATION_STATUS_TABLE.name, POLLS_TABLE.name, CHANGES_TABLE.name

    def list_day(self, day: date) -> list[StoredObject]:
        """Return the packs of a day."""
        return list_objects(self.gcs, self.settings.archive_bucket, f"{PREFIX}date={day}/")

    def read_hours(self, listed: Mapping[date, list[ArchiveHour]], folder: str) -> Sequence[HourResult]:
        """Write the Parquet files of the days' hours below a folder of the staging bucket."""
        hours = [hour for each in listed.values() for hour in each]
        work: Any = ReadPacks(self.settings, folder, count_shards(listed))
        return list(self.run_hours(work, hours))

    def read_days(self, listed: dict[date, list[ArchiveHour]]) -> ReadBatch:
        """Read a batch of days: first its hours, then join the changes of each day."""
        read = super().read_days(listed)
        run: Any = self.run_hours  # it accepts any work with its units
        staging = f"gs://{self.settings.staging_bucket}/"
        units = make_day_buckets(
            cast("Sequence[PackHourResult]", read.results), count_shards(listed), staging
        )
        changes = list(run(JoinChanges(self.settings, f"batch/{self.run_id}"), units))
        return ReadPackBatch(read.listed, read.results, read.statistics, changes)

    def replacements(self, read: ReadBatch) -> Sequence[Replacement]:
        """Return the replacements of the days. Raises WarehouseError if a minute has no pack."""
        table = self.settings.table
        results = cast("Sequence[PackHourResult]", read.results)
        changes = cast("ReadPackBatch", read).changes
        minutes = check_nothing_lost(
            self.bq, table(POLLS_TABLE.name), list(read.listed), list_pack_ticks(read.listed)
        )
        return (
            Replacement(
                table(STATION_STATUS_TABLE.name),
                STATION_STATUS_TABLE.schema,
                [result.rows_uri for result in results if result.rows_uri],
                read.statistics.rows_loaded,
                {},
            ),
            Replacement(
                table(POLLS_TABLE.name),
                POLLS_TABLE.schema,
                [result.polls_uri for result in results if result.polls_uri],
                sum(result.polls_rows for result in results),
                {},
                minutes,
            ),
            Replacement(
                table(CHANGES_TABLE.name),
                CHANGES_TABLE.schema,
                [each.uri for each in changes if each.uri],
                sum(each.rows for each in changes),
                {},
                time=CHANGES_TABLE.partition,
            ),
            Replacement(
                table("quarantine"),
                quarantine_schema(),
                [result.quarantine_uri for result in results if result.quarantine_uri],
                sum(result.quarantine_rows for result in results),
                {},
                prefixes={"object": PREFIX},
            ),
        )


@dataclass(frozen=True)
class ReadPackBatch(ReadBatch):
    """A batch of days whose Parquet files are in the staging bucket, with the changes of its days."""

    changes: Sequence[DayChanges]


def count_shards(listed: Mapping[date, Iterable[ArchiveHour]]) -> int:
    """Return the number of hash buckets for the systems of these packs: the number of shards."""
    shards = {shard for _, shard in _parse_names(listed)}
    return max(1, len(shards))


def list_pack_ticks(listed: Mapping[date, Iterable[ArchiveHour]]) -> set[datetime]:
    """Return the ticks with a pack."""
    return {tick for tick, _ in _parse_names(listed)}


def _parse_names(listed: Mapping[date, Iterable[ArchiveHour]]) -> Iterator[tuple[datetime, int]]:
    for hours in listed.values():
        for stored in (stored for hour in hours for stored in hour.objects):
            with suppress(ValueError):  # an invalid name, which is quarantined
                yield parse_pack_name(stored.name)


def make_day_buckets(results: Iterable[PackHourResult], buckets: int, staging: str) -> list[DayBucket]:
    """Return the buckets of each day from the results of its hours; `staging` is the prefix of the bucket's URIs."""
    by_day: dict[date, list[PackHourResult]] = {}
    for result in sorted(results, key=lambda result: result.label):
        by_day.setdefault(date.fromisoformat(result.label[:10]), []).append(result)
    return [
        DayBucket(
            day,
            number,
            [_strip_bucket(result.changes_uris.get(number), staging) for result in hours],
            [
                {
                    system_id: tick
                    for system_id, tick in result.first_known.items()
                    if assign_bucket(system_id, buckets) == number
                }
                for result in hours
            ],
        )
        for day, hours in by_day.items()
        for number in range(buckets)
    ]


def _strip_bucket(uri: str | None, staging: str) -> str | None:
    return None if uri is None else uri.removeprefix(staging)
