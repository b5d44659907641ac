"""A shard's tick on the emulators: every response is stored and every row loaded exactly once."""

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
from gbfs.collection.packs import FetchResult, pack_name, read_pack
from gbfs.tables import POLLS_TABLE, STATION_STATUS_TABLE
from gbfs_collector.fetching import Limits, Request
from gbfs_collector.request_state import RequestState
from gbfs_collector.tick import CLOSED_WITHIN, CLOSING_AGES, Services, Shard, close_minutes, collect_shard
from local.data_plane.emulators import Emulators
from local.feeds.gbfs_system import SimulatedServer, SimulatedSystem, serve_system
from tests.conftest import bigquery_client, storage_client
from tests.gbfs_collector.failures import failing_load_job

pytestmark = pytest.mark.emulator

PROJECTS = itertools.count(1)
TICK = datetime(2026, 5, 1, 10, 7, tzinfo=UTC)
FIRST_DELIVERY, REDELIVERY = Delivery(TICK, is_first=True), Delivery(TICK, is_first=False)
PACK = pack_name(TICK, 3)


@dataclass
class ShardEnvironment:
    """The bucket and tables of a shard with two systems, one of which fails."""

    shard: Shard
    services: Services
    server: SimulatedServer
    minute: datetime = TICK

    @property
    def gcs(self) -> StorageClient:
        return self.services.storage

    def read_pack(self, number: int, tick: datetime = TICK) -> list[FetchResult]:
        """Return the results in a shard's pack."""
        blob = self.gcs.bucket(self.shard.bucket).blob(pack_name(tick, number))
        return list(read_pack(blob.download_as_bytes()))

    def query_rows(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.services.bigquery.query(f"SELECT * FROM `{table}`").result()]  # noqa: S608

    def count_rows(self) -> tuple[int, int, int]:
        """Count the rows of station_status, polls and quarantine."""
        tables = (self.shard.station_status_table, self.shard.polls_table, self.shard.quarantine_table)
        status, polls, quarantine = (len(self.query_rows(table)) for table in tables)
        return status, polls, quarantine


@pytest.fixture
def environment(emulators: Emulators) -> Iterator[ShardEnvironment]:
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
    environments: list[ShardEnvironment] = []
    good = SimulatedSystem("good", "Good", stations=5, faults=frozenset({"duplicate"}))
    bad = SimulatedSystem("bad", "Bad", faults=frozenset({"error"}))
    with (
        closing(serve_system(good, lambda: environments[0].minute)) as server,
        closing(serve_system(bad, lambda: TICK)) as other,
    ):
        wanted = [
            Request("good", "station_status", server.url_of("station_status")),
            Request("bad", "station_status", other.url_of("station_status")),
        ]
        status, polls, quarantine = (f"{project}.vlille.{table}" for table in schemas)
        shard = Shard(3, wanted, f"{project}-packs", status, polls, quarantine, Limits(deadline_s=20))
        environments.append(ShardEnvironment(shard, Services(gcs, bq, lambda: TICK), server))
        yield environments[0]


def test_a_tick_stores_one_pack_and_loads_its_rows(environment: ShardEnvironment) -> None:
    collect_shard(environment.shard, environment.services, RequestState(), FIRST_DELIVERY)
    [blob] = environment.gcs.list_blobs(environment.shard.bucket)
    assert blob.name == PACK
    packed = list(read_pack(blob.download_as_bytes()))
    assert [(each.system_id, each.status) for each in packed] == [("good", 200), ("bad", 500)]
    assert environment.count_rows() == (5, 2, 1)
    assert {
        row["collected_at"] for row in environment.query_rows(environment.shard.station_status_table)
    } == {TICK}
    assert {row["outcome"] for row in environment.query_rows(environment.shard.polls_table)} == {
        "received",
        "failed",
    }
    [rejected] = environment.query_rows(environment.shard.quarantine_table)
    assert (rejected["feed"], rejected["object"], rejected["reason"]) == ("good", PACK, "duplicate_key")


def test_a_redelivery_requests_nothing_and_adds_nothing(environment: ShardEnvironment) -> None:
    collect_shard(environment.shard, environment.services, RequestState(), FIRST_DELIVERY)
    for _ in range(2):
        collect_shard(environment.shard, environment.services, RequestState(), REDELIVERY)
    assert environment.server.requests["station_status"] == 1
    assert environment.count_rows() == (5, 2, 1)


def test_the_first_stored_pack_is_used_by_concurrent_first_deliveries(environment: ShardEnvironment) -> None:
    collect_shard(environment.shard, environment.services, RequestState(), FIRST_DELIVERY)
    first = environment.read_pack(3)
    environment.minute = TICK + timedelta(minutes=20)  # the second delivery gets newer responses
    collect_shard(environment.shard, environment.services, RequestState(), FIRST_DELIVERY)
    assert environment.read_pack(3) == first
    assert environment.server.requests["station_status"] == 2
    assert environment.count_rows() == (5, 2, 1)


@pytest.mark.parametrize("failed_job", [0, 1, 2])
def test_a_redelivery_runs_the_load_jobs_that_failed(environment: ShardEnvironment, failed_job: int) -> None:
    with failing_load_job("gbfs_collector.tick", failed_job):
        collect_shard(environment.shard, environment.services, RequestState(), FIRST_DELIVERY)
    environment.minute = TICK + timedelta(minutes=20)
    collect_shard(environment.shard, environment.services, RequestState(), REDELIVERY)
    assert environment.server.requests["station_status"] == 1
    assert environment.count_rows() == (5, 2, 1)


