"""Start, pause and resume jobs of Cloud Scheduler; and the facts that only Google Cloud reports."""

import functools
from datetime import UTC, datetime

import pytest

from cdk.settings import Settings
from operate.cloud import Cloud
from operate.errors import OperateError
from operate.health.observation import Unavailable, observe_environment
from operate.jobs import set_job_state, start_job
from operate.target import Target
from tests.operate.conftest import Google, refusal

pytestmark = pytest.mark.emulator

CLOUD = Target("dev")


@pytest.fixture
def job(settings: Settings) -> str:
    return f"/cloud_scheduler/projects/{settings.project}/locations/{settings.region}/jobs/copy"


@pytest.mark.parametrize(
    ("verb", "state", "calls", "expected"),
    [
        ("pause", "ENABLED", 2, "copy is paused; `make resume JOB=copy ENV=dev` lets it fire again"),
        ("pause", "PAUSED", 1, "copy is paused already"),
        ("resume", "PAUSED", 2, "copy is enabled"),
        ("resume", "ENABLED", 1, "copy is enabled already"),
    ],
)
def test_a_job_in_the_wanted_state_is_not_changed(
    google: Google,
    cloud: Cloud,
    settings: Settings,
    job: str,
    *,
    verb: str,
    state: str,
    calls: int,
    expected: str,
) -> None:
    google.responses = {f"GET {job}": (200, {"state": state}), f"POST {job}:{verb}": (200, {})}
    assert set_job_state(cloud, settings, CLOUD, verb, "copy") == expected
    assert google.calls == [f"GET {job}", f"POST {job}:{verb}"][:calls]


def test_a_missing_job_is_reported_in_one_message(
    google: Google, cloud: Cloud, settings: Settings, job: str
) -> None:
    google.responses = {f"POST {job}:run": refusal(404, "Job not found.")}
    with pytest.raises(OperateError, match="the job copy: not found: run `make deploy ENV=dev`"):
        start_job(cloud, settings, CLOUD, "copy")


@pytest.mark.parametrize("verb", ["run", "pause"])
def test_a_gbfs_job_of_an_environment_without_gbfs_names_the_missing_section(
    google: Google, cloud: Cloud, settings: Settings, job: str, verb: str
) -> None:
    url = job.removesuffix("copy") + "gbfs-collect"
    google.responses = {
        f"POST {url}:run": refusal(404, "Job not found."),
        f"GET {url}": refusal(404, "Job not found."),
    }
    expected = (
        "the job gbfs-collect: environments/dev.toml has no [gbfs] section: add one (docs/gbfs.md has an example), "
        "then run `make deploy ENV=dev`"
    )
    call = start_job if verb == "run" else functools.partial(set_job_state, verb=verb)
    with pytest.raises(OperateError) as refused:
        call(cloud, settings, CLOUD, job="gbfs-collect")
    assert str(refused.value) == expected


def test_each_observation_fails_independently(
    google: Google, cloud: Cloud, settings: Settings, job: str
) -> None:
    """Monitoring's points come newest first; a paged response and a denied query are reported."""
    parent = f"projects/{settings.project}"
    bucket = f"GET /storage/b/{settings.project}"
    google.responses = {
        f"{bucket}-landing/o": refusal(403, "not for you"),
        f"{bucket}-archive/o": (200, {}),
        f"POST /big_query/{parent}/queries": (200, {"jobComplete": False}),
        f"GET /pubsub/{parent}/subscriptions/collect-dead": (200, {}),
        f"GET /monitoring/v3/{parent}/timeSeries": (
            200,
            {"timeSeries": [{"points": [{"value": {"int64Value": "2"}}, {"value": {"int64Value": "9"}}]}]},
        ),
        f"GET {job}": (200, {"state": "ENABLED", "status": {"code": 5}}),
        **{f"GET {job.removesuffix('copy')}{other}": refusal(404, "no") for other in ("collect", "batch")},
    }
    facts = observe_environment(cloud, settings, CLOUD, datetime.now(UTC))
    assert facts.landing == Unavailable(
        "the request failed (403 not for you): fix the cause, then run this again"
    )
    assert facts.archived is None
    assert facts.row == facts.run
    assert isinstance(facts.row, Unavailable)
    assert "the query is not done after 20 s" in facts.row.reason
    assert facts.dead_letters == 2
    assert [getattr(each, "code", each) for each in facts.jobs.values()] == [
        Unavailable("not found: run `make deploy ENV=dev`"),
        5,
        Unavailable("not found: run `make deploy ENV=dev`"),
    ]
