"""Which GBFS systems `make smoke` lists, and its finding for each."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import bigquery

from cdk.settings import load_environments
from cdk.settings.gbfs import Gbfs
from collector.loading import load_lines_once
from gbfs.collection.systems import CollectedSystem
from gbfs.tables import POLLS_TABLE, SYSTEMS_TABLE
from local.data_plane.emulators import Emulators
from operate.cloud import Cloud
from operate.health.gbfs import (
    GbfsFacts,
    Known,
    Polled,
    build_polls_query,
    build_systems_query,
    judge_gbfs,
    observe_gbfs,
)
from operate.health.observation import Unavailable
from operate.health.smoke import CheckResult
from operate.jobs import list_jobs
from operate.target import Target
from tests.conftest import ENVIRONMENTS, bigquery_client
from tests.operate.conftest import Google

PLAIN = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]  # silent after 15 minutes
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
CLOUD = Target("dev")
IDS = ("a", "b", "c", "d", "e", "f", "g", "h")


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def system(system_id: str, interval: int = 1) -> CollectedSystem:
    return CollectedSystem(
        system_id, "Name", "FR", "Target", "https://example.org/", interval_minutes=interval
    )


DEV = replace(PLAIN, gbfs=Gbfs(systems=list(IDS)), gbfs_systems=tuple(system(each) for each in IDS))
WELL = Polled(ago(0.5), ago(0.5), ago(2), None)
KNOWN = Known(ago(600), None, True)
FACTS = GbfsFacts(dict.fromkeys(IDS, WELL), dict.fromkeys(IDS, KNOWN))


def with_a(polled: Polled | None = WELL, known: Known | None = KNOWN) -> GbfsFacts:
    """The facts of system a replaced; None takes them away."""
    return GbfsFacts(
        {name: each for name, each in {**FACTS.polled, "a": polled}.items() if each},
        {name: each for name, each in {**FACTS.known, "a": known}.items() if each},
    )


def lines(facts: GbfsFacts | Unavailable) -> list[CheckResult]:
    return list(judge_gbfs(facts, DEV, CLOUD, NOW))


@pytest.mark.unit
def test_healthy_systems_pass() -> None:
    assert [str(line) for line in lines(FACTS)] == [
        "ok      GBFS ticks    newest of 2026-11-24 12:00 UTC, 0 min ago",
        "ok      GBFS systems  8 of 8 are healthy",
    ]


@pytest.mark.unit
def test_without_gbfs_there_is_no_result() -> None:
    assert list(judge_gbfs(FACTS, PLAIN, CLOUD, NOW)) == []
    assert list_jobs(PLAIN) == ("collect", "copy", "batch")
    assert list_jobs(DEV)[3:] == ("gbfs-collect", "gbfs-discover")


@pytest.mark.unit
@pytest.mark.parametrize(
    ("facts", "what", "found"),
    [
        (
            with_a(replace(WELL, last_success=ago(20), error="status 503, expected 200")),
            "GBFS broken",
            "a since 2026-11-24 11:40 UTC (status 503, expected 200)",
        ),
        (
            with_a(replace(WELL, last_success=None, error="no complete response within 5.0 s")),
            "GBFS broken",
            "a for 2 days or more (no complete response within 5.0 s)",
        ),
        (with_a(replace(WELL, last_updated=ago(90))), "GBFS late", "a since 2026-11-24 10:30 UTC"),
        (with_a(None, None), "GBFS silent", "a not discovered yet"),
        (
            with_a(None, Known(ago(600), "status 404, expected 200", False)),
            "GBFS silent",
            "a since 2026-11-24 02:00 UTC (status 404, expected 200)",
        ),
        (
            with_a(None, Known(ago(600), None, False)),
            "GBFS silent",
            "a since 2026-11-24 02:00 UTC (it publishes no station_status)",
        ),
        (with_a(None), "GBFS silent", "a for 2 days or more (not requested)"),
    ],
)
def test_an_unhealthy_system_is_named_with_the_time(facts: GbfsFacts, what: str, found: str) -> None:
    messages = lines(facts)
    assert [line.found for line in messages if line.what == what] == [found]
    assert [line.what for line in messages if line.wrong] == []
    assert messages[1].found == f"7 of 8 are healthy; 1 {what.partition(' ')[2]}"


@pytest.mark.unit
@pytest.mark.parametrize(
    "polled",
    [
        replace(WELL, last_success=ago(14)),
        replace(WELL, last_updated=None),  # all unchanged for two days
        replace(WELL, newest=ago(50), last_success=ago(50), last_updated=ago(100), ttl=timedelta(hours=1)),
    ],
)
def test_tolerated_states_pass(polled: Polled) -> None:
    assert lines(with_a(polled))[1].found == "8 of 8 are healthy"


@pytest.mark.unit
def test_a_quarter_of_the_systems_fails_and_only_some_are_named() -> None:
    broken = replace(WELL, last_success=ago(40), error="x")
    messages = lines(GbfsFacts(dict.fromkeys(IDS, broken), FACTS.known))
    assert [line.what for line in messages if line.wrong] == ["GBFS systems", "GBFS broken"]
    many = tuple(system(f"s{number:02d}") for number in range(10))
    facts = GbfsFacts({each.system_id: broken for each in many}, {})
    [*_, line] = judge_gbfs(facts, replace(DEV, gbfs_systems=many), CLOUD, NOW)
    assert line.found.startswith("s00 since ")
    assert line.found.endswith(", and 2 more")


@pytest.mark.unit
def test_missing_ticks_fail() -> None:
    late = dict.fromkeys(IDS, replace(WELL, newest=ago(16)))
    assert lines(GbfsFacts(late, FACTS.known))[0] == CheckResult(
        "GBFS ticks",
        "newest of 2026-11-24 11:44 UTC, 16 min ago, the limit is 15: run `make run JOB=gbfs-collect ENV=dev`, "
        "then `make logs JOB=gbfs-collect ENV=dev` says why",
        wrong=True,
    )
    assert lines(GbfsFacts({}, {}))[0].found.startswith("none in the last 2 days: run")


@pytest.mark.unit
def test_ticks_without_a_system_to_request_are_explained() -> None:
    """A tick without requests leaves no row in polls: another tick would not help."""
    unreachable = Known(ago(600), "ConnectionError: cannot be resolved", has_status=False)
    ticks, _, silent = lines(GbfsFacts({}, dict.fromkeys(IDS, unreachable)))
    assert ticks.wrong
    assert ticks.found == (
        "nothing to request in 2 days: no system publishes a station_status that a discovery could read; the line of "
        "silent systems has the reasons"
    )
    assert "ConnectionError: cannot be resolved" in silent.found
    assert lines(GbfsFacts({}, {"a": unreachable, "b": KNOWN}))[0].found.startswith(
        "none in the last 2 days: run"
    )
    assert lines(Unavailable("no answer")) == [CheckResult("GBFS", "no answer", wrong=True)]


@pytest.mark.emulator
def test_the_queries_contain_dataset_and_time(google: Google, cloud: Cloud) -> None:
    call = f"POST /big_query/projects/{google.project}/queries"

    def make_response(*rows: tuple[str | None, ...]) -> tuple[int, dict[str, object]]:
        return 200, {"jobComplete": True, "rows": [{"f": [{"v": cell} for cell in row]} for row in rows]}

    moment = NOW.replace(second=0)
    seconds = str(int(moment.timestamp()))
    google.queues[call] = [
        make_response(("a", seconds, seconds, None, "60", ""), ("b", seconds, None, None, "0", "gone")),
        make_response(("a", seconds, "", "1"), ("b", seconds, "status 404", "0")),
    ]
    assert observe_gbfs(cloud, replace(DEV, project=google.project), CLOUD, NOW) == GbfsFacts(
        {
            "a": Polled(moment, moment, None, None, timedelta(minutes=1)),
            "b": Polled(moment, None, None, "gone"),
        },
        {"a": Known(moment, None, True), "b": Known(moment, "status 404", False)},
    )
    google.responses[call] = (403, {"error": {"message": "no"}})
    assert isinstance(observe_gbfs(cloud, replace(DEV, project=google.project), CLOUD, NOW), Unavailable)


@pytest.mark.emulator
def test_the_queries_on_tables(emulators: Emulators) -> None:
    bq = bigquery_client(emulators, "smoke-gbfs")
    bq.create_dataset("smoke-gbfs.vlille")
    minute = NOW.replace(second=0)
    polls = [
        {
            "collected_at": ago(60 * 24 * 3),
            "system_id": "old",
            "file": "station_status",
            "outcome": "received",
        },
        {
            "collected_at": minute - timedelta(minutes=1),
            "system_id": "a",
            "file": "station_status",
            "outcome": "received",
            "ttl_seconds": 60,
            "last_updated": minute - timedelta(minutes=2),
        },
        {
            "collected_at": minute,
            "system_id": "a",
            "file": "station_status",
            "outcome": "failed",
            "error": "gone",
        },
        {"collected_at": minute, "system_id": "b", "file": "station_status", "outcome": "unchanged"},
    ]
    files = [{"name": "station_status", "url": "https://example.org/s"}]
    systems = [
        {"system_id": "a", "valid_from": ago(100), "error": "refused", "files": []},
        {"system_id": "a", "valid_from": minute, "files": files},
        {"system_id": "b", "valid_from": minute, "error": "status 404", "files": []},
    ]
    for table, rows in ((POLLS_TABLE, polls), (SYSTEMS_TABLE, systems)):
        schema = [bigquery.SchemaField.from_api_repr(column) for column in table.schema]
        bq.create_table(bigquery.Table(f"smoke-gbfs.vlille.{table.name}", schema=schema))
        lines = "\n".join(json.dumps(row, default=str) for row in rows).encode()
        load_lines_once(bq, f"smoke-gbfs.vlille.{table.name}", lines, table.schema, f"smoke-{table.name}")

    def found(sql: str) -> list[tuple[object, ...]]:
        return sorted(tuple(row.values()) for row in bq.query(sql).result())

    seconds = int(minute.timestamp())
    assert found(build_polls_query("smoke-gbfs.vlille", NOW)) == [
        ("a", seconds, seconds - 60, seconds - 120, 60, "gone"),
        ("b", seconds, seconds, None, 0, ""),
    ]
    assert found(build_systems_query("smoke-gbfs.vlille")) == [
        ("a", seconds, "", 1),
        ("b", seconds, "status 404", 0),
    ]
