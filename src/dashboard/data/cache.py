"""A cache of documents in the process: one query at a time for each, a size limit, and stale documents on errors."""

import gzip
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from telemetry import log

RETRY_AFTER = timedelta(seconds=15)  # after a failed query: until then the last known document is served
ENTRY_BYTES = (
    2048  # estimated overhead of an entry; counts, because entries of failed queries have no document
)


@dataclass(frozen=True)
class Document:
    """A file as it is served: `body` is gzip-compressed; `failed` is the error that prevented a newer one."""

    body: bytes
    etag: str
    made_at: datetime
    failed: str = ""

    @classmethod
    def from_content(cls, content: bytes, made_at: datetime) -> "Document":
        """Return a document with this content, compressed; the ETag depends on the content only."""
        body = gzip.compress(content, 9, mtime=0)
        return cls(body, hashlib.sha256(content).hexdigest()[:20], made_at)


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    document: Document | None = None
    expires: datetime | None = None  # None: never
    failure: Exception | None = None  # if the document was never made; raised again until `retry_at`
    retry_at: datetime | None = None

    @property
    def size(self) -> int:
        """Size in bytes, estimated for all but the document."""
        return ENTRY_BYTES + (len(self.document.body) if self.document else 0)


class Cache:
    """Documents by name, up to `limit` bytes; the least recently used are evicted first."""

    def __init__(self, limit: int, now: Callable[[], datetime]) -> None:
        self._limit, self._now = limit, now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Size of all documents and of failed attempts in bytes."""
        with self._lock:
            return sum(each.size for each in self._entries.values())

    def get(
        self,
        name: str,
        make: Callable[[], bytes],
        lifetime: timedelta | Callable[[bytes], timedelta] | None,
    ) -> Document:
        """Return a document; call `make` if it is missing or older than `lifetime` (None: no limit).

        A lifetime that depends on the content is a function of it.
        Concurrent calls wait for the same result. If `make` raises, the last known document is returned with `failed`,
        or the error is raised if there is none; `make` is not called again for RETRY_AFTER.
        """
        with self._lock:
            entry = self._entries.setdefault(name, _Entry())
            self._entries.move_to_end(name)
        with entry.lock:
            now = self._now()
            if entry.document is not None and (entry.expires is None or now < entry.expires):
                return entry.document
            if entry.failure is not None and entry.retry_at is not None and now < entry.retry_at:
                raise entry.failure.with_traceback(None)
            try:
                content = make()
                entry.document = Document.from_content(content, now)
                entry.failure = None
                until = lifetime(content) if callable(lifetime) else lifetime
                entry.expires = None if until is None else now + until
            except Exception as error:
                log(logging.ERROR, f"{name} could not be refreshed: {error}", event="refresh_failed")
                if entry.document is None:
                    entry.failure, entry.retry_at = error, now + RETRY_AFTER
                    self._evict(name)
                    raise
                last = entry.document
                entry.document = Document(last.body, last.etag, last.made_at, failed=str(error)[:300])
                entry.expires = now + RETRY_AFTER
            document = entry.document
        self._evict(name)
        return document

    def _evict(self, newest: str) -> None:
        with self._lock:
            size = sum(each.size for each in self._entries.values())
            for name in list(self._entries):
                if size <= self._limit:
                    return
                held = self._entries[name]
                if name != newest and not held.lock.locked():
                    size -= held.size
                    del self._entries[name]
