"""One part of the work, in one Python worker: hours of objects → Parquet files and accounts."""

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
    landing_name,
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

# A GET waits some 50 to 100 ms for the service and takes half a millisecond of this processor.
READ_THREADS = 192
READ_AHEAD = 1, 384  # objects begun and not yet parsed: at first, and at most
READ_AHEAD_BYTES = 64 * 2**20
UPLOADS = 4
MAX_STORED_BYTES = 64 * 2**20
MAX_DRIFTS = 100

ReadObject = Callable[[str], bytes]
StoreFile = Callable[[str, Path], str]  # object name, file → URI


@dataclass(frozen=True)
class ArchivedResponse:
    """One object of the archive as it was read."""

    stored: StoredObject
    tick: datetime | None  # None: its name is at fault
    data: bytes | None  # None: not worth reading, its name or its size is at fault


@dataclass(frozen=True)
class _WrittenHour:
    hour: ArchiveHour
    statistics: RunStatistics
    rows: RowsFile
    quarantine: RowsFile
    drifts: dict[str, int]


@cache
def get_prefetch_window() -> PrefetchWindow:
    """How many objects this process reads at once: what one part has learnt of the store serves the next."""
    return PrefetchWindow(*READ_AHEAD)


def read_hours(
    feed: Feed, hours: Sequence[ArchiveHour], read: ReadObject, put: StoreFile, folder: str
) -> Iterator[HourResult]:
    """Read every object of the hours, write and store their files below `folder` (of the staging bucket).

    Names and bytes of the files depend only on the objects, so that a repeated attempt stores the same.
    """

    def fetch(stored: StoredObject) -> ArchivedResponse:
        tick = _parse_tick(feed, stored.name)
        worth = tick is not None and stored.size <= MAX_STORED_BYTES
        return ArchivedResponse(stored, tick, read(stored.name) if worth else None)

    def store(written: _WrittenHour) -> HourResult:
        uris = [
            put(f"{folder}/{kind}/{written.hour.label}.parquet", file.path) if file.rows else None
            for kind, file in (("rows", written.rows), ("quarantine", written.quarantine))
        ]
        written.rows.path.unlink(missing_ok=True)
        written.quarantine.path.unlink(missing_ok=True)
        return HourResult(
            written.hour.label, written.statistics, uris[0], uris[1], written.quarantine.rows, written.drifts
        )

    with (
        TemporaryDirectory(prefix="vlille-batch-") as scratch,
        ThreadPoolExecutor(READ_THREADS, "read") as readers,
        ThreadPoolExecutor(UPLOADS, "store") as uploaders,
    ):
        # Reading goes on into the next hours while one is being written, and storing while the next is.
        objects = (stored for hour in hours for stored in hour.objects)
        answers = prefetch(
            readers, fetch, objects, get_prefetch_window(), lambda stored: stored.size / READ_AHEAD_BYTES
        )
        written = (_write_hour(feed, hour, answers, Path(scratch)) for hour in hours)
        yield from prefetch(uploaders, store, written, PrefetchWindow(UPLOADS, UPLOADS))


def _write_hour(
    feed: Feed, hour: ArchiveHour, answers: Iterator[ArchivedResponse], scratch: Path
) -> _WrittenHour:
    statistics, drifts = RunStatistics(), Counter[str]()
    quick_answers = quick_rows = 0
    decoder = make_decoder(feed)
    with (
        RowsFile(scratch / f"{hour.label}.rows.parquet", arrow_schema(station_schema(feed))) as rows,
        RowsFile(
            scratch / f"{hour.label}.quarantine.parquet", arrow_schema(quarantine_schema())
        ) as quarantine,
    ):
        for answer in islice(answers, len(hour.objects)):
            read = read_archived_response(feed, decoder, hour, answer)
            if isinstance(read, Outcome):
                rows.add(read.rows)
                name = answer.stored.name if answer.tick is None else landing_name(feed.name, answer.tick)
                quarantine.add([_to_native(row) for row in make_rejection_rows(read, name)])
                statistics += count_outcome(read)
                _count_drifts(drifts, read)
            else:
                quick_answers += 1
                quick_rows += rows.add_columns(answer.tick, read)
    statistics += RunStatistics(quick_answers, 0, quick_rows, quick_rows, 0)
    return _WrittenHour(hour, statistics, rows, quarantine, dict(drifts))


def read_archived_response(
    feed: Feed, decoder: Decoder | None, hour: ArchiveHour, answer: ArchivedResponse
) -> Outcome | list[pa.Array]:
    """The rows as columns, or where there is more to say the outcome; never raises on bad input.

    The quarantine has the landed object's name, as the collector writes it: a rebuild gives the same rows.
    """
    if answer.tick is None:
        return _make_bad_name_outcome(feed, hour, answer.stored.name)
    try:
        body = _decompress_response(answer)
    except DecompressionError as error:
        return make_unreadable_outcome(feed, answer.tick, error)
    columns = decoder.columns(body, answer.tick) if decoder is not None else None
    if columns is not None:
        return columns
    return parse_response(feed, body, answer.tick, charset=answer.stored.charset, decode=msgspec.json.decode)


def _decompress_response(answer: ArchivedResponse) -> bytes:
    if answer.data is None:
        raise DecompressionError(f"{answer.stored.size} bytes stored; expected at most {MAX_STORED_BYTES}")
    return decompress_fast(answer.data, MAX_STORED_BYTES)


def count_outcome(outcome: Outcome) -> RunStatistics:
    """What one object adds to the account."""
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
    message = f"{feed.name}: object not usable (bad_name): found {found}; expected {expected}"
    return Outcome(
        feed.name, midnight, 0, [], (Rejection("bad_name", None, "", found, expected, message),), ()
    )


def _to_native(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"collected_at": datetime.fromisoformat(row["collected_at"])}


def _count_drifts(drifts: Counter[str], outcome: Outcome) -> None:
    for drift in outcome.drifts:
        if drift.message in drifts or len(drifts) < MAX_DRIFTS:
            drifts[drift.message] += 1
