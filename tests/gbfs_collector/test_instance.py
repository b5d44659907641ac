"""An instance on the emulators: pushed messages become packs, and rows in every table."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.envelope import Delivery, EnvelopeError
from feed import quarantine_schema
from gbfs.collection.shards import assign_shard
from gbfs.collection.systems import CollectedSystem
from gbfs.history.known_state import state_prefix
from gbfs.tables import TABLES
from gbfs_collector.discovery import read_newest_state
from gbfs_collector.instance import Instance, Task, read_task
from gbfs_collector.settings import Settings
from gbfs_collector.storage import ObjectStore
from gbfs_collector.tick import Services
from local.data_plane.emulators import Emulators
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system
from tests.conftest import bigquery_client, storage_client
from tests.gbfs_collector.failures import failing_load_job

PROJECTS = itertools.count(1)
TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def make_task(kind: str, tick: datetime = TICK, shard: int = 0, *, is_first: bool = True) -> Task:
    return Task(shard, kind, Delivery(tick, is_first=is_first))


def make_envelope(attributes: object) -> dict[str, Any]:
    return {
        "message": {"publishTime": "2026-05-01T10:07:04Z", "attributes": attributes},
        "deliveryAttempt": 1,
    }


@pytest.mark.unit
@pytest.mark.parametrize(("path", "kind"), [("/shards/0", "collect"), ("/shards/3", "discover")])
def test_the_path_and_the_attributes_determine_the_task(path: str, kind: str) -> None:
    assert read_task(path, make_envelope({"task": kind}), 4) == make_task(kind, shard=int(path[-1]))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", make_envelope({"task": "collect"})),
        ("/shards/4", make_envelope({"task": "collect"})),
        ("/shards/-1", make_envelope({"task": "collect"})),
        ("/shards/0", make_envelope({"task": "destroy"})),
        ("/shards/0", make_envelope(None)),
        ("/shards/0", make_envelope({"task": ["collect"]})),
        ("/shards/0", {"message": {}}),
        ("/shards/0", None),
    ],
)
def test_an_invalid_message_is_refused(path: str, body: object) -> None:
    with pytest.raises(EnvelopeError):
        read_task(path, body, 4)


@dataclass
class CollectionEnvironment:
    """A bucket, a dataset, and simulated systems that can be added and replaced."""

    project: str
    gcs: StorageClient
    bq: bigquery.Client
    stack: ExitStack
    shards: int = 1
    systems: dict[str, CollectedSystem] = field(default_factory=dict)
    servers: dict[str, SimulatedServer] = field(default_factory=dict)
    now: datetime = TICK

    def add_system(self, system: SimulatedSystem, **more: Any) -> None:
        server = self.stack.enter_context(closing(serve_system(system, lambda: self.now)))
        self.servers[system.system_id] = server
        self.systems[system.system_id] = CollectedSystem(
            system.system_id, system.name, "FR", "Lille", server.url_of("gbfs"), **more
        )

    def make_instance(self) -> Instance:
        settings = Settings(
            self.project, "EU", f"{self.project}-packs", f"{self.project}.vlille", self.shards, 20, 5, ""
        )
        services = Services(self.gcs, self.bq, lambda: self.now)
        return Instance(settings, self.systems, services, {"key-of-lille": "s3cret"})

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.gcs, f"{self.project}-packs")

    def query_rows(self, table: str, order: str = "system_id") -> list[dict[str, Any]]:
        if table in ("systems", "station_information"):
            order += ", valid_from"  # a system has a row per change, and BigQuery returns rows in any order
        sql = f"SELECT * FROM `{self.project}.vlille.{table}` ORDER BY {order}"  # noqa: S608
        return [dict(row) for row in self.bq.query(sql).result()]

    def count_rows(self) -> dict[str, int]:
        return {
            table: len(self.query_rows(table))
            for table in ("systems", "station_information", "polls", "station_status")
        }


@pytest.fixture
def environment(emulators: Emulators) -> Iterator[CollectionEnvironment]:
    project = f"gbfs-instance-{next(PROJECTS)}"
    gcs, bq = storage_client(emulators, project), bigquery_client(emulators, project)
    gcs.create_bucket(f"{project}-packs")
    bq.create_dataset(f"{project}.vlille")
    schemas = {table.name: table.schema for table in TABLES.values()} | {"quarantine": quarantine_schema()}
    for table, schema in schemas.items():
        columns = [bigquery.SchemaField.from_api_repr(column) for column in schema]
        bq.create_table(bigquery.Table(f"{project}.vlille.{table}", schema=columns))
    with ExitStack() as stack:
        yield CollectionEnvironment(project, gcs, bq, stack)


@pytest.mark.emulator
def test_the_first_tick_discovers_the_systems_that_it_collects(environment: CollectionEnvironment) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    environment.add_system(SimulatedSystem("oslo", "Oslo", version="3.0", stations=2))
    environment.make_instance().run_task(make_task("collect"))
    assert environment.count_rows() == {
        "systems": 2,
        "station_information": 5,
        "polls": 2,
        "station_status": 5,
    }
    lille, oslo = environment.query_rows("systems")
    assert (lille["event"], lille["version"], lille["timezone"]) == ("appeared", "2.3", "Europe/Paris")
    assert (oslo["version"], oslo["valid_from"]) == ("3.0", TICK)
    assert {row["name"] for row in lille["files"]} >= {"station_status", "station_information"}
    [station, *_] = environment.query_rows("station_information", "system_id, station_id")
    assert (station["station_id"], station["name"][0]["text"]) == ("1", "Station 1")


@pytest.mark.emulator
def test_a_discovery_adds_rows_only_for_changes(environment: CollectionEnvironment) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    environment.make_instance().run_task(make_task("discover"))
    environment.make_instance().run_task(make_task("discover", TICK + DAY))
    assert len(environment.query_rows("systems")) == 1
    environment.add_system(SimulatedSystem("lille", "V'lille", version="3.0", stations=4))  # with another URL
    environment.make_instance().run_task(make_task("discover", TICK + 2 * DAY))
    _, changed = environment.query_rows("systems", "valid_from")
    assert (changed["event"], changed["version"]) == ("changed", "3.0")
    assert {"discovery_url", "version", "files"} <= set(changed["changed_columns"])
    appeared = [
        row for row in environment.query_rows("station_information") if row["valid_from"] == TICK + 2 * DAY
    ]
    assert [row["station_id"] for row in appeared if row["event"] == "appeared"] == ["4"]
    assert read_newest_state(environment.store, 0).number == 3


@pytest.mark.emulator
@pytest.mark.parametrize("failed_job", [0, 1])
def test_a_redelivered_discovery_loads_every_row_once(
    environment: CollectionEnvironment, failed_job: int
) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    with failing_load_job("gbfs_collector.discovery", failed_job):
        environment.make_instance().run_task(make_task("discover"))
    for _ in range(2):
        environment.make_instance().run_task(make_task("discover", is_first=False))
    assert environment.servers["lille"].requests["gbfs"] == 1
    assert (len(environment.query_rows("systems")), len(environment.query_rows("station_information"))) == (
        1,
        3,
    )


@pytest.mark.emulator
def test_rows_of_a_dead_lettered_discovery_are_loaded_by_the_next_one(
    environment: CollectionEnvironment,
) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    with failing_load_job("gbfs_collector.discovery", 0):
        environment.make_instance().run_task(make_task("discover"))
    environment.make_instance().run_task(make_task("discover", TICK + DAY))
    assert [row["valid_from"] for row in environment.query_rows("systems")] == [TICK]
    assert len(environment.query_rows("station_information")) == 3


@pytest.mark.emulator
def test_added_and_removed_systems_have_rows(environment: CollectionEnvironment) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    environment.make_instance().run_task(make_task("collect"))
    environment.add_system(SimulatedSystem("oslo", "Oslo", stations=2))
    environment.make_instance().run_task(make_task("collect", TICK + timedelta(minutes=1)))
    assert environment.servers["lille"].requests["gbfs"] == 1  # a known system is not discovered again
    del environment.systems["lille"]
    environment.make_instance().run_task(make_task("discover", TICK + DAY))
    events = [(row["system_id"], row["event"]) for row in environment.query_rows("systems", "valid_from")]
    assert events == [("lille", "appeared"), ("oslo", "appeared"), ("lille", "vanished")]
    environment.make_instance().run_task(make_task("collect", TICK + DAY + timedelta(minutes=1)))
    assert {
        row["system_id"] for row in environment.query_rows("polls") if row["collected_at"] > TICK + DAY
    } == {"oslo"}


@pytest.mark.emulator
def test_an_unreachable_system_is_discovered_again_each_hour_and_does_not_block_others(
    environment: CollectionEnvironment,
) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=3))
    environment.systems["gone"] = CollectedSystem(
        "gone", "Gone", "FR", "Lille", "http://127.0.0.1:9/gbfs.json"
    )
    instance = environment.make_instance()
    instance.run_task(make_task("collect"))
    gone, lille = environment.query_rows("systems")
    assert (gone["is_reachable"], lille["is_reachable"]) == (False, True)
    assert "refused" in gone["error"]
    environment.add_system(SimulatedSystem("gone", "Gone", stations=1))
    for minute in (1, 10):
        instance.run_task(make_task("collect", TICK + timedelta(minutes=minute)))
    assert [
        row["is_reachable"] for row in environment.query_rows("systems") if row["system_id"] == "gone"
    ] == [
        False,
        True,
    ]
    assert {row["system_id"] for row in environment.query_rows("station_status")} == {"gone", "lille"}


@pytest.mark.emulator
def test_interval_minutes_and_secret_headers_are_applied(environment: CollectionEnvironment) -> None:
    environment.add_system(
        SimulatedSystem("lille", "V'lille", stations=1), headers={"X-Key": "key-of-lille"}, interval_minutes=5
    )
    instance = environment.make_instance()
    request = instance.make_request(environment.systems["lille"], "gbfs", "https://example.org/")
    assert request.secrets == (("X-Key", "s3cret"),)
    assert "s3cret" not in repr(instance) + repr(request)
    for minute in range(7, 17):
        instance.run_task(make_task("collect", TICK.replace(minute=minute)))
    assert [row["collected_at"].minute for row in environment.query_rows("polls", "collected_at")] == [10, 15]


@pytest.mark.emulator
def test_another_instance_continues_with_the_request_state_of_the_latest_packs(
    environment: CollectionEnvironment,
) -> None:
    environment.add_system(SimulatedSystem("lille", "V'lille", stations=2, faults=frozenset({"frozen"})))
    for minute in range(3):
        environment.now = TICK + timedelta(minutes=minute)
        environment.make_instance().run_task(make_task("collect", environment.now))
    polls = environment.query_rows("polls", "collected_at")
    assert [(row["outcome"], row["rows_at"]) for row in polls] == [
        ("received", TICK),
        ("unchanged", TICK),
        ("unchanged", TICK),
    ]


@pytest.mark.emulator
def test_shards_divide_the_systems_and_load_a_minute_together(environment: CollectionEnvironment) -> None:
    environment.shards = 2
    for number in range(6):
        environment.add_system(SimulatedSystem(f"s{number}", f"System {number}", stations=1))
    shards = [assign_shard(server.url, 2) for server in environment.servers.values()]
    for shard in range(2):
        environment.make_instance().run_task(make_task("collect", shard=shard))
    assert environment.count_rows() == {
        "systems": 6,
        "station_information": 6,
        "polls": 6,
        "station_status": 6,
    }
    for shard in range(2):
        known = read_newest_state(environment.store, shard).known
        assert len(known) == shards.count(shard)
        assert len(list(environment.store.list_names(state_prefix(shard)))) == (1 if known else 0)


@pytest.mark.emulator
def test_a_system_that_moves_to_another_shard_does_not_vanish(environment: CollectionEnvironment) -> None:
    for number in range(6):
        environment.add_system(SimulatedSystem(f"s{number}", f"System {number}", stations=1))
    environment.make_instance().run_task(make_task("discover"))
    environment.shards = 2
    for shard in range(2):
        environment.make_instance().run_task(make_task("discover", TICK + DAY, shard))
    assert {row["event"] for row in environment.query_rows("systems")} == {"appeared"}
    known = [set(read_newest_state(environment.store, shard).known) for shard in range(2)]
    assert known[0] | known[1] == set(environment.systems)
    assert known[0] & known[1] == set()
