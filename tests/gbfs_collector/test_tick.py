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
from collector.loading import LoadError, load_lines_once
from feed import quarantine_schema
from gbfs.packs import Fetched, pack_name, read_pack
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.memory import Memory
from gbfs_collector.tick import CLOSED_WITHIN, LOOKED_AT, Services, Shard, close_minutes, collect_shard
from local.data_plane.emulators import Emulators
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system
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

    def pack(self, number: int, tick: datetime = TICK) -> list[Fetched]:
        """The results that a shard's pack has."""
        blob = self.gcs.bucket(self.shard.bucket).blob(pack_name(tick, number))
        return list(read_pack(blob.download_as_bytes()))

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
    collect_shard(around.shard, around.services, Memory(), FIRST)
    for memory in (Memory(), Memory()):
        collect_shard(around.shard, around.services, memory, AGAIN)
    assert around.server.requests["station_status"] == 1
    assert around.counts() == (5, 2, 1)


def test_of_two_first_deliveries_the_one_that_stores_first_counts(around: Surroundings) -> None:
    collect_shard(around.shard, around.services, Memory(), FIRST)
    first = around.pack(3)
    around.minute = TICK + timedelta(minutes=20)  # the second one gets newer responses
    collect_shard(around.shard, around.services, Memory(), FIRST)
    assert around.pack(3) == first
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
        return load_lines_once(*words)

    monkeypatch.setattr("gbfs_collector.tick.load_lines_once", dying)
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


def shards_of(around: Surroundings) -> tuple[Shard, Shard]:
    """Two shards that share the minute, with a system each."""
    good, bad = around.shard.requests
    first = replace(around.shard, number=0, shards=2, requests=[good])
    return first, replace(first, number=1, requests=[bad])


def test_the_shard_that_stores_the_last_pack_loads_the_minute_by_one_job_per_table(
    around: Surroundings,
) -> None:
    first, second = shards_of(around)
    collect_shard(first, around.services, Memory(), FIRST)
    assert around.counts() == (0, 0, 0)
    collect_shard(second, around.services, Memory(), FIRST)
    collect_shard(first, around.services, Memory(), AGAIN)
    assert around.counts() == (5, 2, 1)
    jobs = [job.job_id for job in around.services.bigquery.list_jobs() if job.job_type == "load"]
    assert len(jobs) == 3


def look_at(around: Surroundings, *, look: int, number: int, now: datetime = TICK) -> None:
    """Let a shard have its tick at which the minute may be looked at."""
    services = replace(around.services, now=lambda: now)
    close_minutes(shards_of(around)[number], services, TICK + LOOKED_AT[look], set())


def turn(look: int) -> int:
    """The number of the shard whose turn a look at the minute is, of two."""
    return (int(TICK.timestamp()) // 60 + look) % 2


@pytest.mark.parametrize("look", range(len(LOOKED_AT)))
def test_a_minute_is_closed_where_a_shard_delivers_nothing(around: Surroundings, look: int) -> None:
    first, second = shards_of(around)
    collect_shard(second, around.services, Memory(), FIRST)
    look_at(around, look=look, number=1 - turn(look))
    assert around.counts() == (0, 0, 0)
    look_at(around, look=look, number=turn(look))
    assert around.counts() == (0, 1, 0)
    assert around.pack(0) == []
    collect_shard(first, around.services, Memory(), FIRST)  # too late: the closed minute stays as it is
    assert around.pack(0) == []
    assert around.counts() == (0, 1, 0)


@pytest.mark.parametrize("loaded", [0, 1, 2])
def test_a_minute_whose_loading_was_given_up_is_loaded_by_the_next_look(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, loaded: int
) -> None:
    jobs = itertools.count()

    def dying(*words: Any) -> bool:
        if next(jobs) == loaded:
            raise ConnectionError("the instance is gone")
        return load_lines_once(*words)

    first, second = shards_of(around)
    collect_shard(first, around.services, Memory(), FIRST)
    monkeypatch.setattr("gbfs_collector.tick.load_lines_once", dying)
    with pytest.raises(ConnectionError):
        collect_shard(second, around.services, Memory(), FIRST)
    monkeypatch.undo()
    look_at(around, look=0, number=turn(0))
    assert around.counts() == (5, 2, 1)


def test_a_minute_that_cannot_be_loaded_holds_no_other_up(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TICK + LOOKED_AT[2] - LOOKED_AT[0]  # looked at before, by the same tick of the same shard
    for tick in (TICK, other):
        collect_shard(shards_of(around)[1], around.services, Memory(), Delivery(tick, is_first=True))

    def refuse(*words: Any) -> bool:
        if f"{other:%H%M}" in words[-1]:
            raise LoadError("5 load jobs failed")
        return load_lines_once(*words)

    monkeypatch.setattr("gbfs_collector.tick.load_lines_once", refuse)
    look_at(around, look=2, number=turn(2))
    assert {row["collected_at"] for row in around.rows(around.shard.polls_table)} == {TICK}


def test_a_minute_that_the_batch_may_have_rebuilt_is_left_alone(around: Surroundings) -> None:
    collect_shard(shards_of(around)[1], around.services, Memory(), FIRST)
    late = TICK + CLOSED_WITHIN
    look_at(around, look=0, number=turn(0), now=late + timedelta(seconds=1))
    assert around.counts() == (0, 0, 0)
    look_at(around, look=0, number=turn(0), now=late)
    assert around.counts() == (0, 1, 0)


def test_a_minute_in_which_nothing_was_collected_is_left_alone(around: Surroundings) -> None:
    for look in range(len(LOOKED_AT)):
        look_at(around, look=look, number=turn(look))
    assert list(around.gcs.list_blobs(around.shard.bucket)) == []


def test_a_system_in_two_packs_of_a_minute_has_its_rows_once(around: Surroundings) -> None:
    good = around.shard.requests[:1]
    for shard in shards_of(around):
        collect_shard(replace(shard, requests=good), around.services, Memory(), FIRST)
    assert around.counts() == (5, 1, 1)
