"""One sweep of the landing bucket: concurrent, within a deadline, and safe while another sweep runs."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from google.cloud.storage import Blob, Bucket
from google.cloud.storage import Client as StorageClient

from copier.archiving import MoveResult, RefusedError, delete_wait_marker, move_landed, move_legacy
from copier.deadline import CALL_SECONDS, RETRY, Deadline, OutOfTimeError
from copier.planning import Landed, Legacy, Plan, Refused, WaitMarker, plan_object
from copier.settings import Settings
from feed import Feed, archive_name
from telemetry import log

PAGE_SIZE = 1_000  # objects of one listing request
FIELDS = "items(name,bucket,generation,size,crc32c,timeCreated,metadata),nextPageToken"
MAX_LISTED = 50  # refusals and failures that the response lists; the counts include all


_PlannedObject = tuple[Blob, Plan, dict[str, Blob]]  # an object, its plan, and the archived objects by name


@dataclass
class Sweep:
    """The counts of a sweep; `complete` if it has reached all objects."""

    moved: int = 0
    skipped: int = 0
    retained: int = 0
    refused: int = 0
    failed: int = 0
    complete: bool = True
    refusals: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, result: MoveResult | Exception) -> None:
        """Count the result of one object."""
        if isinstance(result, MoveResult):
            setattr(self, result, getattr(self, result) + 1)
            return
        is_refused = isinstance(result, RefusedError)
        self.refused += is_refused
        self.failed += not is_refused
        shown = self.refusals if is_refused else self.failures
        if len(shown) < MAX_LISTED:
            shown.append({"object": name, "reason": str(result)[:500] or type(result).__name__})


def sweep_landing_bucket(
    client: StorageClient,
    settings: Settings,
    feeds: Sequence[Feed],
    clock: Callable[[], float],
    on_object: Callable[[str], None] = lambda _: None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sweep:
    """Archive the landed objects; the next sweep continues where the deadline ended this one.

    `clock` returns seconds, `now` the time from which the ages of ticks are computed; `on_object` is called with the
    name of each object. An object that cannot be moved is counted and left; it does not stop the others. A landed
    object within the redelivery window is archived and not deleted. The next page is listed while the objects of a page
    are moved, so at most two pages are in memory.
    """
    deadline = Deadline(clock, clock() + settings.deadline_s)
    done = Sweep()
    archive = client.bucket(settings.archive_bucket)
    last_deletable = now() - timedelta(seconds=settings.redelivery_window_s)
    pages = iter(_list_pages(client, settings.landing_bucket))

    def plan_next_page() -> list[_PlannedObject]:
        page = [] if deadline.is_over() else next(filter(None, pages), [])
        plans = [plan_object(blob.name, blob.size, feeds) for blob in page]
        archived = _list_archived(client, settings, plans, deadline.halfway())
        return [(blob, each, archived) for blob, each in zip(page, plans, strict=True)]

    def move(planned: _PlannedObject) -> MoveResult | Exception | None:
        if deadline.is_over():
            return None
        is_in_window = _get_retention_start(planned[1]) > last_deletable
        return _move_object(*planned, archive, deadline, keep=settings.keep or is_in_window)

    with (
        ThreadPoolExecutor(settings.threads, "move") as movers,
        ThreadPoolExecutor(1, "list") as lister,
    ):
        listed = lister.submit(plan_next_page)
        while page := listed.result():
            listed = lister.submit(plan_next_page)
            for (blob, *_), result in zip(page, movers.map(move, page), strict=True):
                on_object(blob.name)
                if result is None:
                    done.complete = False
                else:
                    done.add(blob.name, result)
    if deadline.is_over():
        done.complete = False
    return done


def _get_retention_start(plan: Plan) -> datetime:
    """Return the time that an object's age counts from; the earliest time if no delivery needs the object."""
    match plan:
        case Landed():
            return plan.tick
        case WaitMarker():
            return plan.minute
        case _:
            return datetime.min.replace(tzinfo=UTC)


def _move_object(
    blob: Blob, plan: Plan, archived: dict[str, Blob], archive: Bucket, deadline: Deadline, *, keep: bool
) -> MoveResult | Exception | None:
    """Return the result of one object, None if no time was left."""
    try:
        match plan:
            case Refused():
                return RefusedError(plan.reason)
            case WaitMarker():
                done = delete_wait_marker(blob, deadline, keep=keep)
            case Landed():
                done = move_landed(blob, archive, plan, archived, deadline, keep=keep)
            case Legacy():
                done = move_legacy(blob, archive, plan, archived, deadline, keep=keep)
    except RefusedError as error:
        return error
    except OutOfTimeError:
        return None
    except Exception as error:  # noqa: BLE001  (the client libraries raise many types, and one object must not stop the others)
        log(
            logging.ERROR,
            f"{blob.name} could not be moved; the next sweep tries again: {error}",
            exc_info=True,
            object=blob.name,
        )
        return error
    return done


def _list_pages(client: StorageClient, bucket: str, prefix: str | None = None) -> Iterable[list[Blob]]:
    listing = client.list_blobs(
        bucket, prefix=prefix, page_size=PAGE_SIZE, fields=FIELDS, timeout=CALL_SECONDS, retry=RETRY
    )
    return (list(page) for page in listing.pages)


def _list_archived(
    client: StorageClient, settings: Settings, plans: Iterable[Plan], deadline: Deadline
) -> dict[str, Blob]:
    """Return the archived objects by name, of the hours into which a page's objects go: one listing per hour.

    After the deadline the listing stops early; the copy's precondition then detects an existing object.
    """
    names = [name for plan in plans for name in _list_destinations(plan, settings)]
    hours = {name.rpartition("/")[0] + "/" for name in names}
    found: dict[str, Blob] = {}
    for hour in sorted(hours):
        for page in _list_pages(client, settings.archive_bucket, hour):
            found |= {blob.name: blob for blob in page}
            if deadline.is_over():
                return found
    return found


def _list_destinations(plan: Plan, settings: Settings) -> list[str]:
    """Return the archive names to look for; none for a legacy object that is read in any case."""
    if isinstance(plan, Landed):
        return [plan.destination]
    if isinstance(plan, Legacy) and settings.keep:
        return [archive_name(plan.feed.name, tick) for tick in plan.candidates]
    return []
