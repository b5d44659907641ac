"""Read hours of packs in one Python worker, and write station_status, polls, quarantine and changes as Parquet files.

Hours are independent: a status that is unchanged since an earlier hour is read from that hour's pack.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import pyarrow as pa

from feed import Rejection, quarantine_schema
from feed.parsing.outcome import Outcome, make_rejection_rows
from gbfs import GbfsError
from gbfs.collection.packs import FetchResult, pack_name, read_pack
from gbfs.collection.rows import is_readable_status, make_poll_row, make_quarantine_rows
from gbfs.files.model import STATION_STATUS
from gbfs.history.changes import Change, ChangeFinder, Values
from gbfs.tables import CHANGES_TABLE, POLLS_TABLE, STATION_STATUS_TABLE
from spark.packs.stations import Minute, StationsReader
from spark.parquet import RowsFile, arrow_schema
from spark.prefetch import PrefetchWindow, prefetch
from spark.rebuild.planning import ArchiveHour, StoredObject
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.responses.hours import ReadObject, StoreFile
from spark.settings import PACKS_FEED

FEED = PACKS_FEED  # the feed in batch_runs and quarantine for what concerns no single system
READ_THREADS = 16
READ_AHEAD = 4, 16  # the prefetch window in packs: initially, and at most
READ_AHEAD_BYTES = 64 * 2**20
CHANGES_AT_ONCE = 5_000  # rows
_NAME = re.compile(r"gbfs/.+/(\d{8}T\d{4}Z)_(\d{4})\.warc\.gz")


@dataclass(frozen=True)
class PackHourResult(HourResult):
    """The result of one hour of packs; `changes_uris` by bucket of systems, `first_known` by system."""

    polls_uri: str | None = None
    polls_rows: int = 0
    changes_uris: Mapping[int, str] = field(default_factory=dict)
    first_known: Mapping[str, datetime] = field(default_factory=dict)


def assign_bucket(system_id: str, buckets: int) -> int:
    """Return the number of the hash bucket that a system belongs to."""
    return crc32(system_id.encode()) % buckets


def parse_pack_name(name: str) -> tuple[datetime, int]:
    """Return the tick and shard in a pack's name. Raises ValueError."""
    match = _NAME.fullmatch(name)
    if match is not None:
        tick = datetime.strptime(match[1], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
        if pack_name(tick, int(match[2])) == name:
            return tick, int(match[2])
    raise ValueError(
        f"found {name[:200]}; expected a name such as {pack_name(datetime(2026, 5, 1, tzinfo=UTC), 0)}"
    )


def read_pack_hours(
    hours: Sequence[ArchiveHour], read: ReadObject, put: StoreFile, folder: str, buckets: int
) -> Iterator[PackHourResult]:
    """Read all packs of the hours, and store their Parquet files below `folder` of the staging bucket.

    The names and rows of the files depend only on the packs, so that a retry stores the same files.
    """
    objects = (stored for hour in hours for stored in hour.objects)
    with (
        TemporaryDirectory(prefix="vlille-packs-") as scratch,
        ThreadPoolExecutor(READ_THREADS, "read") as readers,
    ):
        packs = prefetch(
            readers,
            lambda stored: read(stored.name),
            objects,
            PrefetchWindow(*READ_AHEAD),
            lambda stored: stored.size / READ_AHEAD_BYTES,
        )
        for hour in hours:
            work = _HourWork(hour, read, Path(scratch), buckets)
            with work.files:
                for stored, data in zip(hour.objects, packs, strict=False):
                    work.add(stored, data)
                work.end()
            yield work.store(put, folder)
            for path in work.files.paths:
                path.unlink(missing_ok=True)


class _Files:
    """The Parquet files of one hour."""

    def __init__(self, scratch: Path, label: str, buckets: int) -> None:
        def file(kind: str, schema: Iterable[Mapping[str, Any]]) -> RowsFile:
            return RowsFile(scratch / f"{label}.{kind}.parquet", arrow_schema(schema))

        self.rows = file("rows", STATION_STATUS_TABLE.schema)
        self.polls = file("polls", POLLS_TABLE.schema)
        self.quarantine = file("quarantine", quarantine_schema())
        self.changes = [file(f"changes{number}", CHANGES_TABLE.schema) for number in range(buckets)]

    @property
    def all(self) -> list[RowsFile]:
        return [self.rows, self.polls, self.quarantine, *self.changes]

    @property
    def paths(self) -> list[Path]:
        return [each.path for each in self.all]

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *error: Any) -> None:
        for each in self.all:
            each.__exit__(*error)


