"""The raw response of a tick: stored once, and read where it is stored already.

The create-only upload decides which delivery's response is the tick's. That holds because the copier leaves a landed
object under its name for as long as Pub/Sub can deliver the tick's message: the protocol and its reasons are in
docs/guarantees.md.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import Answer
from feed import archive_name, landing_name, pack
from telemetry import log

CONTENT_TYPE = "application/gzip"
CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Landed:
    """The object of a tick: its name in the landing bucket, its packed content, and whether it is new."""

    name: str
    packed: bytes
    is_new: bool
    metadata: Mapping[str, str] = field(default_factory=dict)  # of the object

    @property
    def content_type(self) -> str:
        """That of the response."""
        return self.metadata.get("content-type", "")


def land(
    client: StorageClient,
    landing_bucket: str,
    archive_bucket: str,
    feed_name: str,
    tick: datetime,
    *,
    is_redelivery: bool,
    ask: Callable[[], Answer],
) -> Landed:
    """Return the tick's object; with `is_redelivery`, `ask` is called only where no bucket has it.

    A message that is delivered again takes the response of its own minute, not a newer one. The upload creates
    and never replaces: of two deliveries at once, both go on with the winner's object. The first delivery finds
    nothing in nearly every case, so it does not look before it asks the API.
    """
    name = landing_name(feed_name, tick)
    places = ((landing_bucket, name), (archive_bucket, archive_name(feed_name, tick)))
    if is_redelivery and (stored := _first_stored(client, places)) is not None:
        return Landed(name, stored.content, is_new=False, metadata=stored.metadata)
    answer = ask()
    packed = pack(answer.body)
    blob = client.bucket(landing_bucket).blob(name)
    blob.metadata = {
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **answer.headers,
        **answer.metadata,
    }
    try:
        blob.upload_from_string(
            packed, content_type=CONTENT_TYPE, if_generation_match=0, checksum="crc32c", timeout=CALL_SECONDS
        )
    except PreconditionFailed:
        log(logging.INFO, "another delivery of this tick landed first", object=name)
        stored = _first_stored(client, places)
        if stored is None:
            raise
        return Landed(name, stored.content, is_new=False, metadata=stored.metadata)
    return Landed(name, packed, is_new=True, metadata=blob.metadata or {})


@dataclass(frozen=True)
class _Stored:
    content: bytes
    metadata: Mapping[str, str]


def _first_stored(client: StorageClient, places: tuple[tuple[str, str], ...]) -> _Stored | None:
    for bucket, name in places:
        blob = client.bucket(bucket).blob(name)
        try:
            blob.reload(timeout=CALL_SECONDS)
            content: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
        except NotFound:
            continue
        return _Stored(content, blob.metadata or {})
    return None
