"""An instance on the emulators: from pushed messages to packs, and rows in every table."""

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
from collector.loading import load_lines_once
from feed import quarantine_schema
from gbfs.roster import CollectedSystem
from gbfs.shards import shard_of
from gbfs.states import known_prefix
from gbfs.tables import TABLES
from gbfs_collector.discovering import newest_state
from gbfs_collector.instance import Instance, Task, read_task
from gbfs_collector.settings import Settings
from gbfs_collector.stores import Store
from gbfs_collector.tick import Services
from local.data_plane.emulators import Emulators
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system
from tests.conftest import bigquery_client, storage_client

PROJECTS = itertools.count(1)
TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def task(kind: str, tick: datetime = TICK, shard: int = 0, *, is_first: bool = True) -> Task:
    return Task(shard, kind, Delivery(tick, is_first=is_first))


def envelope(attributes: object) -> dict[str, Any]:
    return {
        "message": {"publishTime": "2026-05-01T10:07:04Z", "attributes": attributes},
        "deliveryAttempt": 1,
    }


@pytest.mark.unit
@pytest.mark.parametrize(("path", "kind"), [("/shards/0", "collect"), ("/shards/3", "discover")])
def test_path_and_attributes_say_what_to_do(path: str, kind: str) -> None:
    assert read_task(path, envelope({"task": kind}), 4) == task(kind, shard=int(path[-1]))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", envelope({"task": "collect"})),
        ("/shards/4", envelope({"task": "collect"})),
        ("/shards/-1", envelope({"task": "collect"})),
        ("/shards/0", envelope({"task": "destroy"})),
        ("/shards/0", envelope(None)),
        ("/shards/0", envelope({"task": ["collect"]})),
        ("/shards/0", {"message": {}}),
        ("/shards/0", None),
    ],
)
def test_what_is_no_message_of_a_shard_is_refused(path: str, body: object) -> None:
    with pytest.raises(EnvelopeError):
        read_task(path, body, 4)


@dataclass
class Surroundings:
    """A bucket and a dataset, and simulated systems that can be added and replaced."""

    project: str
    gcs: StorageClient
    bq: bigquery.Client
    stack: ExitStack
    shards: int = 1
    systems: dict[str, CollectedSystem] = field(default_factory=dict)
    servers: dict[str, SimulatedServer] = field(default_factory=dict)
    now: datetime = TICK

    def add(self, system: SimulatedSystem, **more: Any) -> None:
        server = self.stack.enter_context(closing(serve_system(system, lambda: self.now)))
        self.servers[system.system_id] = server
        self.systems[system.system_id] = CollectedSystem(
            system.system_id, system.name, "FR", "Lille", server.url_of("gbfs"), **more
        )

    def instance(self) -> Instance:
        settings = Settings(
            self.project, "EU", f"{self.project}-packs", f"{self.project}.vlille", self.shards, 20, 5, ""
        )
        services = Services(self.gcs, self.bq, lambda: self.now)
        return Instance(settings, self.systems, services, {"key-of-lille": "s3cret"})

    @property
    def store(self) -> Store:
        return Store(self.gcs, f"{self.project}-packs")

    def rows(self, table: str, order: str = "system_id") -> list[dict[str, Any]]:
        if table in ("systems", "station_information"):
            order += ", valid_from"  # a system has a row per change, and BigQuery keeps no order of its own
        sql = f"SELECT * FROM `{self.project}.vlille.{table}` ORDER BY {order}"  # noqa: S608
        return [dict(row) for row in self.bq.query(sql).result()]

    def counts(self) -> dict[str, int]:
        return {
            table: len(self.rows(table))
            for table in ("systems", "station_information", "polls", "station_status")
        }


