"""Track since when no station has changed.

The state is stored as metadata of each raw object, so that every instance can read it.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from google.cloud.storage import Client as StorageClient

from feed import Feed, Outcome, digest_state, parse_object_name

CALL_SECONDS = 30.0
_DIGEST, _SINCE = "state_digest", "unchanged_since"


@dataclass(frozen=True)
class State:
    """A digest of all stations at a tick, and the tick since which it has not changed."""

    tick: datetime
    digest: str
    since: datetime

    @property
    def metadata(self) -> dict[str, str]:
        """The entries that are added to the raw object's metadata."""
        return {_DIGEST: self.digest, _SINCE: self.since.isoformat()}


class LastState:
    """The newest state that this instance knows; initially that of the newest landed object."""

    def __init__(self) -> None:
        self._is_known = False
        self._state: State | None = None

    def update(
        self, client: StorageClient, bucket: str, feed: Feed, tick: datetime, outcome: Outcome
    ) -> State | None:
        """Return the state of a tick and remember it; None for a response without rows."""
        digest = digest_state(feed, outcome)
        if not self._is_known:
            self._state, self._is_known = _find_newest_landed(client, bucket, feed.name, tick), True
        if not digest:
            return None
        known = self._state
        since = min(tick, known.since) if known is not None and known.digest == digest else tick
        state = State(tick, digest, since)
        if known is None or known.tick <= tick:
            self._state = state
        return state


def read_unchanged_since(metadata: Mapping[str, str]) -> datetime | None:
    """Return since when no station has changed, from a raw object's metadata; None if it is missing or invalid."""
    with suppress(KeyError, ValueError):
        return datetime.fromisoformat(metadata[_SINCE])
    return None


def _find_newest_landed(client: StorageClient, bucket: str, feed_name: str, before: datetime) -> State | None:
    """Return the state of the newest landed object before a tick; None if there is none.

    Each new instance lists the bucket once; objects stay there for about an hour.
    """
    fields = "items(name,metadata),nextPageToken"
    newest: State | None = None
    for blob in client.list_blobs(bucket, prefix=f"{feed_name}/", fields=fields, timeout=CALL_SECONDS):
        metadata = blob.metadata or {}
        with suppress(ValueError):
            _, tick = parse_object_name(blob.name)
            since = read_unchanged_since(metadata)
            if since is not None and tick < before and (newest is None or tick > newest.tick):
                newest = State(tick, metadata.get(_DIGEST, ""), since)
    return newest
