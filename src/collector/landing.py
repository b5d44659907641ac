"""Store the raw response of a tick once, or read it if it is stored already.

The create-only upload decides which delivery's response becomes the tick's. This works because the copier leaves a
landed object under its name for as long as Pub/Sub can deliver the tick's message. docs/guarantees.md describes the
protocol.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

from collector.api import Response
from feed import archive_name, compress, landing_name
from telemetry import log

CONTENT_TYPE = "application/gzip"
CALL_SECONDS = 30.0


@dataclass(frozen=True)
class LandedObject:
    """The object of a tick: its name in the landing bucket, its compressed content, and whether it was created now."""

    name: str
    content: bytes
    is_new: bool
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The Content-Type of the response, "" if it had none."""
        return self.metadata.get("content-type", "")


def land_response(
    client: StorageClient,
    landing_bucket: str,
    archive_bucket: str,
    feed_name: str,
    tick: datetime,
    *,
    is_redelivery: bool,
    fetch_response: Callable[[], Response],
) -> LandedObject:
    """Return the object of a tick; on a redelivery, `fetch_response` is called only if no bucket has the object.

    So a redelivery uses the response of its own minute, not a newer one. The upload creates and never replaces: two
    concurrent deliveries both continue with the object of the one that was first. A first delivery would nearly never
    find an object, so it does not look for one.
    """
    name = landing_name(feed_name, tick)
    locations = ((landing_bucket, name), (archive_bucket, archive_name(feed_name, tick)))
    if is_redelivery and (stored := _find_stored(client, locations)) is not None:
        return LandedObject(name, stored.content, is_new=False, metadata=stored.metadata)
    response = fetch_response()
    content = compress(response.body)
    blob = client.bucket(landing_bucket).blob(name)
    blob.metadata = {
        "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **response.headers,
        **response.metadata,
    }
    try:
        blob.upload_from_string(
            content, content_type=CONTENT_TYPE, if_generation_match=0, checksum="crc32c", timeout=CALL_SECONDS
        )
    except PreconditionFailed:
        log(logging.INFO, "another delivery of this tick has stored its response first", object=name)
        stored = _find_stored(client, locations)
        if stored is None:
            raise
        return LandedObject(name, stored.content, is_new=False, metadata=stored.metadata)
    return LandedObject(name, content, is_new=True, metadata=blob.metadata or {})


@dataclass(frozen=True)
class _Stored:
    content: bytes
    metadata: Mapping[str, str]


def _find_stored(client: StorageClient, locations: tuple[tuple[str, str], ...]) -> _Stored | None:
    for bucket, name in locations:
        blob = client.bucket(bucket).blob(name)
        try:
            blob.reload(timeout=CALL_SECONDS)
            content: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
        except NotFound:
            continue
        return _Stored(content, blob.metadata or {})
    return None
