"""What Spark calls in its Python workers. Only the standard library at the top: packages come first."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from feed import Feed
from spark.accounting import HourResult
from spark.packages import activate
from spark.planning import Hour
from spark.settings import Settings


@dataclass(frozen=True)
class Work:
    """What every part of one run has in common; it travels to the workers."""

    settings: Settings
    feed: Feed
    folder: str  # in the staging bucket

    def __call__(self, parts: Iterable[list[Hour]]) -> Iterator[HourResult]:
        """Do the parts of one Spark partition."""
        activate()
        from spark.hours import read_hours  # noqa: PLC0415 - activate() puts in place what it imports

        read, put = archive_reader(self.settings), staging_putter(self.settings)
        for hours in parts:
            yield from read_hours(self.feed, hours, read, put, self.folder)


RunHours = Callable[[Work, Sequence[Hour]], Iterable[HourResult]]


class RunHoursError(RuntimeError):
    """The hours could not be read; the message is the first fault's."""


@cache
def archive_reader(settings: Settings) -> Callable[[str], bytes]:
    """Return what reads an object of the archive.

    Made once a worker process: connections stay open from one part to the next.
    """
    return _reader(settings, settings.archive_bucket)


@cache
def staging_reader(settings: Settings) -> Callable[[str], bytes]:
    """Return what reads an object of the staging bucket, made once a worker process."""
    return _reader(settings, settings.staging_bucket)


@cache
def staging_putter(settings: Settings) -> Callable[[str, Path], str]:
    """Return what stores a file in the staging bucket, made once a worker process."""
    from spark.archive import own_credentials, put_file, storage_client  # noqa: PLC0415

    client = storage_client(settings.project, own_credentials())
    return partial(put_file, client, settings.staging_bucket)


def _reader(settings: Settings, bucket: str) -> Callable[[str], bytes]:
    from spark.archive import object_reader, own_credentials  # noqa: PLC0415
    from spark.hours import READ_THREADS  # noqa: PLC0415

    return object_reader(own_credentials(), settings.storage_url, bucket, connections=READ_THREADS)
