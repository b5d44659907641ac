"""The functions that Spark calls in its Python workers for packs.

Only the standard library is imported at the top, because the job's packages have to be activated first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark.packages import activate_packages
from spark.rebuild.planning import ArchiveHour
from spark.settings import Settings
from spark.worker import get_archive_reader, get_staging_reader, get_staging_writer

if TYPE_CHECKING:
    from spark.packs.changes import DayBucket, DayChanges
    from spark.packs.hours import PackHourResult


@dataclass(frozen=True)
class ReadPacks:
    """Reads hours of packs; it is pickled and sent to the workers."""

    settings: Settings
    folder: str  # in the staging bucket
    buckets: int  # of systems, for joining their changes

    def __call__(self, partitions: Iterable[list[ArchiveHour]]) -> "Iterator[PackHourResult]":
        """Yield the result of each hour of a Spark partition."""
        activate_packages()
        from spark.packs.hours import read_pack_hours  # noqa: PLC0415 - after activate_packages()

        read, put = get_archive_reader(self.settings), get_staging_writer(self.settings)
        for hours in partitions:
            yield from read_pack_hours(hours, read, put, self.folder, self.buckets)


@dataclass(frozen=True)
class JoinChanges:
    """Joins the changes of hours; it is pickled and sent to the workers."""

    settings: Settings
    folder: str

    def __call__(self, partitions: "Iterable[list[DayBucket]]") -> "Iterator[DayChanges]":
        """Yield the joined changes of each hash bucket and day of a Spark partition."""
        activate_packages()
        from spark.packs.changes import join_hourly_changes  # noqa: PLC0415

        read, put = get_staging_reader(self.settings), get_staging_writer(self.settings)
        for buckets in partitions:
            for bucket in buckets:
                yield join_hourly_changes(bucket, read, put, self.folder)
