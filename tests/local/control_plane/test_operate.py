"""Commands that observe a deployed environment, run against the control plane emulator."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from cdk.settings import Settings, load_environments
from feed import (
    archive_name,
    batch_runs_schema,
    empty_responses_schema,
    landing_name,
    load_feeds,
    quarantine_schema,
    station_schema,
)
from local.control_plane.server import ControlPlane
from local.data_plane.emulators import Emulators
from local.environment.clock import RealClock
from local.environment.environment import LocalEnvironment
from local.services.pubsub import PubSub
from local.services.storage import Storage
from operate import jobs
from operate.cloud import Cloud, connect
from operate.deployment import orphaned_resources
from operate.health.content import Content, observe_content
from operate.health.observation import Facts, Job, Landing, Minutes, Run, Unavailable, observe_environment
from operate.health.smoke import judge_environment
from operate.target import Target
from tests.conftest import ENVIRONMENTS

pytestmark = pytest.mark.emulator

ROOT = Path(__file__).parents[3]
LOCAL = Target("dev", Path(".local/dev"))
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
TICK = NOW.replace(second=0)
GONE = Unavailable("not found: run `make deploy ENV=dev TO=local`")
COLLECTED_AT = {"name": "collected_at", "type": "TIMESTAMP", "mode": "NULLABLE"}


@pytest.fixture
def environment(
    new_environment: Callable[..., LocalEnvironment], emulators: Emulators, clock: RealClock
) -> LocalEnvironment:
    return replace(new_environment(emulators), clock=clock)


@pytest.fixture
def settings(environment: LocalEnvironment) -> Settings:
    dev = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]
    return replace(dev, project=environment.project, region=environment.region)


@pytest.fixture
def cloud(plane: ControlPlane, settings: Settings) -> Cloud:
    return connect(settings.project, plane.variables())


def deploy(cloud: Cloud, settings: Settings) -> None:
    """Create the resources of the stack that are observed."""
    to, parent, location = (
        cloud.endpoints,
        f"projects/{settings.project}",
        f"locations/{settings.region}",
    )
    for purpose in ("landing", "archive", "tfstate"):
        cloud.call("POST", f"{to.storage}b", json={"name": settings.bucket(purpose)})
    datasets = f"{to.big_query}{parent}/datasets"
    cloud.call("POST", datasets, json={"datasetReference": {"datasetId": "vlille"}})
    tables = {
        settings.feed: [COLLECTED_AT],
        "empty_responses": empty_responses_schema(),
        "batch_runs": batch_runs_schema(),
    }
    for name, fields in tables.items():
        table = {"tableReference": {"tableId": name}, "schema": {"fields": fields}}
        cloud.call("POST", f"{datasets}/vlille/tables", json=table)
    for name in ("collect", "collect-dead"):
        cloud.call("PUT", f"{to.pubsub}{parent}/topics/{name}", json={})
    dead = {"topic": f"{parent}/topics/collect-dead"}
    cloud.call("PUT", f"{to.pubsub}{parent}/subscriptions/collect-dead", json=dead)
    for name in jobs.JOBS:
        target = {"topicName": f"{parent}/topics/collect", "data": base64.b64encode(b"{}").decode()}
        job = {
            "name": f"{parent}/{location}/jobs/{name}",
            "schedule": "* * * * *",
            "pubsubTarget": target,
        }
        cloud.call("POST", f"{to.cloud_scheduler}{parent}/{location}/jobs", json=job)


def collect(environment: LocalEnvironment, cloud: Cloud, settings: Settings) -> None:
    """Create the data of a tick, a sweep and a batch."""
    storage, feed = environment.service(Storage), settings.feed
    for minutes in (0, 1, 2):
        name = landing_name(feed, TICK - timedelta(minutes=minutes))
        storage.put_object(settings.bucket("landing"), name, b"a", "application/gzip", {})
    name = archive_name(feed, TICK - timedelta(minutes=3))
    storage.put_object(settings.bucket("archive"), name, b"a", "application/gzip", {})
    queries = f"{cloud.endpoints.big_query}projects/{settings.project}/queries"
    for sql in (
        f"INSERT INTO `{settings.dataset}.{feed}` (collected_at) VALUES "  # noqa: S608
        "(TIMESTAMP '2026-11-24 11:59:00+00'), (TIMESTAMP '2026-11-24 11:58:00+00')",
        f"INSERT INTO `{settings.dataset}.batch_runs` "  # noqa: S608
        "(run_id, started_at, first_day, last_day, status, message, rows_loaded) VALUES "
        "('1', TIMESTAMP '2026-11-23 02:30:00+00', '2026-11-22', '2026-11-22', 'failed', 'no room', NULL), "
        "('2', TIMESTAMP '2026-11-24 02:30:00+00', '2026-11-23', '2026-11-23', 'succeeded', NULL, 289)",
    ):
        cloud.call("POST", queries, json={"query": sql, "useLegacySql": False})


def last_attempt(cloud: Cloud, settings: Settings, job: str) -> dict[str, Any]:
    end = time.monotonic() + 10
    while "lastAttemptTime" not in (found := cloud.call("GET", jobs.format_job_url(cloud, settings, job))):
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def test_before_a_deploy_nothing_exists(cloud: Cloud, settings: Settings) -> None:
    assert observe_environment(cloud, settings, LOCAL, NOW) == Facts(
        landing=GONE,
        archived=GONE,
        row=GONE,
        dead_letters=GONE,
        jobs=dict.fromkeys(jobs.JOBS, GONE),
        run=GONE,
        minutes=GONE,
        load_jobs={},
    )


def test_after_a_deploy_nothing_is_collected_yet(cloud: Cloud, settings: Settings) -> None:
    deploy(cloud, settings)
    assert observe_environment(cloud, settings, LOCAL, NOW) == Facts(
        landing=Landing(),
        archived=None,
        row=None,
        dead_letters=0,
        jobs=dict.fromkeys(jobs.JOBS, Job("ENABLED")),
        run=None,
        minutes=Minutes(date(2026, 11, 23), 0, 0),
        load_jobs={},
    )


def test_an_accepted_response_without_records_counts_as_a_minute(cloud: Cloud, settings: Settings) -> None:
    deploy(cloud, settings)
    rows = ", ".join(
        f"(TIMESTAMP '2026-11-{at}:00+00', '{settings.feed}')" for at in ("23 03:00", "24 04:10")
    )
    sql = f"INSERT INTO `{settings.dataset}.empty_responses` (collected_at, feed) VALUES {rows}"  # noqa: S608
    queries = f"{cloud.endpoints.big_query}projects/{settings.project}/queries"
    cloud.call("POST", queries, json={"query": sql, "useLegacySql": False})
    facts = observe_environment(cloud, settings, LOCAL, NOW)
    assert facts.row == datetime(2026, 11, 24, 4, 10, tzinfo=UTC)
    assert facts.minutes == Minutes(date(2026, 11, 23), 1, 1_260)


def test_a_collecting_system_is_reported_healthy(
    environment: LocalEnvironment, cloud: Cloud, settings: Settings
) -> None:
    deploy(cloud, settings)
    collect(environment, cloud, settings)
    facts = observe_environment(cloud, settings, LOCAL, NOW)
    assert facts == Facts(
        landing=Landing(TICK - timedelta(minutes=2), TICK),
        archived=TICK - timedelta(minutes=3),
        row=TICK - timedelta(minutes=1),
        dead_letters=0,
        jobs=dict.fromkeys(jobs.JOBS, Job("ENABLED")),
        run=Run(datetime(2026, 11, 24, 2, 30, tzinfo=UTC), "2026-11-23", "2026-11-23", "succeeded", "", 289),
        minutes=Minutes(date(2026, 11, 23), 0, 0),
        load_jobs={},
    )
    assert [line.what for line in judge_environment(facts, settings, LOCAL, NOW) if line.wrong] == []


def test_a_job_run_is_observed(cloud: Cloud, settings: Settings) -> None:
    """Its target's topic is deleted, so that the next attempt fails."""
    deploy(cloud, settings)
    assert jobs.start_job(cloud, settings, LOCAL, "collect").startswith("collect is started: `make logs")
    found = last_attempt(cloud, settings, "collect")
    assert found["status"] == {}
    began = datetime.fromisoformat(found["lastAttemptTime"])
    assert abs(datetime.now(UTC) - began) < timedelta(minutes=1)
    kept = cloud.call(
        "PATCH", jobs.format_job_url(cloud, settings, "collect"), json={"schedule": "*/2 * * * *"}
    )
    assert kept["lastAttemptTime"] == found["lastAttemptTime"]


