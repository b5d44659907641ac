"""Objects of the packs' bucket: created once, never replaced, and read where they are stored already."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

CALL_SECONDS = 30.0
PACK_TYPE, JSON_TYPE = "application/warc", "application/gzip"


@dataclass(frozen=True)
class Stored:
    """An object's content, and whether this call has created it."""

    content: bytes
    is_new: bool


@dataclass(frozen=True)
class Store:
    """One bucket, in which the collector creates objects and reads them."""

    client: StorageClient
    bucket: str

    def read(self, name: str) -> bytes | None:
        """Return an object's content, None where there is none."""
        try:
            content: bytes = (
                self.client.bucket(self.bucket).blob(name).download_as_bytes(timeout=CALL_SECONDS)
            )
        except NotFound:
            return None
        return content

    def create(self, name: str, content: bytes, content_type: str) -> Stored:
        """Create an object, or return the content of the one that is there."""
        blob = self.client.bucket(self.bucket).blob(name)
        try:
            blob.upload_from_string(
                content,
                content_type=content_type,
                if_generation_match=0,
                checksum="crc32c",
                timeout=CALL_SECONDS,
            )
        except PreconditionFailed:
            winner: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
            return Stored(winner, is_new=False)
        return Stored(content, is_new=True)

    def read_or_create(self, name: str, make: Callable[[], bytes], content_type: str, *, look: bool) -> bytes:
        """Return an object's content; `make` is called where it is not there, or without `look`."""
        stored = self.read(name) if look else None
        return self.create(name, make(), content_type).content if stored is None else stored

    def names(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield the names that begin with a prefix, in order; at most `limit`."""
        blobs = self.client.list_blobs(
            self.bucket,
            prefix=prefix,
            max_results=limit,
            fields="items(name),nextPageToken",
            timeout=CALL_SECONDS,
        )
        for blob in blobs:
            yield blob.name
