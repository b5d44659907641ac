"""A shard's tick on the emulators: every response and every row exactly once."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery
from google.cloud.storage import Client as StorageClient

from collector.envelope import Delivery
from collector.loading import load_once
from feed import quarantine_schema
from gbfs.packs import pack_name, read_pack
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.memory import Memory
from gbfs_collector.tick import Services, Shard, collect_shard
from local.emulators import Emulators
from local.gbfs_system import SimulatedServer, SimulatedSystem, serve_system
from tests.conftest import bigquery_client, storage_client

pytestmark = pytest.mark.emulator

PROJECTS = itertools.count(1)
TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
FIRST, AGAIN = Delivery(TICK, is_first=True), Delivery(TICK, is_first=False)
PACK = pack_name(TICK, 3)


@dataclass
class Surroundings:
    """A shard of two systems, one of which fails, with its bucket and tables."""

    shard: Shard
    services: Services
    server: SimulatedServer
    minute: datetime = TICK

    @property
    def gcs(self) -> StorageClient:
        return self.services.storage

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.services.bigquery.query(f"SELECT * FROM `{table}`").result()]  # noqa: S608

    def counts(self) -> tuple[int, int, int]:
        """Rows of station_status, polls and quarantine."""
        tables = (self.shard.station_status_table, self.shard.polls_table, self.shard.quarantine_table)
        status, polls, quarantine = (len(self.rows(table)) for table in tables)
        return status, polls, quarantine


@pytest.fixture
def around(emulators: Emulators) -> Iterator[Surroundings]:
    project = f"gbfs-{next(PROJECTS)}"
    gcs, bq = storage_client(emulators, project), bigquery_client(emulators, project)
    gcs.create_bucket(f"{project}-packs")
    bq.create_dataset(f"{project}.vlille")
    schemas = {
        "station_status": STATION_STATUS_TABLE.schema,
        "polls": POLLS_TABLE.schema,
        "quarantine": quarantine_schema(),
    }
    for table, schema in schemas.items():
        columns = [bigquery.SchemaField.from_api_repr(column) for column in schema]
        bq.create_table(bigquery.Table(f"{project}.vlille.{table}", schema=columns))
    found: list[Surroundings] = []
    good = SimulatedSystem("good", "Good", stations=5, accidents=frozenset({"duplicate"}))
    bad = SimulatedSystem("bad", "Bad", accidents=frozenset({"error"}))
    with (
        closing(serve_system(good, lambda: found[0].minute)) as server,
        closing(serve_system(bad, lambda: TICK)) as other,
    ):
        wanted = [
            Request("good", "station_status", server.url_of("station_status")),
            Request("bad", "station_status", other.url_of("station_status")),
        ]
        status, polls, quarantine = (f"{project}.vlille.{table}" for table in schemas)
        shard = Shard(3, wanted, f"{project}-packs", status, polls, quarantine, Limits(deadline_s=20))
        found.append(Surroundings(shard, Services(gcs, bq, lambda: TICK), server))
        yield found[0]


def test_a_tick_keeps_one_pack_and_loads_its_rows(around: Surroundings) -> None:
    collect_shard(around.shard, around.services, Memory(), FIRST)
    [blob] = around.gcs.list_blobs(around.shard.bucket)
    assert blob.name == PACK
    packed = list(read_pack(blob.download_as_bytes()))
    assert [(each.system_id, each.status) for each in packed] == [("good", 200), ("bad", 500)]
    assert around.counts() == (5, 2, 1)
    assert {row["collected_at"] for row in around.rows(around.shard.station_status_table)} == {TICK}
    assert {row["outcome"] for row in around.rows(around.shard.polls_table)} == {"received", "failed"}
    [rejected] = around.rows(around.shard.quarantine_table)
    assert (rejected["feed"], rejected["object"], rejected["reason"]) == ("good", PACK, "duplicate_key")


def test_a_redelivery_requests_nothing_and_adds_nothing(around: Surroundings) -> None:
    first = collect_shard(around.shard, around.services, Memory(), FIRST)
    for memory in (Memory(), Memory()):
        assert collect_shard(around.shard, around.services, memory, AGAIN) == first
    assert around.server.requests["station_status"] == 1
    assert around.counts() == (5, 2, 1)


def test_of_two_first_deliveries_the_one_that_stores_first_counts(around: Surroundings) -> None:
    first = collect_shard(around.shard, around.services, Memory(), FIRST)
    around.minute = TICK + timedelta(minutes=20)  # the second one gets newer responses
    assert collect_shard(around.shard, around.services, Memory(), FIRST) == first
    assert around.server.requests["station_status"] == 2
    assert around.counts() == (5, 2, 1)


@pytest.mark.parametrize("loaded", [0, 1, 2])
def test_what_an_instance_left_undone_is_done_by_the_next_delivery(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, loaded: int
) -> None:
    jobs = itertools.count()

    def dying(*words: Any) -> bool:
        if next(jobs) == loaded:
            raise ConnectionError("the instance is gone")
        return load_once(*words)

    monkeypatch.setattr("gbfs_collector.tick.load_once", dying)
    with pytest.raises(ConnectionError):
        collect_shard(around.shard, around.services, Memory(), FIRST)
    monkeypatch.undo()
    around.minute = TICK + timedelta(minutes=20)
    collect_shard(around.shard, around.services, Memory(), AGAIN)
    assert around.server.requests["station_status"] == 1
    assert around.counts() == (5, 2, 1)


def test_what_is_unchanged_is_told_from_what_was_not_requested(around: Surroundings) -> None:
    memory = Memory()
    only_good = replace(around.shard, requests=around.shard.requests[:1])
    ticks = [TICK + timedelta(minutes=minute) for minute in range(2)]
    for each in ticks:
        collect_shard(only_good, around.services, memory, Delivery(each, is_first=True))
    polls = around.rows(around.shard.polls_table)
    assert sorted((row["collected_at"], row["outcome"], row["status"], row["rows_at"]) for row in polls) == [
        (ticks[0], "received", 200, ticks[0]),
        (ticks[1], "unchanged", 304, ticks[0]),
    ]
    assert len(around.rows(around.shard.station_status_table)) == 5