def test_an_unchanged_status_has_a_poll_and_no_rows(environment: ShardEnvironment) -> None:
    request_state = RequestState()
    only_good = replace(environment.shard, requests=environment.shard.requests[:1])
    ticks = [TICK + timedelta(minutes=minute) for minute in range(2)]
    for each in ticks:
        collect_shard(only_good, environment.services, request_state, Delivery(each, is_first=True))
    polls = environment.query_rows(environment.shard.polls_table)
    assert sorted((row["collected_at"], row["outcome"], row["status"], row["rows_at"]) for row in polls) == [
        (ticks[0], "received", 200, ticks[0]),
        (ticks[1], "unchanged", 304, ticks[0]),
    ]
    assert len(environment.query_rows(environment.shard.station_status_table)) == 5


def make_two_shards(environment: ShardEnvironment) -> tuple[Shard, Shard]:
    """Return two shards that share the minute, with one system each."""
    good, bad = environment.shard.requests
    first = replace(environment.shard, number=0, shards=2, requests=[good])
    return first, replace(first, number=1, requests=[bad])


def test_the_shard_that_stores_the_last_pack_loads_the_minute_with_one_job_per_table(
    environment: ShardEnvironment,
) -> None:
    first, second = make_two_shards(environment)
    collect_shard(first, environment.services, RequestState(), FIRST_DELIVERY)
    assert environment.count_rows() == (0, 0, 0)
    collect_shard(second, environment.services, RequestState(), FIRST_DELIVERY)
    collect_shard(first, environment.services, RequestState(), REDELIVERY)
    assert environment.count_rows() == (5, 2, 1)
    jobs = [job.job_id for job in environment.services.bigquery.list_jobs() if job.job_type == "load"]
    assert len(jobs) == 3


def check_minute(environment: ShardEnvironment, *, check: int, number: int, now: datetime = TICK) -> None:
    """Run a shard's tick at which a check of the minute is due."""
    services = replace(environment.services, now=lambda: now)
    close_minutes(make_two_shards(environment)[number], services, TICK + CLOSING_AGES[check], set())


def find_turn(check: int) -> int:
    """Return which of two shards has the turn for a check of the minute."""
    return (int(TICK.timestamp()) // 60 + check) % 2


@pytest.mark.parametrize("check", range(len(CLOSING_AGES)))
def test_a_minute_is_closed_if_a_shard_stores_no_pack(environment: ShardEnvironment, check: int) -> None:
    first, second = make_two_shards(environment)
    collect_shard(second, environment.services, RequestState(), FIRST_DELIVERY)
    check_minute(environment, check=check, number=1 - find_turn(check))
    assert environment.count_rows() == (0, 0, 0)
    check_minute(environment, check=check, number=find_turn(check))
    assert environment.count_rows() == (0, 1, 0)
    assert environment.read_pack(0) == []
    collect_shard(
        first, environment.services, RequestState(), FIRST_DELIVERY
    )  # too late: the minute is closed
    assert environment.read_pack(0) == []
    assert environment.count_rows() == (0, 1, 0)


@pytest.mark.parametrize("failed_job", [0, 1, 2])
def test_a_minute_that_was_not_loaded_completely_is_loaded_by_the_next_check(
    environment: ShardEnvironment, failed_job: int
) -> None:
    first, second = make_two_shards(environment)
    collect_shard(first, environment.services, RequestState(), FIRST_DELIVERY)
    with failing_load_job("gbfs_collector.tick", failed_job):
        collect_shard(second, environment.services, RequestState(), FIRST_DELIVERY)
    check_minute(environment, check=0, number=find_turn(0))
    assert environment.count_rows() == (5, 2, 1)


def test_a_minute_that_cannot_be_loaded_does_not_prevent_the_loading_of_others(
    environment: ShardEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TICK + CLOSING_AGES[2] - CLOSING_AGES[0]  # checked first, by the same tick of the same shard
    for tick in (TICK, other):
        collect_shard(
            make_two_shards(environment)[1],
            environment.services,
            RequestState(),
            Delivery(tick, is_first=True),
        )

    def fail_other_minute(*arguments: Any) -> bool:
        if f"{other:%H%M}" in arguments[-1]:
            raise LoadError("5 load jobs failed")
        return load_lines_once(*arguments)

    monkeypatch.setattr("gbfs_collector.tick.load_lines_once", fail_other_minute)
    check_minute(environment, check=2, number=find_turn(2))
    assert {row["collected_at"] for row in environment.query_rows(environment.shard.polls_table)} == {TICK}


def test_a_minute_that_the_batch_may_have_rebuilt_is_not_closed(environment: ShardEnvironment) -> None:
    collect_shard(make_two_shards(environment)[1], environment.services, RequestState(), FIRST_DELIVERY)
    late = TICK + CLOSED_WITHIN
    check_minute(environment, check=0, number=find_turn(0), now=late + timedelta(seconds=1))
    assert environment.count_rows() == (0, 0, 0)
    check_minute(environment, check=0, number=find_turn(0), now=late)
    assert environment.count_rows() == (0, 1, 0)


def test_a_minute_without_any_pack_is_not_closed(environment: ShardEnvironment) -> None:
    for check in range(len(CLOSING_AGES)):
        check_minute(environment, check=check, number=find_turn(check))
    assert list(environment.gcs.list_blobs(environment.shard.bucket)) == []


def test_a_system_in_two_packs_of_a_minute_is_loaded_once(environment: ShardEnvironment) -> None:
    good = environment.shard.requests[:1]
    for shard in make_two_shards(environment):
        collect_shard(replace(shard, requests=good), environment.services, RequestState(), FIRST_DELIVERY)
    assert environment.count_rows() == (5, 1, 1)