@pytest.fixture
def around(emulators: Emulators) -> Iterator[Surroundings]:
    project = f"gbfs-instance-{next(PROJECTS)}"
    gcs, bq = storage_client(emulators, project), bigquery_client(emulators, project)
    gcs.create_bucket(f"{project}-packs")
    bq.create_dataset(f"{project}.vlille")
    schemas = {table.name: table.schema for table in TABLES.values()} | {"quarantine": quarantine_schema()}
    for table, schema in schemas.items():
        columns = [bigquery.SchemaField.from_api_repr(column) for column in schema]
        bq.create_table(bigquery.Table(f"{project}.vlille.{table}", schema=columns))
    with ExitStack() as stack:
        yield Surroundings(project, gcs, bq, stack)


@pytest.mark.emulator
def test_the_first_tick_discovers_what_it_collects(around: Surroundings) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))
    around.add(SimulatedSystem("oslo", "Oslo", version="3.0", stations=2))
    around.instance().run(task("collect"))
    assert around.counts() == {"systems": 2, "station_information": 5, "polls": 2, "station_status": 5}
    lille, oslo = around.rows("systems")
    assert (lille["event"], lille["version"], lille["timezone"]) == ("appeared", "2.3", "Europe/Paris")
    assert (oslo["version"], oslo["valid_from"]) == ("3.0", TICK)
    assert {row["name"] for row in lille["files"]} >= {"station_status", "station_information"}
    [station, *_] = around.rows("station_information", "system_id, station_id")
    assert (station["station_id"], station["name"][0]["text"]) == ("1", "Station 1")


@pytest.mark.emulator
def test_a_discovery_adds_rows_only_where_something_is_new(around: Surroundings) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))
    around.instance().run(task("discover"))
    around.instance().run(task("discover", TICK + DAY))
    assert len(around.rows("systems")) == 1
    around.add(SimulatedSystem("lille", "V'lille", version="3.0", stations=4))  # another URL, too
    around.instance().run(task("discover", TICK + 2 * DAY))
    _, changed = around.rows("systems", "valid_from")
    assert (changed["event"], changed["version"]) == ("changed", "3.0")
    assert {"discovery_url", "version", "files"} <= set(changed["changed_columns"])
    appeared = [row for row in around.rows("station_information") if row["valid_from"] == TICK + 2 * DAY]
    assert [row["station_id"] for row in appeared if row["event"] == "appeared"] == ["4"]
    assert newest_state(around.store, 0).number == 3


@pytest.mark.emulator
@pytest.mark.parametrize("loaded", [0, 1])
def test_a_discovery_that_is_delivered_again_adds_nothing_and_loses_nothing(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, loaded: int
) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))
    jobs = itertools.count()

    def dying(*words: Any) -> bool:
        if next(jobs) == loaded:
            raise ConnectionError("the instance is gone")
        return load_lines_once(*words)

    monkeypatch.setattr("gbfs_collector.discovering.load_lines_once", dying)
    with pytest.raises(ConnectionError):
        around.instance().run(task("discover"))
    monkeypatch.undo()
    for _ in range(2):
        around.instance().run(task("discover", is_first=False))
    assert around.servers["lille"].requests["gbfs"] == 1
    assert (len(around.rows("systems")), len(around.rows("station_information"))) == (1, 3)


@pytest.mark.emulator
def test_rows_that_a_dead_letter_left_behind_come_with_the_next_discovery(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))

    def refuse(*_: Any) -> bool:
        raise ConnectionError("no BigQuery")

    monkeypatch.setattr("gbfs_collector.discovering.load_lines_once", refuse)
    with pytest.raises(ConnectionError):
        around.instance().run(task("discover"))
    monkeypatch.undo()
    around.instance().run(task("discover", TICK + DAY))
    assert [row["valid_from"] for row in around.rows("systems")] == [TICK]
    assert len(around.rows("station_information")) == 3


@pytest.mark.emulator
def test_a_system_that_is_added_or_taken_out_is_told(around: Surroundings) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))
    around.instance().run(task("collect"))
    around.add(SimulatedSystem("oslo", "Oslo", stations=2))
    around.instance().run(task("collect", TICK + timedelta(minutes=1)))
    assert around.servers["lille"].requests["gbfs"] == 1  # what is known already is not looked at
    del around.systems["lille"]
    around.instance().run(task("discover", TICK + DAY))
    told = [(row["system_id"], row["event"]) for row in around.rows("systems", "valid_from")]
    assert told == [("lille", "appeared"), ("oslo", "appeared"), ("lille", "vanished")]
    around.instance().run(task("collect", TICK + DAY + timedelta(minutes=1)))
    assert {row["system_id"] for row in around.rows("polls") if row["collected_at"] > TICK + DAY} == {"oslo"}


