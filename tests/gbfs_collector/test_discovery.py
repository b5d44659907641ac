"""The events of a discovery, which an alert matches: `system_changed` for each change of a system."""

import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery

from gbfs.collection.packs import FetchResult
from gbfs.collection.systems import CollectedSystem
from gbfs.history.observations import CATALOGUE_FILE
from gbfs.tables import TABLES
from gbfs_collector.discovery import DiscoveryShard, discover_systems
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.tick import Services
from local.data_plane.emulators import Emulators
from telemetry import LOGGER, log_as_json
from tests.conftest import bigquery_client, storage_client

pytestmark = pytest.mark.emulator

PROJECTS = itertools.count(1)
TICK = datetime(2026, 5, 1, 2, 23, tzinfo=UTC)
DAY = timedelta(days=1)
URL, NEW_URL = "https://example.org/gbfs.json", "https://example.org/v3/gbfs.json"
CATALOGUE_URL = "https://example.org/systems.csv"
FILES = ("station_information", "station_status")


@dataclass
class Publisher:
    """A system and the public catalogue, as a discovery requests them: `files` is None for a URL that is gone."""

    version: str = "2.3"
    files: dict[str, tuple[str, ...] | None] = field(default_factory=lambda: {URL: FILES})
    listed: dict[str, str] = field(default_factory=lambda: {"lille": URL})  # URL by system ID

    def fetch_all(self, requests: Iterable[Request], *_: Any) -> list[FetchResult]:
        """Return the result of each request."""
        return [self._respond(each) for each in requests]

    def _respond(self, request: Request) -> FetchResult:
        made = FetchResult(request.system_id, request.file, request.url, TICK, 200)
        if request.file == CATALOGUE_FILE:
            return replace(made, body=self._format_catalogue().encode())
        files = self.files.get(request.url)
        if files is None:
            return replace(made, status=404)
        listed = [{"name": name, "url": f"https://example.org/{name}.json"} for name in files]
        document = {
            "last_updated": 1_714_557_600,
            "ttl": 60,
            "version": self.version,
            "data": {"en": {"feeds": listed}},
        }
        return replace(made, body=json.dumps(document).encode())

    def _format_catalogue(self) -> str:
        heading = (
            "Country Code,Name,Location,System ID,URL,Auto-Discovery URL,Supported Versions,"
            "Authentication Info URL,Authentication Type,Authentication Parameter Name"
        )
        rows = [f"FR,V'lille,Lille,{name},,{url},2.3,,," for name, url in self.listed.items()]
        return "\n".join([heading, "NO,Oslo,Oslo,oslo,,https://example.org/oslo/gbfs.json,2.3,,,", *rows, ""])


@dataclass
class Discovery:
    """A shard with the system lille, its services, and what it logged."""

    shard: DiscoveryShard
    services: Services
    publisher: Publisher
    stream: io.StringIO

    def run(self, tick: datetime, *, may_exist: bool = False) -> list[dict[str, Any]]:
        """Return the log entries of a discovery, without their time."""
        self.stream.seek(0)
        self.stream.truncate()
        discover_systems(self.shard, self.services, tick, None, may_exist=may_exist)
        entries = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [{name: value for name, value in each.items() if name != "time"} for each in entries]


@pytest.fixture
def discovery(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Iterator[Discovery]:
    project = f"gbfs-discovery-{next(PROJECTS)}"
    gcs, bq = storage_client(emulators, project), bigquery_client(emulators, project)
    gcs.create_bucket(f"{project}-packs")
    bq.create_dataset(f"{project}.vlille")
    for name in ("systems", "station_information"):
        bq.create_table(bigquery.Table(f"{project}.vlille.{name}", schema=TABLES[name].schema))
    publisher = Publisher()
    monkeypatch.setattr("gbfs_collector.discovery.fetch_all", publisher.fetch_all)
    before = LOGGER.handlers, LOGGER.level, LOGGER.propagate
    stream = io.StringIO()
    log_as_json(stream)
    shard = DiscoveryShard(
        number=3,
        systems={"lille": CollectedSystem("lille", "V'lille", "FR", "Lille", URL)},
        collected=frozenset({"lille"}),
        make_request=lambda system, file, url: Request(system.system_id, file, url),
        bucket=f"{project}-packs",
        dataset=f"{project}.vlille",
        catalogue_url=CATALOGUE_URL,
        limits=Limits(),
    )
    yield Discovery(shard, Services(gcs, bq, lambda: TICK), publisher, stream)
    LOGGER.handlers, LOGGER.level, LOGGER.propagate = before


def upgrade(found: Discovery) -> None:
    found.publisher.version = "3.0"


def add_file(found: Discovery) -> None:
    found.publisher.files[URL] = (*FILES, "vehicle_types")


def move(found: Discovery) -> None:
    """Publish at another URL, which the catalogue has; the former one is gone."""
    found.publisher.files = {NEW_URL: FILES}
    found.publisher.listed["lille"] = NEW_URL


def leave_catalogue(found: Discovery) -> None:
    found.publisher.listed = {}


def become_unreachable(found: Discovery) -> None:
    found.publisher.files = {}


def leave_environment(found: Discovery) -> None:
    found.shard = replace(found.shard, systems={}, collected=frozenset())


@pytest.mark.parametrize(
    ("change", "message", "error"),
    [
        (upgrade, "GBFS system lille changed: version", None),
        (add_file, "GBFS system lille changed: files", None),
        (move, "GBFS system lille changed: discovery_url", None),
        (leave_catalogue, "GBFS system lille changed: is_listed", None),
        (
            become_unreachable,
            "GBFS system lille changed: is_reachable; it cannot be reached: status 404, expected 200",
            "status 404, expected 200",
        ),
        (leave_environment, "GBFS system lille vanished", None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_change_of_a_system_is_logged_once(
    discovery: Discovery, change: Callable[[Discovery], None], message: str, error: str | None
) -> None:
    discovery.run(TICK)
    change(discovery)
    changed = {
        "severity": "WARNING",
        "message": message,
        "event": "system_changed",
        "error": error,
        "system": "lille",
        "shard": 3,
        "number": 2,
    }
    assert discovery.run(TICK + DAY) == [changed]
    assert discovery.run(TICK + DAY, may_exist=True) == []  # the redelivery of the same message
    assert discovery.run(TICK + 2 * DAY) == []  # nothing else changed


def test_a_system_that_appears_is_not_a_change(discovery: Discovery) -> None:
    [added] = discovery.run(TICK)
    assert (added["severity"], added["event"], added["system"]) == ("INFO", "system_added", "lille")


def test_a_system_that_appears_and_cannot_be_reached_is_logged_as_changed(discovery: Discovery) -> None:
    become_unreachable(discovery)
    [changed] = discovery.run(TICK)
    assert (changed["severity"], changed["event"]) == ("WARNING", "system_changed")
    assert (changed["system"], changed["error"]) == ("lille", "status 404, expected 200")
