"""Join the changes of a day's hours to the changes of the day, one hash bucket of systems at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gbfs.history.changes import Change, ChangePeriod, join_periods
from gbfs.tables import CHANGES_TABLE
from spark.packs.hours import make_change_row
from spark.parquet import RowsFile, arrow_schema
from spark.responses.hours import ReadObject, StoreFile

_ABOUT = ("system_id", "valid_from", "valid_to")
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class DayBucket:
    """The changes of one hash bucket of systems in a day's hours: each hour's file and first known ticks, in order.

    A system without a first known tick was not known in that hour; a file is None if no system had a change.
    """

    day: date
    number: int
    files: Sequence[str | None]  # names in the staging bucket
    first_known: Sequence[Mapping[str, datetime]]

    @property
    def objects(self) -> Sequence[str | None]:
        """The files, whose number is the size of this unit of work."""
        return self.files


@dataclass(frozen=True)
class DayChanges:
    """The file with the changes of a bucket and day, and their number."""

    day: date
    uri: str | None
    rows: int


def join_hourly_changes(bucket: DayBucket, read: ReadObject, put: StoreFile, folder: str) -> DayChanges:
    """Join a hash bucket's changes of a day, store them below `folder` of the staging bucket, and return their file."""
    midnight = datetime.combine(bucket.day + timedelta(days=1), time(), UTC)
    label = f"{bucket.day}-{bucket.number:04d}"
    with TemporaryDirectory(prefix="vlille-packs-") as scratch:
        path = Path(scratch) / f"{label}.parquet"
        with RowsFile(path, arrow_schema(CHANGES_TABLE.schema)) as file:
            hours = [_Hour(None if name is None else read(name)) for name in bucket.files]
            buffered: list[dict[str, Any]] = []
            for system_id in sorted({system_id for each in bucket.first_known for system_id in each}):
                periods = (
                    ChangePeriod(first_known[system_id], hour.changes_of(system_id))
                    for hour, first_known in zip(hours, bucket.first_known, strict=True)
                    if system_id in first_known
                )
                buffered += [make_change_row(system_id, change) for change in join_periods(periods, midnight)]
                if len(buffered) >= _ROWS_AT_ONCE:
                    file.add(buffered)
                    buffered = []
            file.add(buffered)
        uri = put(f"{folder}/changes/{label}.parquet", path) if file.rows else None
    return DayChanges(bucket.day, uri, file.rows)


class _Hour:
    """The changes of an hour by system."""

    def __init__(self, data: bytes | None) -> None:
        self._table: pa.Table | None = None
        self._ranges: dict[str, tuple[int, int]] = {}  # system → its first row and the number of rows
        if data is not None:
            self._table = pq.read_table(pa.BufferReader(data)).sort_by("system_id")
            start = 0
            for each in pc.value_counts(self._table["system_id"]).to_pylist():
                self._ranges[each["values"]] = start, each["counts"]
                start += each["counts"]

    def changes_of(self, system_id: str) -> list[Change]:
        """Return the changes of a system."""
        start, count = self._ranges.get(system_id, (0, 0))
        if self._table is None or not count:
            return []
        return list(_read_changes(self._table.slice(start, count).to_pylist()))


def _read_changes(rows: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    for row in rows:
        values = {name: value for name, value in row.items() if name not in _ABOUT}
        yield Change(row["station_id"], row["valid_from"], row["valid_to"], values)
