"""The functions that Spark calls in its Python workers.

Only the standard library is imported at the top, because the job's packages have to be activated first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from feed import Feed
from spark.packages import activate_packages
from spark.rebuild.planning import ArchiveHour
from spark.rebuild.statistics import HourResult
from spark.settings import Settings


@dataclass(frozen=True)
class ReadHours:
    """Reads partitions of a run's hours; it is pickled and sent to the workers."""

    settings: Settings
    feed: Feed
    folder: str  # in the staging bucket

    def __call__(self, partitions: Iterable[list[ArchiveHour]]) -> Iterator[HourResult]:
        """Read the hours of one Spark partition."""
        activate_packages()
        from spark.responses.hours import read_hours  # noqa: PLC0415 - after activate_packages()

        read, put = get_archive_reader(self.settings), get_staging_writer(self.settings)
        for hours in partitions:
            yield from read_hours(self.feed, hours, read, put, self.folder)


RunHours = Callable[[ReadHours, Sequence[ArchiveHour]], Iterable[HourResult]]


class RunHoursError(RuntimeError):
    """The hours could not be read; the message is that of the first error."""


@cache
def get_archive_reader(settings: Settings) -> Callable[[str], bytes]:
    """Return the function that reads an object of the archive.

    It is made once per worker process, so that connections are reused by the next partition.
    """
    return _make_reader(settings, settings.archive_bucket)


@cache
def get_staging_reader(settings: Settings) -> Callable[[str], bytes]:
    """Return the function that reads an object of the staging bucket, made once per worker process."""
    return _make_reader(settings, settings.staging_bucket)


@cache
def get_staging_writer(settings: Settings) -> Callable[[str, Path], str]:
    """Return the function that stores a file in the staging bucket, made once per worker process."""
    from spark.archive import load_credentials, make_storage_client, store_file  # noqa: PLC0415

    client = make_storage_client(settings.project, load_credentials())
    return partial(store_file, client, settings.staging_bucket)


def _make_reader(settings: Settings, bucket: str) -> Callable[[str], bytes]:
    from spark.archive import load_credentials, make_object_reader  # noqa: PLC0415
    from spark.responses.hours import READ_THREADS  # noqa: PLC0415

    return make_object_reader(load_credentials(), settings.storage_url, bucket, connections=READ_THREADS)
