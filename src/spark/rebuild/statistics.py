"""Count what happened to each object and record, and reconcile the counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date

from spark.rebuild.planning import ArchiveHour


class ReconciliationError(RuntimeError):
    """The counts differ: a listed object was neither read nor quarantined, or rows are missing.

    What to do: run the batch again. If it fails again, report it: no table was changed.
    """


@dataclass(frozen=True)
class RunStatistics:
    """The counts of objects and records; rows_parsed == rows_loaded + rows_rejected."""

    objects_read: int = 0
    objects_quarantined: int = 0
    rows_parsed: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    values_rejected: int = 0
    values_implausible: int = 0

    def __add__(self, other: "RunStatistics") -> "RunStatistics":
        sums = {
            each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(RunStatistics)
        }
        return RunStatistics(**sums)


@dataclass(frozen=True)
class HourResult:
    """The result of one hour: its statistics and its files (None if there was nothing to write)."""

    label: str
    statistics: RunStatistics
    rows_uri: str | None
    quarantine_uri: str | None
    quarantine_rows: int
    drifts: Mapping[str, int] = field(default_factory=dict)  # message → number of responses
    empty_uri: str | None = None  # the rows of empty_responses
    empty_rows: int = 0


def reconcile(hours: Iterable[ArchiveHour], results: Iterable[HourResult]) -> RunStatistics:
    """Return the sum of all results, after each hour's counts were checked. Raises ReconciliationError."""
    listed = {hour.label: len(hour.objects) for hour in hours}
    total = RunStatistics()
    seen: set[str] = set()
    for result in results:
        if result.label in seen or result.label not in listed:
            raise ReconciliationError(
                f"hour {result.label}: reported twice, or not among the hours of this run; no table was changed: "
                "run the batch again"
            )
        seen.add(result.label)
        statistics = result.statistics
        processed = statistics.objects_read + statistics.objects_quarantined
        if processed != listed[result.label]:
            raise ReconciliationError(
                f"hour {result.label}: {listed[result.label]} objects listed, but {statistics.objects_read} read and "
                f"{statistics.objects_quarantined} quarantined; no table was changed: run the batch again"
            )
        if statistics.rows_parsed != statistics.rows_loaded + statistics.rows_rejected:
            raise ReconciliationError(
                f"hour {result.label}: {statistics.rows_parsed} records, but {statistics.rows_loaded} rows and "
                f"{statistics.rows_rejected} rejected; no table was changed: report this error"
            )
        total += statistics
    if missing := sorted(listed.keys() - seen):
        raise ReconciliationError(
            f"{len(missing)} of {len(listed)} hours have no result, the first is {missing[0]}; "
            "no table was changed: run the batch again"
        )
    return total


def sum_statistics_by_day(results: Iterable[HourResult]) -> dict[date, RunStatistics]:
    """Return the sum of the hours of each day."""
    days: dict[date, RunStatistics] = {}
    for result in results:
        day = date.fromisoformat(result.label[:10])
        days[day] = days.get(day, RunStatistics()) + result.statistics
    return days


def merge_drifts(results: Iterable[HourResult]) -> dict[str, int]:
    """Return the schema drift of all hours, message → number of responses."""
    merged = Counter[str]()
    for result in results:
        merged.update(result.drifts)
    return dict(merged)


def format_days(days: Iterable[date]) -> str:
    """Return days as text, such as `2023-10-26, 2023-10-27 and 3 more`."""
    texts = [day.isoformat() for day in days]
    return ", ".join(texts[:2]) + (f" and {len(texts) - 2} more" if len(texts) > 2 else "")
