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

        read, put = _storage(self.settings)
        for hours in parts:
            yield from read_hours(self.feed, hours, read, put, self.folder)


RunHours = Callable[[Work, Sequence[Hour]], Iterable[HourResult]]


class RunHoursError(RuntimeError):
    """The hours could not be read; the message is the first fault's."""


@cache
def _storage(settings: Settings) -> tuple[Callable[[str], bytes], Callable[[str, Path], str]]:
    """Made once a worker process: connections stay open from one part to the next."""
    from spark.archive import object_reader, own_credentials, put_file, storage_client  # noqa: PLC0415
    from spark.hours import READ_THREADS  # noqa: PLC0415

    credentials = own_credentials()
    read = object_reader(credentials, settings.storage_url, settings.archive_bucket, connections=READ_THREADS)
    client = storage_client(settings.project, credentials)
    return read, partial(put_file, client, settings.staging_bucket)