@dataclass
class _System:
    """The state of one system within the hour."""

    reader: StationsReader
    finder: ChangeFinder
    first_known: datetime | None = None
    received_at: datetime | None = None  # the tick of the newest received response
    rows_at: datetime | None = None  # the tick whose rows are current
    stations: Mapping[str, Values] = field(default_factory=dict)


class _HourWork:
    """Reads the packs of one hour, in order."""

    def __init__(self, hour: ArchiveHour, read: ReadObject, scratch: Path, buckets: int) -> None:
        self.hour, self.files = hour, _Files(scratch, hour.label, buckets)
        self._read, self._buckets = read, buckets
        self._statistics = RunStatistics()
        self._tick: datetime | None = None
        self._seen: set[tuple[str, str]] = set()  # (system, file) of this tick
        self._systems: dict[str, _System] = {}
        self._changes: list[list[dict[str, Any]]] = [[] for _ in range(buckets)]  # buffered

    def add(self, stored: StoredObject, data: bytes) -> None:
        """Read one pack; an invalid pack becomes a row of the quarantine."""
        try:
            tick, shard = parse_pack_name(stored.name)
            fetched = list(read_pack(data))
        except GbfsError as error:
            self._quarantine_pack(stored.name, error.reason, error.message)
            return
        except ValueError as error:
            self._quarantine_pack(stored.name, "bad_name", str(error))
            return
        self._statistics += RunStatistics(objects_read=1)
        if tick != self._tick:
            self._tick, self._seen = tick, set()
        polls = []
        for each in fetched:
            # Two shards have a system in the minute of a deploy that reassigns hosts; the collector does the same.
            if (each.system_id, each.file) not in self._seen:
                self._seen.add((each.system_id, each.file))
                polls.append(self._add_fetch_result(each, tick, shard, stored.name))
        self.files.polls.add(polls)
        self._write_changes(CHANGES_AT_ONCE)

    def end(self) -> None:
        """Write the changes that have not ended within the hour."""
        for system_id, system in self._systems.items():
            self._buffer_changes(system_id, system.finder.end())
        self._write_changes(0)

    def store(self, put: StoreFile, folder: str) -> PackHourResult:
        """Store the files and return their URIs and counts."""
        files = self.files

        def uri(kind: str, file: RowsFile) -> str | None:
            return put(f"{folder}/{kind}/{self.hour.label}.parquet", file.path) if file.rows else None

        changes = {
            number: put(f"{folder}/changes-{number}/{self.hour.label}.parquet", file.path)
            for number, file in enumerate(files.changes)
            if file.rows
        }
        return PackHourResult(
            self.hour.label,
            self._statistics,
            uri("rows", files.rows),
            uri("quarantine", files.quarantine),
            files.quarantine.rows,
            polls_uri=uri("polls", files.polls),
            polls_rows=files.polls.rows,
            changes_uris=changes,
            first_known={
                system_id: system.first_known
                for system_id, system in self._systems.items()
                if system.first_known is not None
            },
        )

    def _add_fetch_result(self, each: FetchResult, tick: datetime, shard: int, pack: str) -> dict[str, Any]:
        """Return the row of polls."""
        system = self._systems.get(each.system_id)
        if system is None:
            system = self._systems[each.system_id] = _System(StationsReader(each.system_id), ChangeFinder())
        minute = system.reader.read(each.body) if is_readable_status(each) else None
        poll = make_poll_row(each, minute.reading if minute else None, tick)
        if minute is not None:
            self._write_minute(each.system_id, minute, tick, pack)
        if each.file == STATION_STATUS.name and poll["outcome"] != "failed":
            try:
                candidates = self._update_stations(system, each.system_id, poll, minute, shard)
            except (GbfsError, LookupError) as error:
                self._quarantine_rejection(each.system_id, tick, pack, "unknown_body", str(error))
            else:
                system.first_known = system.first_known or tick
                changes = system.finder.add(tick, system.stations, candidates)
                self._buffer_changes(each.system_id, changes)
        return poll

    def _write_minute(self, system_id: str, minute: Minute, tick: datetime, pack: str) -> None:
        reading = minute.reading
        self._statistics += RunStatistics(
            rows_parsed=reading.records,
            rows_loaded=len(reading.rows),
            rows_rejected=reading.records - len(reading.rows),
            values_rejected=len(reading.rejected_values),
        )
        if reading.rows:
            system_ids = pa.repeat(pa.scalar(system_id), len(reading.rows))
            self.files.rows.add_columns(tick, [system_ids, *minute.columns])
        self._write_quarantine(make_quarantine_rows(reading, system_id, tick, pack))

    def _update_stations(
        self, system: _System, system_id: str, poll: dict[str, Any], minute: Minute | None, shard: int
    ) -> list[str] | None:
        """Update the system's stations from a poll; return the stations that may have changed.

        Raises GbfsError or LookupError if the pack of an unchanged response does not have its body.
        """
        candidates: list[str] | None = None
        if minute is not None:
            if system.rows_at == system.received_at:
                candidates = minute.candidates
            system.stations = {row["station_id"]: row for row in minute.reading.rows}
            system.received_at = poll["collected_at"]
        elif poll["rows_at"] == system.rows_at:
            candidates = []
        else:
            # A 304 for a response other than the previous one, such as one of an earlier hour.
            system.stations = self._stations_at(system_id, poll["rows_at"], shard)
        system.rows_at = poll["rows_at"]
        return candidates

    def _stations_at(self, system_id: str, tick: datetime, shard: int) -> dict[str, Values]:
        name = pack_name(tick, shard)
        for each in read_pack(self._read(name)):
            if each.system_id == system_id and is_readable_status(each):
                rows = StationsReader(system_id).read(each.body).reading.rows
                return {row["station_id"]: row for row in rows}
        raise LookupError(
            f"found no station_status of {system_id} in {name}; expected the response to which a later 304 refers"
        )

    def _buffer_changes(self, system_id: str, changes: Iterable[Change]) -> None:
        rows = self._changes[assign_bucket(system_id, self._buckets)]
        rows += [make_change_row(system_id, change) for change in changes]

    def _write_changes(self, most: int) -> None:
        for rows, file in zip(self._changes, self.files.changes, strict=True):
            if len(rows) > most:
                file.add(rows)
                rows.clear()

    def _quarantine_pack(self, name: str, reason: str, message: str) -> None:
        self._statistics += RunStatistics(objects_quarantined=1)
        midnight = datetime.combine(self.hour.day, datetime.min.time(), UTC)
        self._quarantine_rejection(FEED, midnight, name, reason, message)

    def _quarantine_rejection(self, feed: str, tick: datetime, pack: str, reason: str, message: str) -> None:
        found, _, expected = message.removeprefix("found ").partition("; expected ")
        rejection = Rejection(reason, None, "", found, expected, f"{feed}: {message}", scope="response")
        self._write_quarantine(make_rejection_rows(Outcome(feed, tick, 0, [], (rejection,), ()), pack))

    def _write_quarantine(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.files.quarantine.add(
            [{**row, "collected_at": datetime.fromisoformat(row["collected_at"])} for row in rows]
        )


def make_change_row(system_id: str, change: Change) -> dict[str, Any]:
    """Return a row of station_status_changes."""
    about = {"system_id": system_id, "valid_from": change.valid_from, "valid_to": change.valid_to}
    return about | dict(change.values)
