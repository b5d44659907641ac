"""Archive one object: copy, verify, then delete. Whoever is killed between two steps has lost nothing.

A landed object is deleted only when no delivery of its tick can come any more. Until then its name is taken, so
that of two deliveries the second cannot store another response: see docs/guarantees.md.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from threading import Lock

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Blob, Bucket

from copier.deadline import Deadline
from copier.planning import MAX_LEGACY_BYTES, Landed, Legacy
from feed import RawError, answer_times, archive_name, choose_tick, pack, unpack
from telemetry import log

CONTENT_TYPE = "application/gzip"
# Decoded JSON may take 30 times its bytes; decoding holds the interpreter anyway.
_ONE_DOCUMENT = Lock()


class Moved(StrEnum):
    """What became of an object."""

    MOVED = "moved"  # copied to the archive by this sweep
    SKIPPED = "skipped"  # archived by an earlier sweep; this one finished it
    RETAINED = "retained"  # archived by an earlier sweep; its landed copy stays for late deliveries


class RefusedError(Exception):
    """The object stays where it is; the message says why.

    What to do: look at the object that the message names; it stays in the landing bucket until its lifecycle rule
    deletes it.
    """


class UnverifiedError(Exception):
    """The copy is not what was copied: the source stays, and the next sweep looks again.

    What to do: nothing at first: the next sweep copies it again. If it goes on, compare both objects' MD5.
    """


def move_landed(
    source: Blob,
    archive: Bucket,
    plan: Landed,
    archived: Mapping[str, Blob],
    deadline: Deadline,
    *,
    keep: bool = False,
) -> Moved:
    """Rewrite the object inside Google Cloud Storage; `archived` are objects known to be there already.

    The precondition refuses to replace an object of the archive, whoever made it in the meantime. With `keep`
    the source stays where it is. Raises RefusedError where the archive has another content under that name,
    OutOfTimeError where calls are left to the next sweep.
    """
    if (existing := archived.get(plan.destination)) is not None:
        return _skip(source, existing, deadline, keep=keep)
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
        return _skip(source, copy, deadline, keep=keep)
    except NotFound:
        return Moved.SKIPPED  # another sweep has moved it
    if (copy.size, copy.crc32c) != (source.size, source.crc32c):
        raise UnverifiedError(f"{copy.name}: {copy.size} bytes, crc32c {copy.crc32c}, unlike {source.name}")
    _delete(source, deadline, keep=keep)
    return Moved.MOVED


def move_legacy(
    source: Blob,
    archive: Bucket,
    plan: Legacy,
    archived: Mapping[str, Blob],
    deadline: Deadline,
    *,
    keep: bool = False,
) -> Moved:
    """Archive an old object, gzipped, under the UTC time that its name and the evidence mean.

    One that is kept is not read again where the archive says that it has it.
    Raises RefusedError where the archive has another answer under that name, or the object is damaged, and
    OutOfTimeError as above.
    """
    names = [archive_name(plan.feed.name, tick) for tick in plan.candidates]
    known = [archived[name].metadata or {} for name in names if name in archived]
    if keep and any(each.get("renamed_from") == source.name for each in known):
        return Moved.SKIPPED
    try:
        body = unpack(source.download_as_bytes(**deadline.limits()), MAX_LEGACY_BYTES)
    except NotFound:
        return Moved.SKIPPED
    except RawError as error:
        raise RefusedError(f"not readable: {error}") from error
    tick = plan.candidates[0]
    if len(plan.candidates) > 1:
        with _ONE_DOCUMENT:
            times = answer_times(plan.feed, body)
        tick = choose_tick(plan.candidates, times, source.time_created)
        log(logging.INFO, f"{source.name}: an hour that happened twice, taken for {tick:%H:%M} UTC")
    packed = pack(body)
    copy = archive.blob(archive_name(plan.feed.name, tick))
    copy.metadata = {"renamed_from": source.name}
    try:
        copy.upload_from_string(
            packed,
            content_type=CONTENT_TYPE,
            if_generation_match=0,
            checksum="crc32c",
            **deadline.limits(),
        )
    except PreconditionFailed:
        if _content(copy, deadline) != body:
            raise _other_answer(copy) from None
        _delete(source, deadline, keep=keep)
        return Moved.SKIPPED
    if copy.size != len(packed):
        raise UnverifiedError(f"{copy.name}: {copy.size} bytes, expected {len(packed)}")
    _delete(source, deadline, keep=keep)
    return Moved.MOVED


def remove_note(source: Blob, deadline: Deadline, *, keep: bool) -> Moved:
    """Delete a note that is of no use any more. Raises OutOfTimeError as above."""
    _delete(source, deadline, keep=keep)
    return Moved.RETAINED if keep else Moved.SKIPPED


def _skip(source: Blob, existing: Blob, deadline: Deadline, *, keep: bool) -> Moved:
    """Finish what an earlier sweep began: the copy is there, only the source was not deleted."""
    if existing.crc32c is None:
        existing.reload(**deadline.limits())
    if (existing.size, existing.crc32c) != (source.size, source.crc32c):
        raise _other_answer(existing)
    if keep:
        return Moved.RETAINED
    _delete(source, deadline, keep=False)
    return Moved.SKIPPED


def _content(blob: Blob, deadline: Deadline) -> bytes | None:
    """What an object of the archive holds, None where that cannot be what an old object held."""
    blob.reload(**deadline.limits())
    if blob.size > MAX_LEGACY_BYTES:
        return None
    try:
        return unpack(blob.download_as_bytes(**deadline.limits()), MAX_LEGACY_BYTES)
    except RawError:
        return None


def _other_answer(existing: Blob) -> RefusedError:
    return RefusedError(f"the archive holds another answer as {existing.name}; compare them and delete one")


def _delete(source: Blob, deadline: Deadline, *, keep: bool) -> None:
    if keep:
        return
    try:
        source.delete(if_generation_match=source.generation, **deadline.limits())
    except (NotFound, PreconditionFailed):
        log(logging.INFO, f"{source.name}: gone or replaced before it was deleted", object=source.name)
