"""Compare the observations of a discovery with the known systems: rows of what changed, and the next known systems.

Pure and deterministic: the same inputs give the same rows, so that a redelivery adds nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gbfs.tables import APPEARED, CHANGED, STATION_INFORMATION_TABLE, SYSTEMS_TABLE, VANISHED

Row = dict[str, Any]
# Columns that describe the row itself: not compared.
_ROW_COLUMNS = frozenset({"system_id", "station_id", "valid_from", "event", "changed_columns", "error"})
_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Observation:
    """What a discovery observed of a system; `stations` is None if station_information could not be read.

    `content` has columns of `systems` with JSON values. If the system could not be reached, only the columns that do
    not depend on it; the others keep their known values.
    """

    content: Row
    error: str | None = None
    stations: Mapping[str, Row] | None = None  # columns of station_information, by station_id


@dataclass(frozen=True)
class KnownSystem:
    """The latest content of a system, and the digest of each station's content by station_id."""

    content: Row
    stations: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """URL of each file by name."""
        return {each["name"]: each["url"] for each in self.content.get("files") or []}


Known = Mapping[str, KnownSystem]


@dataclass
class ValidityRows:
    """Rows to add, by table."""

    systems: list[Row] = field(default_factory=list)
    station_information: list[Row] = field(default_factory=list)


def compare_observations(
    known: Known, seen: Mapping[str, Observation], collected: frozenset[str], tick: datetime
) -> tuple[dict[str, KnownSystem], ValidityRows]:
    """Return the known systems after a discovery, and a row for each difference.

    A known system that is not in `collected` has vanished. One that was not observed stays unchanged. An empty list of
    stations is ignored, since some systems publish one at night; a station vanishes if a list of others omits it.
    """
    rows = ValidityRows()
    after = dict(known)
    for system_id in sorted(known.keys() - collected):
        vanished = after.pop(system_id)
        rows.systems.append(_make_row(SYSTEMS_TABLE.columns, vanished.content, system_id, tick, VANISHED))
        rows.station_information += [
            _make_vanished_row(system_id, each, tick) for each in sorted(vanished.stations)
        ]
    for system_id in sorted(seen.keys() & collected):
        observation, before = seen[system_id], known.get(system_id)
        content = (before.content if before else {}) | observation.content
        changed = _find_changed_columns(before.content if before else {}, content)
        if before is None or changed:
            event = CHANGED if before else APPEARED
            row = _make_row(SYSTEMS_TABLE.columns, content, system_id, tick, event)
            row |= {"error": observation.error, "changed_columns": changed if before else []}
            rows.systems.append(row)
        stations = before.stations if before else {}
        if observation.stations:
            stations = _compare_stations(system_id, stations, observation.stations, tick, rows)
        after[system_id] = KnownSystem(content, stations)
    return after, rows


def _compare_stations(
    system_id: str, before: Mapping[str, str], seen: Mapping[str, Row], tick: datetime, rows: ValidityRows
) -> dict[str, str]:
    digests = {station_id: _compute_digest(row) for station_id, row in seen.items()}
    for station_id, digest in digests.items():
        if before.get(station_id) != digest:
            event = CHANGED if station_id in before else APPEARED
            columns = STATION_INFORMATION_TABLE.columns
            rows.station_information.append(_make_row(columns, seen[station_id], system_id, tick, event))
    rows.station_information += [
        _make_vanished_row(system_id, each, tick) for each in sorted(before.keys() - digests.keys())
    ]
    return digests


def _make_row(columns: tuple[Any, ...], content: Row, system_id: str, tick: datetime, event: str) -> Row:
    own = {"system_id": system_id, "valid_from": tick.isoformat(), "event": event}
    empty: Row = {column.name: [] if column.mode == "REPEATED" else None for column in columns}
    return empty | {name: value for name, value in content.items() if name in empty} | own


def _make_vanished_row(system_id: str, station_id: str, tick: datetime) -> Row:
    columns = STATION_INFORMATION_TABLE.columns
    return _make_row(columns, {"station_id": station_id}, system_id, tick, VANISHED)


def _find_changed_columns(before: Row, after: Row) -> list[str]:
    names = [column.name for column in SYSTEMS_TABLE.columns if column.name not in _ROW_COLUMNS]
    return [name for name in names if (before.get(name) or None) != (after.get(name) or None)]


def _compute_digest(row: Row) -> str:
    content = json.dumps(row, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_DIGEST_LENGTH]
