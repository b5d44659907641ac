"""One sweep of the landing bucket: many objects at a time, within a deadline, safe beside another sweep."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from google.cloud.storage import Blob, Bucket
from google.cloud.storage import Client as StorageClient

from copier.deadline import CALL_SECONDS, RETRY, Deadline, OutOfTimeError
from copier.moving import Moved, RefusedError, move_landed, move_legacy, remove_note
from copier.planning import Landed, Legacy, Note, Plan, Refused, plan
from copier.settings import Settings
from feed import Feed, archive_name
from telemetry import log

PAGE = 1_000  # objects held in memory at a time
FIELDS = "items(name,bucket,generation,size,crc32c,timeCreated,metadata),nextPageToken"
SHOWN = 50  # refusals and failures that the answer lists; the counts are whole


_Job = tuple[Blob, Plan, dict[str, Blob]]  # an object, what to do, and what the archive has by name


@dataclass
class Sweep:
    """What became of the objects that were looked at; `complete` when that was all of them."""

    moved: int = 0
    skipped: int = 0
    retained: int = 0
    refused: int = 0
    failed: int = 0
    complete: bool = True
    refusals: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, result: Moved | Exception) -> None:
        """Count one object."""
        if isinstance(result, Moved):
            setattr(self, result, getattr(self, result) + 1)
            return
        is_refused = isinstance(result, RefusedError)
        self.refused += is_refused
        self.failed += not is_refused
        shown = self.refusals if is_refused else self.failures
        if len(shown) < SHOWN:
            shown.append({"object": name, "reason": str(result)[:500] or type(result).__name__})


def sweep(
    client: StorageClient,
    settings: Settings,
    feeds: Sequence[Feed],
    clock: Callable[[], float],
    tell: Callable[[str], None] = lambda _: None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sweep:
    """Archive every landed object; what the deadline leaves is for the next sweep.

    `clock` gives seconds, `now` the time that the age of a tick is counted to; `tell` is called with the name of
    each object that was looked at. An object that cannot be moved is counted and left; it stops no other one.
    A landed object that late deliveries may still need is archived and stays. While the objects of one page are
    moved the next page is listed, so that two are held in memory however many there are.
    """
    deadline = Deadline(clock, clock() + settings.deadline_s)
    done = Sweep()
    archive = client.bucket(settings.archive_bucket)
    last_deletable = now() - timedelta(seconds=settings.redelivery_window_s)
    pages = iter(_pages(client, settings.landing_bucket))

    def next_jobs() -> list[_Job]:
        page = [] if deadline.is_over() else next(filter(None, pages), [])
        plans = [plan(blob.name, blob.size, feeds) for blob in page]
        archived = _archived(client, settings, plans, deadline.halfway())
        return [(blob, each, archived) for blob, each in zip(page, plans, strict=True)]

    def move(job: _Job) -> Moved | Exception | None:
        if deadline.is_over():
            return None
        is_awaited = _moment(job[1]) > last_deletable
        return _move(*job, archive, deadline, keep=settings.keep or is_awaited)

    with (
        ThreadPoolExecutor(settings.threads, "move") as movers,
        ThreadPoolExecutor(1, "list") as lister,
    ):
        listed = lister.submit(next_jobs)
        while jobs := listed.result():
            listed = lister.submit(next_jobs)
            for (blob, *_), result in zip(jobs, movers.map(move, jobs), strict=True):
                tell(blob.name)
                if result is None:
                    done.complete = False
                else:
                    done.add(blob.name, result)
    if deadline.is_over():
        done.complete = False
    return done


def _moment(job: Plan) -> datetime:
    """What the age of an object is counted from; a past without end for what no delivery needs."""
    match job:
        case Landed():
            return job.tick
        case Note():
            return job.minute
        case _:
            return datetime.min.replace(tzinfo=UTC)


def _move(
    blob: Blob, job: Plan, archived: dict[str, Blob], archive: Bucket, deadline: Deadline, *, keep: bool
) -> Moved | Exception | None:
    """What became of the object, None where the time did not suffice."""
    try:
        match job:
            case Refused():
                return RefusedError(job.reason)
            case Note():
                done = remove_note(blob, deadline, keep=keep)
            case Landed():
                done = move_landed(blob, archive, job, archived, deadline, keep=keep)
            case Legacy():
                done = move_legacy(blob, archive, job, archived, deadline, keep=keep)
    except RefusedError as error:
        return error
    except OutOfTimeError:
        return None
    except Exception as error:  # noqa: BLE001  (the libraries below raise many kinds; one object stops no other)
        log(
            logging.ERROR,
            f"{blob.name} was not moved, the next sweep tries again: {error}",
            exc_info=True,
            object=blob.name,
        )
        return error
    return done


def _pages(client: StorageClient, bucket: str, prefix: str | None = None) -> Iterable[list[Blob]]:
    listing = client.list_blobs(
        bucket, prefix=prefix, page_size=PAGE, fields=FIELDS, timeout=CALL_SECONDS, retry=RETRY
    )
    return (list(page) for page in listing.pages)


def _archived(
    client: StorageClient, settings: Settings, jobs: Iterable[Plan], deadline: Deadline
) -> dict[str, Blob]:
    """The archive's objects of the hours that a page goes to: one listing an hour, not one look an object.

    After the deadline no more is looked for: that an object is there already, its copy finds out by itself.
    """
    names = [name for job in jobs for name in _destinations(job, settings)]
    hours = {name.rpartition("/")[0] + "/" for name in names}
    found: dict[str, Blob] = {}
    for hour in sorted(hours):
        for page in _pages(client, settings.archive_bucket, hour):
            found |= {blob.name: blob for blob in page}
            if deadline.is_over():
                return found
    return found


def _destinations(job: Plan, settings: Settings) -> list[str]:
    """The names whose presence in the archive spares work: an old object that goes is read anyhow."""
    if isinstance(job, Landed):
        return [job.destination]
    if isinstance(job, Legacy) and settings.keep:
        return [archive_name(job.feed.name, tick) for tick in job.candidates]
    return []
