"""The findings of `make smoke` for the dashboard: who can open it, and the age of its newest data."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cdk.settings import Settings, load_environments
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.health.dashboard import DashboardFacts, judge_dashboard, observe_dashboard
from operate.health.observation import Unavailable
from operate.target import Target
from tests.conftest import ENVIRONMENTS
from tests.operate.conftest import Google

DEV = load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]  # data is stale after 15 minutes
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
FRESH = datetime(2026, 11, 24, 11, 59, tzinfo=UTC)
CLOUD = Target("dev")
LOG = "the service's log says why (`make outputs ENV=dev` has console_links)"


def make_public(settings: Settings) -> Settings:
    assert settings.dashboard
    return replace(settings, dashboard=structs.replace(settings.dashboard, public=True))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            DashboardFacts(403, 200, FRESH),
            "ok      dashboard     opens with your identity, 403 without; newest data of 2026-11-24 11:59 UTC, "
            "1 min ago",
        ),
        (
            DashboardFacts(403, None, refused="gcloud is not on PATH"),
            "ok      dashboard     403 without an identity; not opened with one: gcloud is not on PATH",
        ),
        (
            DashboardFacts(200, 200, FRESH),
            "FAILED  dashboard     opens without an identity, but is not public by environments/dev.toml: "
            "`make diff ENV=dev` shows drift; remove allUsers from roles/run.invoker of the service dashboard",
        ),
        (DashboardFacts(500, 200, FRESH), f"FAILED  dashboard     500 without an identity: {LOG}"),
        (
            DashboardFacts(403, 403),
            "FAILED  dashboard     403 with your identity: grant yourself roles/run.invoker on the service dashboard "
            "(docs/dashboard.md)",
        ),
        (DashboardFacts(403, 503), f"FAILED  dashboard     503 with your identity: {LOG}"),
        (
            DashboardFacts(403, 200),
            f"FAILED  dashboard     opens with your identity, 403 without; it has no data: see rows above, and {LOG}",
        ),
        (
            DashboardFacts(403, 200, datetime(2026, 11, 24, 11, 45, tzinfo=UTC)),
            "FAILED  dashboard     opens with your identity, 403 without; newest data of 2026-11-24 11:45 UTC, "
            f"15 min ago, the limit is 15: see rows above; where they are, {LOG}",
        ),
        (Unavailable("not there"), "FAILED  dashboard     not there"),
    ],
)
def test_each_state_of_a_private_dashboard(facts: DashboardFacts | Unavailable, expected: str) -> None:
    assert [str(line) for line in judge_dashboard(facts, DEV, CLOUD, NOW)] == [expected]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            DashboardFacts(200, 200, FRESH),
            "ok      dashboard     opens for everybody; newest data of 2026-11-24 11:59 UTC, 1 min ago",
        ),
        (
            DashboardFacts(403, 200, FRESH),
            "FAILED  dashboard     403 without an identity, but public: `make deploy ENV=dev` grants it to allUsers",
        ),
    ],
)
def test_a_public_dashboard_must_open_without_an_identity(facts: DashboardFacts, expected: str) -> None:
    assert [str(line) for line in judge_dashboard(facts, make_public(DEV), CLOUD, NOW)] == [expected]


@pytest.mark.unit
def test_without_a_dashboard_there_is_no_result() -> None:
    assert not list(
        judge_dashboard(DashboardFacts(403, 200, FRESH), replace(DEV, dashboard=None), CLOUD, NOW)
    )


@pytest.mark.unit
@given(st.integers(100, 599), st.none() | st.integers(100, 599), st.none() | st.integers(0, 60))
def test_a_private_dashboard_passes_with_403_and_fresh_data_only(
    anonymous: int, status: int | None, age: int | None
) -> None:
    newest = None if age is None else NOW - timedelta(minutes=age)
    [line] = judge_dashboard(DashboardFacts(anonymous, status, newest), DEV, CLOUD, NOW)
    is_fresh = status == 200 and age is not None and age < 15
    assert line.wrong is not (anonymous == 403 and (status is None or is_fresh))


def raise_no_token(_url: str) -> str:
    raise OperateError("gcloud is not on PATH")


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("responses", "token", "expected"),
    [
        (
            [(403, {}), (200, {"collected_at": "2026-11-24T11:59:00+00:00"})],
            lambda _url: "secret",
            DashboardFacts(403, 200, FRESH),
        ),
        ([(403, {}), (200, {"collected_at": None})], lambda _url: "secret", DashboardFacts(403, 200)),
        ([(403, {}), (200, b"<html>")], lambda _url: "secret", DashboardFacts(403, 200)),
        ([(403, {}), (403, {})], lambda _url: "secret", DashboardFacts(403, 403)),
        ([(403, {})], raise_no_token, DashboardFacts(403, None, refused="gcloud is not on PATH")),
        (
            [(200, {"collected_at": "2026-11-24T11:59:00+00:00"})],
            raise_no_token,
            DashboardFacts(200, 200, FRESH),
        ),
    ],
)
def test_the_newest_data_is_requested_without_and_with_an_identity(  # noqa: PLR0917 - cases and fixtures
    google: Google,
    cloud: Cloud,
    settings: Settings,
    responses: list[tuple[int, object]],
    token: Callable[[str], str],
    expected: DashboardFacts,
) -> None:
    name = f"projects/{settings.project}/locations/{settings.region}/services/dashboard"
    google.responses[f"GET /cloud_run_v2/{name}"] = (200, {"uri": f"{google.url}/dashboard"})
    google.queues["GET /dashboard/data/now.json"] = list(responses)
    assert observe_dashboard(cloud, settings, CLOUD, token) == expected
    assert google.queues["GET /dashboard/data/now.json"] == []


@pytest.mark.emulator
def test_a_missing_or_unreachable_dashboard_fails(google: Google, cloud: Cloud, settings: Settings) -> None:
    name = f"GET /cloud_run_v2/projects/{settings.project}/locations/{settings.region}/services/dashboard"
    google.responses[name] = (404, {})
    assert observe_dashboard(cloud, settings, CLOUD, raise_no_token) == Unavailable(
        "not found: run `make deploy ENV=dev`"
    )
    google.responses[name] = (200, {"uri": "http://127.0.0.1:1"})
    assert observe_dashboard(cloud, settings, CLOUD, raise_no_token) == Unavailable(
        "http://127.0.0.1:1 does not respond: the connection is refused"
    )
