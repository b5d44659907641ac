"""A frozen, a dead and a moved feed: each is named by an alert and by `make smoke` within its threshold."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import requests

from cdk.settings import Settings, load_environments
from collector.api import ApiError
from collector.envelope import Delivery
from collector.tick import TickMemory, collect_tick
from feed import Feed
from operate.cloud import Cloud, Endpoints
from operate.health.content import judge_content, observe_content
from operate.health.observation import observe_environment
from operate.health.smoke import judge_environment
from operate.target import Target
from tests.collector.fakes import TICK, CollectorEnvironment, FakeApi, MakeEnvironment, Reply
from tests.conftest import ENVIRONMENTS, ROOT

pytestmark = pytest.mark.emulator

MINUTE = timedelta(minutes=1)
LIMIT = 3  # minutes, of all thresholds here
ERRORS = 2  # failed deliveries within 5 minutes that are no alert yet
PLACE = Target("dev")


def read_alert_events() -> frozenset[str]:
    """Return the events in the log filter of the alert on responses, as the stack declares it."""
    stack = json.loads((ROOT / "tests" / "cdk" / "snapshots" / "vlille-dev.json").read_text("utf-8"))
    policies = stack["resource"]["google_monitoring_alert_policy"].values()
    [log_filter] = [
        condition["condition_matched_log"]["filter"]
        for policy in policies
        for condition in policy["conditions"]
        if "outdated" in policy["display_name"]
    ]
    [events] = re.findall(r"jsonPayload\.event=\((.*?)\)", log_filter)
    return frozenset(re.findall(r'"(\w+)"', events))


class Run:
    """Minutes of a feed: its log events, the failed deliveries, and what smoke finds at the end."""

    def __init__(self, environment: CollectorEnvironment, feed: Feed, api: FakeApi) -> None:
        self.environment, self.feed, self.api = environment, feed, api
        self.events: list[tuple[int, str]] = []
        self.failures: list[datetime] = []
        self.last = TICK

    def collect(self, replies: list[Reply], caplog: pytest.LogCaptureFixture) -> None:
        """Collect a minute for each reply."""
        services = replace(self.environment.services, memory=TickMemory(was_unusable=True))
        logging.getLogger("vlille").propagate = True
        for reply in replies:
            self.api.set_replies(reply, Reply(self.feed.sample))
            tick, self.last = self.last, self.last + MINUTE
            caplog.clear()
            with caplog.at_level(logging.INFO, "vlille"):
                try:
                    collect_tick(
                        self.environment.settings, self.feed, services, Delivery(tick, is_first=True)
                    )
                except ApiError:
                    self.failures.append(tick)
            records = dict.fromkeys(caplog.records)
            self.events += [(each.levelno, vars(each)["fields"].get("event", "")) for each in records]

    def list_alerts(self) -> set[str]:
        """Return the events that the log filter matches, and `errors` if too many deliveries failed in 5 minutes."""
        alerts = {
            event for level, event in self.events if event in read_alert_events() and level >= logging.ERROR
        }
        return alerts | ({"errors"} if len(self.failures) > ERRORS else set())

    def list_wrong_lines(self) -> dict[str, str]:
        """Return the lines of smoke that are about the feed and wrong."""
        settings = make_settings(self.environment)
        project = self.environment.settings.project
        big_query, storage = self.environment.bq._connection, self.environment.gcs._connection
        # No other API is emulated here: what smoke asks there is not about the feed.
        endpoints = replace(
            Endpoints(**{each.name: f"{big_query.API_BASE_URL}/" for each in fields(Endpoints)}),
            storage=f"{storage.API_BASE_URL}/storage/v1/",
            big_query=f"{big_query.API_BASE_URL}/bigquery/v2/",
        )
        assert settings.bucket("landing") == f"{project}-landing"
        with requests.Session() as session:
            cloud = Cloud(session, self.environment.gcs, endpoints)
            content = observe_content(cloud, settings, self.feed, PLACE, self.last)
            facts = observe_environment(cloud, settings, PLACE, self.last)
        lines = [
            *judge_environment(facts, settings, PLACE, self.last),
            *judge_content(content, self.feed, PLACE),
        ]
        about = {"objects", "rows", "address", "version", "freshness", "changes", "columns", "quarantine"}
        return {line.what: line.found for line in lines if line.wrong and line.what in about}


def make_settings(environment: CollectorEnvironment) -> Settings:
    dev = load_environments(ENVIRONMENTS, ["vlille_gbfs", "vlille_ogc"], only="dev")["dev"]
    alerts = msgspec.structs.replace(dev.alerts, silent_minutes=LIMIT)
    return replace(dev, project=environment.settings.project, feed="vlille_ogc", alerts=alerts)


@pytest.fixture
def run(make_environment: MakeEnvironment, api: FakeApi) -> Run:
    environment = make_environment("vlille_ogc")
    feed = replace(environment.feed, frozen_minutes=LIMIT, stale_minutes=0)
    return Run(environment, feed, api)


def body(feed: Feed, minute: int = 0, fields_: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """The sample, in which each station reported in the minute and the first one has another number of bikes."""
    changed = {"date_modification": (TICK + minute * MINUTE).isoformat(), **fields_}
    records = [record | changed for record in json.loads(feed.sample)["records"]]
    records[0]["nb_velos_dispo"] += minute
    return json.dumps({"records": records}).encode()


def test_a_healthy_feed_raises_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.collect([Reply(body(run.feed, minute)) for minute in range(LIMIT + 2)], caplog)
    assert (run.list_alerts(), run.list_wrong_lines()) == (set(), {})


def test_a_frozen_feed(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """The stations report each minute, and nothing else changes; the same without last_reported."""
    run.feed = replace(run.feed, common=replace(run.feed.common, last_reported=None))
    run.collect([Reply(body(run.feed))] * LIMIT, caplog)
    assert run.list_alerts() == set()
    run.collect([Reply(body(run.feed))], caplog)
    assert run.list_alerts() == {"frozen_feed"}
    assert "0 stations changed within 3 minutes: the API repeats" in run.list_wrong_lines()["changes"]


def test_a_feed_of_the_past(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.feed = replace(run.feed, stale_minutes=LIMIT)
    run.collect([Reply(body(run.feed, -LIMIT))], caplog)
    assert run.list_alerts() == {"stale_feed"}
    assert "the limit is 3: the API repeats an old response" in run.list_wrong_lines()["freshness"]


DEAD: dict[str, tuple[Callable[[Feed], Reply], set[str], set[str]]] = {
    "an HTML page": (lambda _: Reply(b"<html>"), {"unusable_response"}, {"rows", "quarantine"}),
    "an empty list": (lambda _: Reply(b'{"records": []}'), {"unusable_response"}, {"rows", "quarantine"}),
    "no row": (lambda feed: Reply(body(feed, 0, {"@id": None})), {"no_rows"}, {"rows"}),
    "410": (lambda _: Reply(b"", 410), {"moved_feed", "errors"}, {"objects", "rows"}),
    "404": (lambda _: Reply(b"", 404), {"moved_feed", "errors"}, {"objects", "rows"}),
}


@pytest.mark.parametrize("what", DEAD)
def test_a_dead_feed(run: Run, caplog: pytest.LogCaptureFixture, what: str) -> None:
    make_reply, alerts, lines = DEAD[what]
    run.collect([Reply(body(run.feed))], caplog)
    run.collect([make_reply(run.feed)] * LIMIT, caplog)
    assert run.list_alerts() == alerts
    assert set(run.list_wrong_lines()) == lines


def test_a_host_that_is_gone(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.environment = run.environment.with_(api_url="http://localhost:1/")
    run.collect([Reply(body(run.feed))] * LIMIT, caplog)
    assert run.list_alerts() == {"errors"}
    assert set(run.list_wrong_lines()) == {"objects", "rows"}


@pytest.mark.parametrize("status", [301, 308])
def test_a_feed_with_another_address(run: Run, caplog: pytest.LogCaptureFixture, status: int) -> None:
    moved = f"{run.api.url.replace('127.0.0.1', 'localhost')}new?key=1"
    run.collect([Reply(b"", status, {"Location": moved})], caplog)
    assert run.list_alerts() == {"moved_feed"}
    assert "the API has moved to http://localhost:" in run.list_wrong_lines()["address"]


def test_a_gbfs_feed_with_another_version(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.feed = replace(run.feed, gbfs_versions=("2.3", None), records=("data", "records"))
    document = {"last_updated": 1, "ttl": 60, "data": json.loads(body(run.feed))}
    for version, alerts, line in (
        ("2.3", set(), None),
        ("3.0", {"schema_drift"}, "the API has changed to GBFS 3.0"),
    ):
        run.collect([Reply(json.dumps(document | {"version": version}).encode())], caplog)
        assert run.list_alerts() == alerts
        found = run.list_wrong_lines().get("version")
        assert found is None if line is None else str(found).startswith(line)
