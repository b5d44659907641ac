"""Rows of the tables in GBFS words, from what a shard has fetched: the same from its pack as when it was made."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from feed import Outcome, Rejection, quarantine_rows
from gbfs.errors import GbfsError
from gbfs.model import STATION_STATUS
from gbfs.packs import Fetched
from gbfs.reading import Reading, check_file, json_ready, load_rows, read_file

Row = dict[str, Any]
# Rejections of a file that are of one kind: up to so many are told one by one, more of them in one row.
MOST_OF_A_KIND = 3


@dataclass
class TableRows:
    """Rows by table, as JSON has them, for load jobs of newline-delimited JSON."""

    station_status: list[Row] = field(default_factory=list)
    polls: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)


def rows_of(fetched: Iterable[Fetched], tick: datetime, pack: str) -> TableRows:
    """Return the rows of what a shard has fetched at a tick; `pack` is the name of the object that keeps it.

    Each result gives one row of polls. A received station_status gives a row of station_status for each record, or one
    of quarantine; a status that is unchanged (304) gives none: the rows of the minute before still hold.
    """
    rows = TableRows()
    collected_at = tick.astimezone(UTC)
    for each in fetched:
        reading = read_file(each.system_id, each.file, each.body) if has_stations(each) else None
        about = {"collected_at": collected_at.isoformat(), "system_id": each.system_id}
        poll = poll_row(each, reading, collected_at)
        rows.polls.append({name: json_ready(value) for name, value in poll.items()})
        if reading is not None:
            rows.station_status += [about | row for row in load_rows(reading)]
            rows.quarantine += quarantine_of(reading, each.system_id, collected_at, pack)
    return rows


@dataclass(frozen=True)
class Summary:
    """What came of one request, without its rows: the outcome of its poll and the file's ttl."""

    outcome: str
    ttl_seconds: int = 0


def summarize(each: Fetched) -> Summary:
    """Return what `rows_of` says of a result in `polls`, for a small part of the work."""
    if each.status == HTTPStatus.NOT_MODIFIED:
        return Summary("failed" if each.unchanged_since is None else "unchanged")
    if each.status != HTTPStatus.OK:
        return Summary("failed")
    if each.file != STATION_STATUS.name:
        return Summary("received")
    try:
        return Summary("received", check_file(each.file, each.body).ttl_seconds)
    except GbfsError:
        return Summary("failed")


def has_stations(each: Fetched) -> bool:
    """Return whether a result is a station_status that is to be read."""
    return each.status == HTTPStatus.OK and each.file == STATION_STATUS.name


def quarantine_of(reading: Reading, system_id: str, tick: datetime, pack: str) -> list[Row]:
    """Return the rows of the quarantine table for what did not fit, as JSON has them."""
    rejections = group_rejections((*reading.rejections, *reading.issues))
    return quarantine_rows(Outcome(system_id, tick, reading.records, [], rejections, ()), pack)


def group_rejections(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """Return the rejections with those of one kind in one, where they are more than MOST_OF_A_KIND.

    A system that leaves a field out does so at all of its stations, each minute.
    """
    kinds: dict[tuple[str, str, str], list[Rejection]] = {}
    for each in rejections:
        kinds.setdefault((each.scope, each.reason, each.field), []).append(each)
    grouped: list[Rejection] = []
    for found in kinds.values():
        if len(found) > MOST_OF_A_KIND:
            grouped.append(replace(found[0], index=None, occurrences=len(found)))
        else:
            grouped += found
    return tuple(grouped)


def poll_row(each: Fetched, reading: Reading | None, tick: datetime) -> Row:
    """Return the row of polls, of native values; `reading` is what `read_file` says where the result has stations."""
    error = each.error
    if each.status == HTTPStatus.NOT_MODIFIED:
        if each.unchanged_since is None:
            error = "status 304 to a request without a condition, expected 200"
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
        "rows_at": _rows_at(outcome, each.unchanged_since, tick),
    }


def _rows_at(outcome: str, unchanged_since: datetime | None, tick: datetime) -> datetime | None:
    if outcome == "failed":
        return None
    return unchanged_since if outcome == "unchanged" and unchanged_since else tick
