"""A fake of Cloud Storage for the product's calls: generations, preconditions, listings in pages, checksums."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound, PreconditionFailed

from tests.simulation.world import World

PAGE = 4  # objects per page: few, so that listings have several pages


@dataclass(frozen=True)
class StoredObject:
    """One generation of an object."""

    content: bytes
    generation: int
    created: datetime
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def crc32c(self) -> str:
        """A checksum of the content; any algorithm will do."""
        return f"{zlib.crc32(self.content):08x}"


class CloudStorage:
    """The service: buckets of objects."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.buckets: dict[str, dict[str, StoredObject]] = {}
        self.on_change: Callable[[str], None] = lambda _: None
        self._generation = 0

    def create(self, bucket: str, name: str, content: bytes, metadata: dict[str, str]) -> StoredObject:
        """Store a new generation."""
        self._generation += 1
        stored = StoredObject(content, self._generation, self.world.now, metadata)
        self.buckets.setdefault(bucket, {})[name] = stored
        self.on_change(bucket)
        return stored

    def delete(self, bucket: str, name: str) -> None:
        """Raises NotFound."""
        self.get(bucket, name)
        del self.buckets[bucket][name]
        self.on_change(bucket)

    def get(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return an object. Raises NotFound if it does not exist, or has another generation."""
        stored = self.buckets.get(bucket, {}).get(name)
        if stored is None or (generation is not None and stored.generation != generation):
            raise NotFound(f"gs://{bucket}/{name}")  # type: ignore[no-untyped-call]
        return stored

    def check(self, bucket: str, name: str, if_generation_match: int | None) -> None:
        """Raise PreconditionFailed unless the object has this generation; 0 means that it does not exist."""
        stored = self.buckets.get(bucket, {}).get(name)
        if if_generation_match is not None and (stored.generation if stored else 0) != if_generation_match:
            raise PreconditionFailed(f"gs://{bucket}/{name}")  # type: ignore[no-untyped-call]


class Client:
    """A fake of google.cloud.storage.Client."""

    def __init__(self, service: CloudStorage) -> None:
        self.service = service

    def bucket(self, name: str) -> "Bucket":
        """Return the handle, without a call."""
        return Bucket(self.service, name)

    def list_blobs(self, bucket: str, prefix: str | None = None, **_: Any) -> "Listing":
        """Return a lazy listing, with a call per page."""
        return Listing(self.service, getattr(bucket, "name", bucket), prefix or "")


@dataclass(frozen=True)
class Bucket:
    """A fake of a bucket."""

    service: CloudStorage
    name: str

    def blob(self, name: str) -> "Blob":
        """Return the handle, without a call."""
        return Blob(self.service, self.name, name)


class Blob:
    """A fake of a blob; its properties are those of the last call."""

    def __init__(
        self, service: CloudStorage, bucket: str, name: str, stored: StoredObject | None = None
    ) -> None:
        self.service, self.bucket_name, self.name = service, bucket, name
        self.metadata: dict[str, str] | None = None
        self.size: int | None = None
        self.crc32c: str | None = None
        self.generation: int | None = None
        self.time_created: datetime | None = None
        self.content_type: str | None = None
        if stored is not None:
            self._take(stored)

    def _take(self, stored: StoredObject) -> None:
        self.size, self.crc32c, self.generation = len(stored.content), stored.crc32c, stored.generation
        self.time_created, self.metadata = stored.created, dict(stored.metadata) or None

    def _call(self, what: str, effect: Any, *, retries: int) -> Any:
        return self.service.world.call(f"{what} gs://{self.bucket_name}/{self.name}", effect, retries=retries)

    def download_as_bytes(self, **_: Any) -> bytes:
        """Read the content; the client retries."""
        stored = self._call("get", lambda: self.service.get(self.bucket_name, self.name), retries=2)
        self._take(stored)
        return bytes(stored.content)

    def reload(self, **_: Any) -> None:
        """Read the metadata."""
        self._take(self._call("stat", lambda: self.service.get(self.bucket_name, self.name), retries=2))

    def upload_from_string(
        self, data: bytes | str, content_type: str = "", *, if_generation_match: int | None = None, **_: Any
    ) -> None:
        """Upload the content; the client retries only with a precondition."""
        content = data.encode() if isinstance(data, str) else data

        def create() -> StoredObject:
            self.service.check(self.bucket_name, self.name, if_generation_match)
            return self.service.create(self.bucket_name, self.name, content, dict(self.metadata or {}))

        what = "create" if if_generation_match == 0 else "replace"
        self._take(self._call(what, create, retries=0 if if_generation_match is None else 2))

    def upload_from_filename(self, filename: str, **options: Any) -> None:
        """Upload a small file."""
        self.upload_from_string(Path(filename).read_bytes(), if_generation_match=None, **options)

    def rewrite(
        self,
        source: "Blob",
        token: str | None = None,
        if_generation_match: int | None = None,
        if_source_generation_match: int | None = None,
        **_: Any,
    ) -> tuple[str | None, int, int]:
        """Copy an object, in one call since it is small."""

        def copy() -> StoredObject:
            original = self.service.get(source.bucket_name, source.name)
            self.service.check(source.bucket_name, source.name, if_source_generation_match)
            self.service.check(self.bucket_name, self.name, if_generation_match)
            return self.service.create(self.bucket_name, self.name, original.content, original.metadata)

        stored = self._call(f"copy {source.name} to", copy, retries=2)
        self._take(stored)
        return None, len(stored.content), len(stored.content)

    def delete(self, if_generation_match: int | None = None, **_: Any) -> None:
        """Delete the object; the client retries only with a precondition."""

        def remove() -> None:
            self.service.get(self.bucket_name, self.name)
            self.service.check(self.bucket_name, self.name, if_generation_match)
            self.service.delete(self.bucket_name, self.name)

        self._call("delete", remove, retries=0 if if_generation_match is None else 2)


class Listing:
    """An iterator over objects by name, in pages."""

    def __init__(self, service: CloudStorage, bucket: str, prefix: str) -> None:
        self._service, self._bucket, self._prefix = service, bucket, prefix

    @property
    def pages(self) -> Iterator[list[Blob]]:
        """Yield the pages; each has the bucket's content at the time of its call."""
        last = ""
        while True:
            page = self._service.world.call(
                f"list gs://{self._bucket}/{self._prefix}", partial(self._page, last), retries=2
            )
            yield page
            if len(page) < PAGE:
                return
            last = page[-1].name

    def __iter__(self) -> Iterator[Blob]:
        for page in self.pages:
            yield from page

    def _page(self, after: str) -> list[Blob]:
        objects = self._service.buckets.get(self._bucket, {})
        names = sorted(name for name in objects if name.startswith(self._prefix) and name > after)
        return [Blob(self._service, self._bucket, name, objects[name]) for name in names[:PAGE]]
