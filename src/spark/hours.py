"""One part of the work, in one Python worker: hours of objects → Parquet files and accounts."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from feed import (
    Feed,
    Outcome,
    RawError,
    Rejection,
    landing_name,
    parse,
    quarantine_rows,
    quarantine_schema,
    station_schema,
    tick_of,
    unpack,
    unreadable,
)
from spark.accounting import Account, HourResult
from spark.archive import overlapped
from spark.parquet import RowsFile, arrow_schema
from spark.planning import Hour, Stored

# A GET waits some 50 to 100 ms for the service and takes half a millisecond of this processor.
READ_THREADS = 32
READ_AHEAD = 64  # objects
UPLOADS = 4
MAX_STORED_BYTES = 64 * 2**20
MAX_DRIFTS = 100

Read = Callable[[str], bytes]
Put = Callable[[str, Path], str]  # object name, file → URI


@dataclass(frozen=True)
class _Answer:
    stored: Stored
    data: bytes | None  # None: not worth reading, its name or its size is at fault


@dataclass(frozen=True)
class _Written:
    hour: Hour
    account: Account
    rows: RowsFile
    quarantine: RowsFile
    drifts: dict[str, int]


def read_hours(feed: Feed, hours: Sequence[Hour], read: Read, put: Put, folder: str) -> Iterator[HourResult]:
    """Read every object of the hours, write and store their files below `folder` (of the staging bucket).

    Names and bytes of the files depend only on the objects, so that a repeated attempt stores the same.
    """

    def fetch(stored: Stored) -> _Answer:
        worth = _tick(feed, stored.name) is not None and stored.size <= MAX_STORED_BYTES
        return _Answer(stored, read(stored.name) if worth else None)

    def store(written: _Written) -> HourResult:
        uris = [
            put(f"{folder}/{kind}/{written.hour.label}.parquet", file.path) if file.rows else None
            for kind, file in (("rows", written.rows), ("quarantine", written.quarantine))
        ]
        written.rows.path.unlink(missing_ok=True)
        written.quarantine.path.unlink(missing_ok=True)
        return HourResult(
            written.hour.label, written.account, uris[0], uris[1], written.quarantine.rows, written.drifts
        )

    with (
        TemporaryDirectory(prefix="vlille-batch-") as scratch,
        ThreadPoolExecutor(READ_THREADS, "read") as readers,
        ThreadPoolExecutor(UPLOADS, "store") as uploaders,
    ):
        # Reading goes on into the next hours while one is being written, and storing while the next is.
        objects = (stored for hour in hours for stored in hour.objects)
        answers = overlapped(readers, fetch, objects, READ_AHEAD)
        written = (_write_hour(feed, hour, answers, Path(scratch)) for hour in hours)
        yield from overlapped(uploaders, store, written, UPLOADS)


def _write_hour(feed: Feed, hour: Hour, answers: Iterator[_Answer], scratch: Path) -> _Written:
    account, drifts = Account(), Counter[str]()
    with (
        RowsFile(scratch / f"{hour.label}.rows.parquet", arrow_schema(station_schema(feed))) as rows,
        RowsFile(
            scratch / f"{hour.label}.quarantine.parquet", arrow_schema(quarantine_schema())
        ) as quarantine,
    ):
        for answer in islice(answers, len(hour.objects)):
            object_name, outcome = read_answer(feed, hour, answer.stored, answer.data)
            rows.add(outcome.rows)
            quarantine.add([_native(row) for row in quarantine_rows(outcome, object_name)])
            account += account_of(outcome)
            _count_drifts(drifts, outcome)
    return _Written(hour, account, rows, quarantine, dict(drifts))


def read_answer(feed: Feed, hour: Hour, stored: Stored, data: bytes | None) -> tuple[str, Outcome]:
    """The name that an answer has in the quarantine, and its outcome; never raises on bad input.

    The name is the landed object's, as the collector writes it: a rebuild gives the same rows.
    """
    tick = _tick(feed, stored.name)
    if tick is None:
        return stored.name, _bad_name(feed, hour, stored.name)
    name = landing_name(feed.name, tick)
    if data is None:
        too_large = RawError(f"{stored.size} bytes stored; expected at most {MAX_STORED_BYTES}")
        return name, unreadable(feed, tick, too_large)
    try:
        body = unpack(data)
    except RawError as error:
        return name, unreadable(feed, tick, error)
    return name, parse(feed, body, tick, decode=msgspec.json.decode)


def account_of(outcome: Outcome) -> Account:
    """What one object adds to the account."""
    unusable = any(rejection.index is None for rejection in outcome.rejections)
    return Account(
        objects_read=int(not unusable),
        objects_quarantined=int(unusable),
        rows_parsed=outcome.records,
        rows_loaded=len(outcome.rows),
        rows_rejected=sum(rejection.index is not None for rejection in outcome.rejections),
    )


def _tick(feed: Feed, name: str) -> datetime | None:
    try:
        named, tick = tick_of(name)
    except ValueError:
        return None
    return tick if named == feed.name else None


def _bad_name(feed: Feed, hour: Hour, name: str) -> Outcome:
    midnight = datetime.combine(hour.day, time(), UTC)
    expected = f"feed={feed.name}/date={hour.day}/hour=HH/YYYYMMDDTHHMMSSZ.json.gz"
    found = name[:1_000]
    message = f"{feed.name}: object not usable (bad_name): found {found}; expected {expected}"
    return Outcome(
        feed.name, midnight, 0, [], (Rejection("bad_name", None, "", found, expected, message),), ()
    )


def _native(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"collected_at": datetime.fromisoformat(row["collected_at"])}


def _count_drifts(drifts: Counter[str], outcome: Outcome) -> None:
    for drift in outcome.drifts:
        if drift.message in drifts or len(drifts) < MAX_DRIFTS:
            drifts[drift.message] += 1
