"""Since when nothing has moved: kept as metadata of each raw object, so that every instance knows it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from google.cloud.storage import Client as StorageClient

from feed import Feed, Outcome, state_digest, tick_of

CALL_SECONDS = 30.0
_DIGEST, _SINCE = "state_digest", "unchanged_since"


@dataclass(frozen=True)
class State:
    """What the stations of a feed were at a tick, and since which tick they are that."""

    tick: datetime
    digest: str
    since: datetime

    @property
    def metadata(self) -> dict[str, str]:
        """As it is kept beside a raw object."""
        return {_DIGEST: self.digest, _SINCE: self.since.isoformat()}


class LastState:
    """The newest state that this instance knows of; at first that of the newest landed object."""

    def __init__(self) -> None:
        self._is_known = False
        self._state: State | None = None

    def next(
        self, client: StorageClient, bucket: str, feed: Feed, tick: datetime, outcome: Outcome
    ) -> State | None:
        """The state of a tick, None for a response without rows."""
        digest = state_digest(feed, outcome)
        if not self._is_known:
            self._state, self._is_known = _newest_landed(client, bucket, feed.name, tick), True
        if not digest:
            return None
        known = self._state
        since = min(tick, known.since) if known is not None and known.digest == digest else tick
        state = State(tick, digest, since)
        if known is None or known.tick <= tick:
            self._state = state
        return state


def unchanged_since(metadata: Mapping[str, str]) -> datetime | None:
    """What the metadata of a raw object says, None where they say nothing of it."""
    with suppress(KeyError, ValueError):
        return datetime.fromisoformat(metadata[_SINCE])
    return None


def _newest_landed(client: StorageClient, bucket: str, feed_name: str, before: datetime) -> State | None:
    """One listing for each new instance: objects stay in the landing bucket for an hour."""
    fields = "items(name,metadata),nextPageToken"
    newest: State | None = None
    for blob in client.list_blobs(bucket, prefix=f"{feed_name}/", fields=fields, timeout=CALL_SECONDS):
        metadata = blob.metadata or {}
        with suppress(ValueError):
            _, tick = tick_of(blob.name)
            since = unchanged_since(metadata)
            if since is not None and tick < before and (newest is None or tick > newest.tick):
                newest = State(tick, metadata.get(_DIGEST, ""), since)
    return newest
