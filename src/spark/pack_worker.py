"""What Spark calls in its Python workers for packs. Only the standard library at the top: packages come first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark.packages import activate
from spark.planning import Hour
from spark.settings import Settings
from spark.worker import archive_reader, staging_putter, staging_reader

if TYPE_CHECKING:
    from spark.pack_changes import DayBucket, DayChanges
    from spark.pack_hours import PackHourResult


@dataclass(frozen=True)
class ReadPacks:
    """Reads hours of packs; it travels to the workers."""

    settings: Settings
    folder: str  # in the staging bucket
    buckets: int  # of systems, by which changes are joined

    def __call__(self, parts: Iterable[list[Hour]]) -> "Iterator[PackHourResult]":
        """Do the parts of one Spark partition."""
        activate()
        from spark.pack_hours import read_pack_hours  # noqa: PLC0415 - activate() puts in place what it imports

        read, put = archive_reader(self.settings), staging_putter(self.settings)
        for hours in parts:
            yield from read_pack_hours(hours, read, put, self.folder, self.buckets)


@dataclass(frozen=True)
class JoinChanges:
    """Joins the changes of hours; it travels to the workers."""

    settings: Settings
    folder: str

    def __call__(self, parts: "Iterable[list[DayBucket]]") -> "Iterator[DayChanges]":
        """Do the parts of one Spark partition."""
        activate()
        from spark.pack_changes import join_hours  # noqa: PLC0415

        read, put = staging_reader(self.settings), staging_putter(self.settings)
        for buckets in parts:
            for bucket in buckets:
                yield join_hours(bucket, read, put, self.folder)
