"""Create and read objects of the bucket of packs; objects are never replaced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage import Client as StorageClient

CALL_SECONDS = 30.0
PACK_TYPE, JSON_TYPE = "application/warc", "application/gzip"


@dataclass(frozen=True)
class StoredObject:
    """An object's content, and whether this call created it."""

    content: bytes
    is_new: bool


@dataclass(frozen=True)
class ObjectStore:
    """One bucket, in which objects are created and read."""

    client: StorageClient
    bucket: str

    def read(self, name: str) -> bytes | None:
        """Return an object's content, or None if it does not exist."""
        try:
            content: bytes = (
                self.client.bucket(self.bucket).blob(name).download_as_bytes(timeout=CALL_SECONDS)
            )
        except NotFound:
            return None
        return content

    def create(self, name: str, content: bytes, content_type: str) -> StoredObject:
        """Create an object, or return the content of the existing one."""
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
            existing: bytes = blob.download_as_bytes(timeout=CALL_SECONDS)
            return StoredObject(existing, is_new=False)
        return StoredObject(content, is_new=True)

    def read_or_create(
        self, name: str, make: Callable[[], bytes], content_type: str, *, may_exist: bool
    ) -> bytes:
        """Return an object's content, or create it with `make`.

        `may_exist=False` skips the read, for a first delivery.
        """
        stored = self.read(name) if may_exist else None
        return self.create(name, make(), content_type).content if stored is None else stored

    def list_names(self, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield object names with a prefix, in order; at most `limit`."""
        blobs = self.client.list_blobs(
            self.bucket,
            prefix=prefix,
            max_results=limit,
            fields="items(name),nextPageToken",
            timeout=CALL_SECONDS,
        )
        for blob in blobs:
            yield blob.name