def test_a_failing_target_sets_the_jobs_status_code(cloud: Cloud, settings: Settings) -> None:
    deploy(cloud, settings)
    parent = f"projects/{settings.project}/locations/{settings.region}"
    nowhere = f"https://dataproc.googleapis.com/v1/projects/p/regions/{settings.region}/nothing"
    job = {
        "name": f"{parent}/jobs/copy",
        "schedule": "* * * * *",
        "httpTarget": {"uri": nowhere, "httpMethod": "POST"},
    }
    cloud.call("DELETE", jobs.format_job_url(cloud, settings, "copy"))
    cloud.call("POST", f"{cloud.endpoints.cloud_scheduler}{parent}/jobs", json=job)
    jobs.start_job(cloud, settings, LOCAL, "copy")
    code = last_attempt(cloud, settings, "copy")["status"]["code"]
    observed = observe_environment(cloud, settings, LOCAL, datetime.now(UTC)).jobs["copy"]
    assert isinstance(observed, Job)
    assert observed.code == code != 0


def test_pause_and_resume_change_what_is_observed(cloud: Cloud, settings: Settings) -> None:
    deploy(cloud, settings)
    for verb, state in (("pause", "PAUSED"), ("resume", "ENABLED")):
        for job in jobs.JOBS:
            jobs.set_job_state(cloud, settings, LOCAL, verb, job)
        observed = observe_environment(cloud, settings, LOCAL, NOW).jobs
        assert observed == dict.fromkeys(jobs.JOBS, Job(state))


