"""Make the rows of the tables from the results of a shard's requests, deterministically."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from feed import Outcome, Rejection, make_rejection_rows
from gbfs.collection.packs import FetchResult
from gbfs.errors import GbfsError
from gbfs.files.model import STATION_STATUS
from gbfs.files.reading import Reading, check_file, format_json_rows, read_file, to_json_value

Row = dict[str, Any]
# Up to so many rejections of one kind in a file have rows of their own; more are combined in one row.
MAX_SEPARATE_REJECTIONS = 3


@dataclass
class TableRows:
    """Rows by table, for load jobs of newline-delimited JSON."""

    station_status: list[Row] = field(default_factory=list)
    polls: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)


def make_rows(fetched: Iterable[FetchResult], tick: datetime, pack: str) -> TableRows:
    """Return the rows of a shard's results at a tick; `pack` is the object name of its pack.

    Each result becomes one row of polls. Each record of a received station_status becomes a row of station_status or
    of the quarantine. An unchanged one (304) adds none: the rows of an earlier minute remain valid.
    """
    rows = TableRows()
    collected_at = tick.astimezone(UTC)
    for each in fetched:
        reading = read_file(each.system_id, each.file, each.body) if is_readable_status(each) else None
        about = {"collected_at": collected_at.isoformat(), "system_id": each.system_id}
        poll = make_poll_row(each, reading, collected_at)
        rows.polls.append({name: to_json_value(value) for name, value in poll.items()})
        if reading is not None:
            rows.station_status += [about | row for row in format_json_rows(reading)]
            rows.quarantine += make_quarantine_rows(reading, each.system_id, collected_at, pack)
    return rows


@dataclass(frozen=True)
class ResultSummary:
    """The outcome of a poll and the file's ttl, without rows."""

    outcome: str
    ttl_seconds: int = 0


def summarize_result(each: FetchResult) -> ResultSummary:
    """Return the outcome that `make_rows` gives a result in `polls`, without converting its records."""
    if each.status == HTTPStatus.NOT_MODIFIED:
        return ResultSummary("failed" if each.unchanged_since is None else "unchanged")
    if each.status != HTTPStatus.OK:
        return ResultSummary("failed")
    if each.file != STATION_STATUS.name:
        return ResultSummary("received")
    try:
        return ResultSummary("received", check_file(each.file, each.body).ttl_seconds)
    except GbfsError:
        return ResultSummary("failed")


def is_readable_status(each: FetchResult) -> bool:
    """Return whether a result is a station_status with a body."""
    return each.status == HTTPStatus.OK and each.file == STATION_STATUS.name


def make_quarantine_rows(reading: Reading, system_id: str, tick: datetime, pack: str) -> list[Row]:
    """Return the rows of the quarantine table for the rejections and rejected_values of a file."""
    rejections = group_rejections((*reading.rejections, *reading.rejected_values))
    return make_rejection_rows(Outcome(system_id, tick, reading.records, [], rejections, ()), pack)


def group_rejections(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """Combine rejections of one kind if there are more than MAX_SEPARATE_REJECTIONS.

    A system that omits a field usually omits it for all of its stations, every minute.
    """
    kinds: dict[tuple[str, str, str], list[Rejection]] = {}
    for each in rejections:
        kinds.setdefault((each.scope, each.reason, each.field), []).append(each)
    grouped: list[Rejection] = []
    for found in kinds.values():
        if len(found) > MAX_SEPARATE_REJECTIONS:
            grouped.append(replace(found[0], index=None, occurrences=len(found)))
        else:
            grouped += found
    return tuple(grouped)


def make_poll_row(each: FetchResult, reading: Reading | None, tick: datetime) -> Row:
    """Return the row of polls, with native values; `reading` is the result of `read_file` for a station_status."""
    error = each.error
    if each.status == HTTPStatus.NOT_MODIFIED:
        if each.unchanged_since is None:
            error = "status 304 to an unconditional request, expected 200"
    elif each.status not in {None, HTTPStatus.OK}:
        error = f"status {each.status}, expected 200"
    elif reading is not None and reading.version is None:
        error = reading.rejections[0].message
    outcome = "failed" if error else "unchanged" if each.status == HTTPStatus.NOT_MODIFIED else "received"
    return {
        "collected_at": tick,
        "system_id": each.system_id,
        "file": each.file,
        "outcome": outcome,
        "status": each.status,
        "error": error,
        "fetched_at": each.fetched_at,
        "bytes": len(each.body),
        "version": reading.version if reading else None,
        "last_updated": reading.last_updated if reading else None,
        "ttl_seconds": reading.ttl_seconds if reading else None,
        "records": reading.records if reading else None,
        "rows": len(reading.rows) if reading else None,
        "rows_at": _find_rows_at(outcome, each.unchanged_since, tick),
    }


def _find_rows_at(outcome: str, unchanged_since: datetime | None, tick: datetime) -> datetime | None:
    if outcome == "failed":
        return None
    return unchanged_since if outcome == "unchanged" and unchanged_since else tick
