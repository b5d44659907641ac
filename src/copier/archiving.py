"""Archive one object: copy, verify, then delete. A process that is killed between two steps loses nothing.

A landed object is deleted only after the redelivery window of its tick. Until then its name exists, so that a second
delivery cannot store another response: see docs/guarantees.md.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket

from copier.deadline import Deadline
from copier.planning import MAX_LEGACY_BYTES, Landed, Legacy
from feed import DecompressionError, archive_name, choose_tick, compress, decompress, extract_report_times
from telemetry import log

CONTENT_TYPE = "application/gzip"
# Decoded JSON can take 30 times the memory of its text, and decoding holds the GIL: one document at a time.
_DECODE_LOCK = Lock()


class MoveResult(StrEnum):
    """The result of one object."""

    MOVED = "moved"  # copied to the archive by this sweep; the source stays while its tick can be redelivered
    SKIPPED = "skipped"  # nothing to copy: archived already, moved by another sweep, or a deleted wait marker
    RETAINED = (
        "retained"  # archived already, or a wait marker; the source stays while its tick can be redelivered
    )


class RefusedError(Exception):
    """The object cannot be archived and stays where it is; the message says why.

    What to do: look at the object that the message names; it stays in the landing bucket until its lifecycle rule
    deletes it.
    """


class UnverifiedError(Exception):
    """The copy differs from the source: the source stays, and the next sweep tries again.

    What to do: nothing at first: the next sweep copies it again. If it continues, compare size and CRC32C of both
    objects.
    """


def move_landed(
    source: Blob,
    archive: Bucket,
    plan: Landed,
    archived: Mapping[str, Blob],
    deadline: Deadline,
    *,
    keep: bool = False,
) -> MoveResult:
    """Copy a landed object inside Cloud Storage, and return the result; `archived` has the archive's known objects.

    A precondition ensures that no archived object is replaced. With `keep` the source is not deleted. Raises
    RefusedError if the archive has an object with other content under that name, OutOfTimeError if the deadline is
    over.
    """
    if (existing := archived.get(plan.destination)) is not None:
        return _finish_earlier_move(source, existing, deadline, keep=keep)
    copy = archive.blob(plan.destination)
    try:
        token = None
        while True:
            token, _, _ = copy.rewrite(
                source,
                token=token,
                if_generation_match=0,
                if_source_generation_match=source.generation,
                **deadline.limits(),
            )
            if token is None:
                break
    except PreconditionFailed:
        return _finish_earlier_move(source, copy, deadline, keep=keep)
    except NotFound:
        return MoveResult.SKIPPED  # another sweep has moved it
    if (copy.size, copy.crc32c) != (source.size, source.crc32c):
        raise UnverifiedError(
            f"{copy.name}: the copy has {copy.size} bytes, crc32c {copy.crc32c}; expected those of {source.name}: "
            f"{source.size} bytes and crc32c {source.crc32c}"
        )
    _delete_source(source, deadline, keep=keep)
    return MoveResult.MOVED


def move_legacy(
    source: Blob,
    archive: Bucket,
    plan: Legacy,
    archived: Mapping[str, Blob],
    deadline: Deadline,
    *,
    keep: bool = False,
) -> MoveResult:
    """Archive a legacy object, gzipped, under the UTC tick that its name, content and creation time indicate.

    With `keep`, an object that the archive has already is not read again. Raises RefusedError if the archive has
    another response under that name, or if the object is damaged; OutOfTimeError as `move_landed`.
    """
    names = [archive_name(plan.feed.name, tick) for tick in plan.candidates]
    known = [archived[name].metadata or {} for name in names if name in archived]
    if keep and any(each.get("renamed_from") == source.name for each in known):
        return MoveResult.SKIPPED
    try:
        body = decompress(source.download_as_bytes(**deadline.limits()), MAX_LEGACY_BYTES)
    except NotFound:
        return MoveResult.SKIPPED
    except DecompressionError as error:
        raise RefusedError(f"cannot be decompressed: {error}") from error
    tick = plan.candidates[0]
    if len(plan.candidates) > 1:
        with _DECODE_LOCK:
            times = extract_report_times(plan.feed, body)
        tick = choose_tick(plan.candidates, times, source.time_created)
        log(
            logging.INFO,
            f"{source.name}: ambiguous local time (end of summer time), archived as {tick:%H:%M} UTC",
        )
    content = compress(body)
    copy = archive.blob(archive_name(plan.feed.name, tick))
    copy.metadata = {"renamed_from": source.name}
    try:
        copy.upload_from_string(
            content,
            content_type=CONTENT_TYPE,
            if_generation_match=0,
            checksum="crc32c",
            **deadline.limits(),
        )
    except PreconditionFailed:
        if _read_content(copy, deadline) != body:
            raise _make_conflict_error(copy) from None
        _delete_source(source, deadline, keep=keep)
        return MoveResult.SKIPPED
    if copy.size != len(content):
        raise UnverifiedError(f"{copy.name}: the copy has {copy.size} bytes; expected {len(content)}")
    _delete_source(source, deadline, keep=keep)
    return MoveResult.MOVED


def delete_wait_marker(source: Blob, deadline: Deadline, *, keep: bool) -> MoveResult:
    """Delete a wait marker unless `keep`; return RETAINED if it was kept, else SKIPPED. Raises OutOfTimeError."""
    _delete_source(source, deadline, keep=keep)
    return MoveResult.RETAINED if keep else MoveResult.SKIPPED


def _finish_earlier_move(source: Blob, existing: Blob, deadline: Deadline, *, keep: bool) -> MoveResult:
    """Delete the source of an object that an earlier sweep has copied."""
    if existing.crc32c is None:
        existing.reload(**deadline.limits())
    if (existing.size, existing.crc32c) != (source.size, source.crc32c):
        raise _make_conflict_error(existing)
    if keep:
        return MoveResult.RETAINED
    _delete_source(source, deadline, keep=False)
    return MoveResult.SKIPPED


def _read_content(blob: Blob, deadline: Deadline) -> bytes | None:
    """Return the decompressed content of an archived object; None if it cannot come from a legacy object."""
    blob.reload(**deadline.limits())
    if blob.size > MAX_LEGACY_BYTES:
        return None
    try:
        return decompress(blob.download_as_bytes(**deadline.limits()), MAX_LEGACY_BYTES)
    except DecompressionError:
        return None


def _make_conflict_error(existing: Blob) -> RefusedError:
    return RefusedError(
        f"the archive has another response under the name {existing.name}: compare both and delete one of them"
    )


def _delete_source(source: Blob, deadline: Deadline, *, keep: bool) -> None:
    if keep:
        return
    try:
        source.delete(if_generation_match=source.generation, **deadline.limits())
    except (NotFound, PreconditionFailed):
        log(logging.INFO, f"{source.name} was deleted or replaced by another process", object=source.name)