def test_dead_letters_are_counted_and_not_held_back(
    environment: LocalEnvironment, cloud: Cloud, settings: Settings
) -> None:
    deploy(cloud, settings)
    broker, parent = environment.service(PubSub), f"projects/{settings.project}"
    for _ in range(2):
        broker.publish(f"{parent}/topics/collect-dead", b"{}", {"feed": "f"})
    assert [observe_environment(cloud, settings, LOCAL, NOW).dead_letters for _ in range(2)] == [2, 2]
    assert len(broker.pull(f"{parent}/subscriptions/collect-dead", 10)) == 2


def test_only_the_supported_metric_is_returned(cloud: Cloud, settings: Settings) -> None:
    url = f"{cloud.endpoints.monitoring}v3/projects/{settings.project}/timeSeries"
    response = cloud.session.get(url, params={"filter": 'metric.type="run.googleapis.com/request_count"'})
    assert response.status_code == requests.codes.bad_request
    assert "only pubsub.googleapis.com/subscription/num_undelivered_messages" in response.text


def test_orphaned_resources_are_found_without_the_state_bucket(
    cloud: Cloud, settings: Settings, stack_folder: Path
) -> None:
    stack = json.loads((stack_folder / "cdk.tf.json").read_text())
    assert orphaned_resources.find_orphaned_resources(cloud, settings, {}) == []
    deploy(cloud, settings)
    account = {"accountId": "vlille-copier"}
    cloud.call("POST", f"{cloud.endpoints.iam}projects/{settings.project}/serviceAccounts", json=account)
    grant = {
        "role": "roles/bigquery.jobUser",
        "members": [f"serviceAccount:{settings.service_account('copier')}"],
    }
    url = f"{cloud.endpoints.resource_manager}projects/{settings.project}:setIamPolicy"
    cloud.call("POST", url, json={"policy": {"bindings": [grant]}})
    buckets = [("bucket", settings.bucket(purpose)) for purpose in ("archive", "landing")]
    found = orphaned_resources.find_orphaned_resources(cloud, settings, with_project(stack, settings))
    assert [(held.kind, held.name) for held in found if held.kind not in ("scheduler job",)] == [
        ("subscription", "collect-dead"),
        ("topic", "collect"),
        ("topic", "collect-dead"),
        ("dataset", "vlille"),
        *buckets,
        ("grant", f"--role={grant['role']} --member='{grant['members'][0]}'"),
        ("service account", settings.service_account("copier")),
    ]
    assert sorted(held.name for held in found if held.kind == "scheduler job") == sorted(jobs.JOBS)


