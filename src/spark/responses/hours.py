"""Read hours of archived responses in one Python worker, and write their rows as Parquet files."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa

from feed import (
    DecompressionError,
    Feed,
    Outcome,
    Rejection,
    empty_responses_schema,
    landing_name,
    make_empty_response_rows,
    make_rejection_rows,
    make_unreadable_outcome,
    parse_object_name,
    parse_response,
    quarantine_schema,
    station_schema,
)
from spark.parquet import RowsFile, arrow_schema
from spark.prefetch import PrefetchWindow, prefetch
from spark.rebuild.planning import ArchiveHour, StoredObject
from spark.rebuild.statistics import HourResult, RunStatistics
from spark.responses.decoding import Decoder, decompress_fast, make_decoder

# A GET waits 50 to 100 ms for the service and takes half a millisecond of CPU time.
READ_THREADS = 192
READ_AHEAD = 1, 384  # the prefetch window in objects: initially, and at most
READ_AHEAD_BYTES = 64 * 2**20
UPLOADS = 4
MAX_STORED_BYTES = 64 * 2**20
MAX_DRIFTS = 100

ReadObject = Callable[[str], bytes]
StoreFile = Callable[[str, Path], str]  # object name, file → URI


@dataclass(frozen=True)
class ArchivedResponse:
    """One object of the archive, as it was read."""

    stored: StoredObject
    tick: datetime | None  # None: its name is invalid
    data: bytes | None  # None: not read, because its name is invalid or it is too large


@dataclass(frozen=True)
class _WrittenHour:
    hour: ArchiveHour
    statistics: RunStatistics
    rows: RowsFile
    quarantine: RowsFile
    empty: RowsFile
    drifts: dict[str, int]


@cache
def get_prefetch_window() -> PrefetchWindow:
    """Return the prefetch window of this process; one partition starts with the size that the previous one reached."""
    return PrefetchWindow(*READ_AHEAD)


def read_hours(
    feed: Feed, hours: Sequence[ArchiveHour], read: ReadObject, put: StoreFile, folder: str
) -> Iterator[HourResult]:
    """Read all objects of the hours, and store their Parquet files below `folder` of the staging bucket.

    The names and bytes of the files depend only on the objects, so that a retry stores the same files.
    """

    def fetch(stored: StoredObject) -> ArchivedResponse:
        tick = _parse_tick(feed, stored.name)
        is_readable = tick is not None and stored.size <= MAX_STORED_BYTES
        return ArchivedResponse(stored, tick, read(stored.name) if is_readable else None)

    def store(written: _WrittenHour) -> HourResult:
        uris = {}
        files = {"rows": written.rows, "quarantine": written.quarantine, "empty": written.empty}
        for kind, file in files.items():
            uris[kind] = (
                put(f"{folder}/{kind}/{written.hour.label}.parquet", file.path) if file.rows else None
            )
            file.path.unlink(missing_ok=True)
        return HourResult(
            written.hour.label,
            written.statistics,
            uris["rows"],
            uris["quarantine"],
            written.quarantine.rows,
            written.drifts,
            uris["empty"],
            written.empty.rows,
        )

    with (
        TemporaryDirectory(prefix="vlille-batch-") as scratch,
        ThreadPoolExecutor(READ_THREADS, "read") as readers,
        ThreadPoolExecutor(UPLOADS, "store") as uploaders,
    ):
        # The next hours are read while one is written, and an hour is stored while the next one is written.
        objects = (stored for hour in hours for stored in hour.objects)
        responses = prefetch(
            readers, fetch, objects, get_prefetch_window(), lambda stored: stored.size / READ_AHEAD_BYTES
        )
        written = (_write_hour(feed, hour, responses, Path(scratch)) for hour in hours)
        yield from prefetch(uploaders, store, written, PrefetchWindow(UPLOADS, UPLOADS))


def _write_hour(
    feed: Feed, hour: ArchiveHour, responses: Iterator[ArchivedResponse], scratch: Path
) -> _WrittenHour:
    statistics, drifts = RunStatistics(), Counter[str]()
    decoded_responses = decoded_rows = 0
    decoder = make_decoder(feed)
    with (
        RowsFile(scratch / f"{hour.label}.rows.parquet", arrow_schema(station_schema(feed))) as rows,
        RowsFile(
            scratch / f"{hour.label}.quarantine.parquet", arrow_schema(quarantine_schema())
        ) as quarantine,
        RowsFile(scratch / f"{hour.label}.empty.parquet", arrow_schema(empty_responses_schema())) as empty,
    ):
        for response in islice(responses, len(hour.objects)):
            read = read_archived_response(feed, decoder, hour, response)
            if isinstance(read, Outcome):
                rows.add(read.rows)
                name = (
                    response.stored.name if response.tick is None else landing_name(feed.name, response.tick)
                )
                quarantine.add([_to_native(row) for row in make_rejection_rows(read, name)])
                empty.add([_to_native(row) for row in make_empty_response_rows(read, name)])
                statistics += count_outcome(read)
                _count_drifts(drifts, read)
            else:
                decoded_responses += 1
                decoded_rows += rows.add_columns(response.tick, read)
    statistics += RunStatistics(decoded_responses, 0, decoded_rows, decoded_rows, 0)
    return _WrittenHour(hour, statistics, rows, quarantine, empty, dict(drifts))


def read_archived_response(
    feed: Feed, decoder: Decoder | None, hour: ArchiveHour, response: ArchivedResponse
) -> Outcome | list[pa.Array]:
    """Return the rows as columns, or the outcome if the response has rejections or schema drift.

    Invalid input raises no exception. The quarantine gets the landed object's name, as the collector writes it, so that
    a rebuild gives the same rows.
    """
    if response.tick is None:
        return _make_bad_name_outcome(feed, hour, response.stored.name)
    try:
        body = _decompress_response(response)
    except DecompressionError as error:
        return make_unreadable_outcome(feed, response.tick, error)
    columns = decoder.columns(body, response.tick) if decoder is not None else None
    if columns is not None and len(columns[0]):
        return columns
    return parse_response(
        feed, body, response.tick, charset=response.stored.charset, decode=msgspec.json.decode
    )


def _decompress_response(response: ArchivedResponse) -> bytes:
    if response.data is None:
        raise DecompressionError(f"{response.stored.size} bytes stored; expected at most {MAX_STORED_BYTES}")
    return decompress_fast(response.data, MAX_STORED_BYTES)


def count_outcome(outcome: Outcome) -> RunStatistics:
    """Return the statistics of one object."""
    return RunStatistics(
        objects_read=int(outcome.is_usable),
        objects_quarantined=int(not outcome.is_usable),
        rows_parsed=outcome.records,
        rows_loaded=len(outcome.rows),
        rows_rejected=outcome.rejected_records,
        values_rejected=outcome.rejected_values,
        values_implausible=outcome.implausible_values,
    )


def _parse_tick(feed: Feed, name: str) -> datetime | None:
    try:
        named, tick = parse_object_name(name)
    except ValueError:
        return None
    return tick if named == feed.name else None


def _make_bad_name_outcome(feed: Feed, hour: ArchiveHour, name: str) -> Outcome:
    midnight = datetime.combine(hour.day, time(), UTC)
    expected = f"feed={feed.name}/date={hour.day}/hour=HH/YYYYMMDDTHHMMSSZ.json.gz"
    found = name[:1_000]
    message = f"{feed.name}: unusable object (bad_name): found {found}; expected {expected}"
    return Outcome(
        feed.name, midnight, 0, [], (Rejection("bad_name", None, "", found, expected, message),), ()
    )


def _to_native(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"collected_at": datetime.fromisoformat(row["collected_at"])}


def _count_drifts(drifts: Counter[str], outcome: Outcome) -> None:
    for drift in outcome.drifts:
        if drift.message in drifts or len(drifts) < MAX_DRIFTS:
            drifts[drift.message] += 1
