"""A landing and an archive bucket on the emulator, new for each test."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud.storage import Client as StorageClient

from copier.settings import Settings
from feed import Feed
from local.data_plane.emulators import Emulators
from tests.conftest import storage_client

PROJECTS = itertools.count(1)


@dataclass(frozen=True)
class Buckets:
    """The two buckets by client; `put` lands an object, `held` reads a whole bucket."""

    client: StorageClient
    settings: Settings

    def put(self, name: str, content: bytes, bucket: str | None = None) -> None:
        self.client.bucket(bucket or self.settings.landing_bucket).blob(name).upload_from_string(content)

    def archive(self, name: str, content: bytes) -> None:
        self.put(name, content, self.settings.archive_bucket)

    def held(self, bucket: str) -> dict[str, bytes]:
        return {blob.name: blob.download_as_bytes() for blob in self.client.list_blobs(bucket)}

    @property
    def landed(self) -> dict[str, bytes]:
        return self.held(self.settings.landing_bucket)

    @property
    def archived(self) -> dict[str, bytes]:
        return self.held(self.settings.archive_bucket)


@pytest.fixture
def buckets(emulators: Emulators) -> Buckets:
    """Two empty buckets."""
    project = f"copier-{next(PROJECTS)}"
    client = storage_client(emulators, project)
    for purpose in ("landing", "archive"):
        client.create_bucket(f"{project}-{purpose}")
    return Buckets(client, Settings(f"{project}-landing", f"{project}-archive", deadline_s=60.0, threads=8))


@pytest.fixture
def old_feeds(feeds: dict[str, Feed]) -> list[Feed]:
    """The feeds with legacy objects, as the copier's image has them."""
    return [feed for feed in feeds.values() if feed.legacy]


@pytest.fixture
def stepping_clock() -> Callable[[float], Any]:
    """Make a clock that advances by `step_s` seconds each time it is read."""

    def make(step_s: float) -> Callable[[], float]:
        ticks = itertools.count()
        return lambda: next(ticks) * step_s

    return make