def with_project(stack: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The stack of dev in another project."""
    text = (
        json.dumps(stack)
        .replace('"vlille-dev', f'"{settings.project}')
        .replace("europe-west1", settings.region)
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_rows_content_is_observed(cloud: Cloud, settings: Settings) -> None:
    """Two minutes: station 1 changes, station 2 does not, and no station reports its free docks."""
    feed = load_feeds(ROOT / "sources")["vlille_gbfs"]
    deploy(cloud, replace(settings, feed="another"))
    datasets = f"{cloud.endpoints.big_query}projects/{settings.project}/datasets/vlille/tables"
    for name, fields in ((feed.name, station_schema(feed)), ("quarantine", quarantine_schema())):
        table = {"tableReference": {"tableId": name}, "schema": {"fields": fields}}
        cloud.call("POST", datasets, json=table)
    queries = f"{cloud.endpoints.big_query}projects/{settings.project}/queries"
    for sql in (
        f"INSERT INTO `{settings.dataset}.{feed.name}` "  # noqa: S608
        "(collected_at, station_id, num_bikes_available, last_reported) VALUES "
        "(TIMESTAMP '2026-11-24 11:58:00+00', '1', 3, TIMESTAMP '2026-11-24 11:50:00+00'), "
        "(TIMESTAMP '2026-11-24 11:58:00+00', '2', 3, TIMESTAMP '2099-01-01 00:00:00+00'), "
        "(TIMESTAMP '2026-11-24 11:59:00+00', '1', 4, TIMESTAMP '2026-11-24 11:50:00+00'), "
        "(TIMESTAMP '2026-11-24 11:59:00+00', '2', 3, TIMESTAMP '2099-01-01 00:00:00+00')",
        f"INSERT INTO `{settings.dataset}.quarantine` (collected_at, feed, scope, reason, occurrences) VALUES "  # noqa: S608
        "(TIMESTAMP '2026-11-24 11:58:00+00', 'vlille_gbfs', 'value', 'implausible', 2), "
        "(TIMESTAMP '2026-11-24 11:59:00+00', 'vlille_gbfs', 'response', 'html', 1), "
        "(TIMESTAMP '2026-11-24 11:59:00+00', 'another', 'response', 'html', 1), "
        "(TIMESTAMP '2026-11-24 10:59:00+00', 'vlille_gbfs', 'response', 'html', 1)",
    ):
        cloud.call("POST", queries, json={"query": sql, "useLegacySql": False})
    assert observe_content(cloud, settings, feed, LOCAL, NOW) == Content(
        ticks=2,
        newest_tick=TICK - timedelta(minutes=1),
        newest_report=TICK - timedelta(minutes=10),
        lost=("name", "area", "latitude", "longitude", "num_docks_available", "is_operational", "capacity"),
        changed=1,
        minutes=2,
        quarantined={("response", "html"): 1, ("value", "implausible"): 2},
    )
    gone = observe_content(cloud, settings, replace(feed, name="nowhere"), LOCAL, NOW)
    assert isinstance(gone, Unavailable)
