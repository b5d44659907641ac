"""What Spark calls in its Python workers for packs. Only the standard library at the top: packages come first."""

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
    """Reads hours of packs; it travels to the workers."""

    settings: Settings
    folder: str  # in the staging bucket
    buckets: int  # of systems, by which changes are joined

    def __call__(self, parts: Iterable[list[ArchiveHour]]) -> "Iterator[PackHourResult]":
        """Do the parts of one Spark partition."""
        activate_packages()
        from spark.packs.hours import read_pack_hours  # noqa: PLC0415 - activate_packages() puts in place what it imports

        read, put = get_archive_reader(self.settings), get_staging_writer(self.settings)
        for hours in parts:
            yield from read_pack_hours(hours, read, put, self.folder, self.buckets)


@dataclass(frozen=True)
class JoinChanges:
    """Joins the changes of hours; it travels to the workers."""

    settings: Settings
    folder: str

    def __call__(self, parts: "Iterable[list[DayBucket]]") -> "Iterator[DayChanges]":
        """Do the parts of one Spark partition."""
        activate_packages()
        from spark.packs.changes import join_hourly_changes  # noqa: PLC0415

        read, put = get_staging_reader(self.settings), get_staging_writer(self.settings)
        for buckets in parts:
            for bucket in buckets:
                yield join_hourly_changes(bucket, read, put, self.folder)