@pytest.mark.emulator
def test_a_system_that_cannot_be_reached_is_looked_at_each_hour_and_holds_nobody_up(
    around: Surroundings,
) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=3))
    around.systems["gone"] = CollectedSystem("gone", "Gone", "FR", "Lille", "http://127.0.0.1:9/gbfs.json")
    instance = around.instance()
    instance.run(task("collect"))
    gone, lille = around.rows("systems")
    assert (gone["is_reachable"], lille["is_reachable"]) == (False, True)
    assert "refused" in gone["error"]
    around.add(SimulatedSystem("gone", "Gone", stations=1))
    for minute in (1, 10):
        instance.run(task("collect", TICK + timedelta(minutes=minute)))
    assert [row["is_reachable"] for row in around.rows("systems") if row["system_id"] == "gone"] == [
        False,
        True,
    ]
    assert {row["system_id"] for row in around.rows("station_status")} == {"gone", "lille"}


@pytest.mark.emulator
def test_an_interval_of_minutes_and_the_secret_of_a_header(around: Surroundings) -> None:
    around.add(
        SimulatedSystem("lille", "V'lille", stations=1), headers={"X-Key": "key-of-lille"}, interval_minutes=5
    )
    instance = around.instance()
    request = instance.request(around.systems["lille"], "gbfs", "https://example.org/")
    assert request.secrets == (("X-Key", "s3cret"),)
    assert "s3cret" not in repr(instance) + repr(request)
    for minute in range(7, 17):
        instance.run(task("collect", TICK.replace(minute=minute)))
    assert [row["collected_at"].minute for row in around.rows("polls", "collected_at")] == [10, 15]


@pytest.mark.emulator
def test_another_instance_goes_on_with_what_the_last_packs_say(around: Surroundings) -> None:
    around.add(SimulatedSystem("lille", "V'lille", stations=2, accidents=frozenset({"frozen"})))
    for minute in range(3):
        around.now = TICK + timedelta(minutes=minute)
        around.instance().run(task("collect", around.now))
    polls = around.rows("polls", "collected_at")
    assert [(row["outcome"], row["rows_at"]) for row in polls] == [
        ("received", TICK),
        ("unchanged", TICK),
        ("unchanged", TICK),
    ]


@pytest.mark.emulator
def test_shards_share_the_systems_and_load_a_minute_together(around: Surroundings) -> None:
    around.shards = 2
    for number in range(6):
        around.add(SimulatedSystem(f"s{number}", f"System {number}", stations=1))
    shards = [shard_of(server.url, 2) for server in around.servers.values()]
    for shard in range(2):
        around.instance().run(task("collect", shard=shard))
    assert around.counts() == {"systems": 6, "station_information": 6, "polls": 6, "station_status": 6}
    for shard in range(2):
        known = newest_state(around.store, shard).known
        assert len(known) == shards.count(shard)
        assert len(list(around.store.names(known_prefix(shard)))) == (1 if known else 0)


@pytest.mark.emulator
def test_a_system_that_moves_to_another_shard_does_not_vanish(around: Surroundings) -> None:
    for number in range(6):
        around.add(SimulatedSystem(f"s{number}", f"System {number}", stations=1))
    around.instance().run(task("discover"))
    around.shards = 2
    for shard in range(2):
        around.instance().run(task("discover", TICK + DAY, shard))
    assert {row["event"] for row in around.rows("systems")} == {"appeared"}
    known = [set(newest_state(around.store, shard).known) for shard in range(2)]
    assert known[0] | known[1] == set(around.systems)
    assert known[0] & known[1] == set()
