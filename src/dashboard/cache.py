"""Documents kept in the process: one query in flight for each, bounded in bytes, the last known one when it fails."""

import gzip
import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from telemetry import log

RETRY_AFTER = timedelta(seconds=15)  # of a query that failed: until then the last known document is served


@dataclass(frozen=True)
class Document:
    """A file as it is served: `body` is compressed with gzip; `failed` says why it is not a newer one."""

    body: bytes
    etag: str
    made_at: datetime
    failed: str = ""

    @classmethod
    def of(cls, content: bytes, made_at: datetime) -> "Document":
        """Compress a content; the ETag is of what it holds, not of when it was made."""
        body = gzip.compress(content, 9, mtime=0)
        return cls(body, hashlib.sha256(content).hexdigest()[:20], made_at)


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    document: Document | None = None
    expires: datetime | None = None  # None: never
    failure: Exception | None = None  # of a document that was never made; raised again until `retry_at`
    retry_at: datetime | None = None


class Cache:
    """Documents by name; `limit` bytes of them are kept, those that were asked for longest ago go first."""

    def __init__(self, limit: int, now: Callable[[], datetime]) -> None:
        self._limit, self._now = limit, now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        with self._lock:
            return sum(len(each.document.body) for each in self._entries.values() if each.document)

    def get(self, name: str, make: Callable[[], bytes], lifetime: timedelta | None) -> Document:
        """Return a document, made anew where it is older than `lifetime` (None: never).

        Who asks while it is being made waits for that one. Where `make` raises, the last known document is returned
        with `failed`, and the error is raised where there is none; for RETRY_AFTER it is not called again.
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
                entry.document = Document.of(make(), now)
                entry.failure = None
                entry.expires = None if lifetime is None else now + lifetime
            except Exception as error:
                log(logging.ERROR, f"{name} could not be renewed: {error}", event="not renewed")
                if entry.document is None:
                    entry.failure, entry.retry_at = error, now + RETRY_AFTER
                    raise
                last = entry.document
                entry.document = Document(last.body, last.etag, last.made_at, failed=str(error)[:300])
                entry.expires = now + RETRY_AFTER
            document = entry.document
        self._trim(name)
        return document

    def _trim(self, newest: str) -> None:
        with self._lock:
            size = sum(len(each.document.body) for each in self._entries.values() if each.document)
            for name in list(self._entries):
                if size <= self._limit:
                    return
                held = self._entries[name]
                if name != newest and not held.lock.locked():
                    size -= len(held.document.body) if held.document else 0
                    del self._entries[name]
