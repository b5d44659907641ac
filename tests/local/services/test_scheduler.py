import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.clock import RealClock, SimulatedClock
from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.service_router.router import Response, ServiceRouter
from local.services.pubsub import PubSub
from local.services.scheduler import Execution, Scheduler, job_as_rest, scheduler_job
from local.services.scheduler_times import compute_backoff_seconds, cron_times_after
from local.stack.loading import Resource
from tests.local.conftest import account

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)
KIND = "google_cloud_scheduler_job"


@pytest.fixture
def timed(environment: LocalEnvironment) -> Iterator[LocalEnvironment]:
    clock = SimulatedClock(NOON)
    environment.clock = clock
    yield environment
    clock.close()


def declare(environment: LocalEnvironment, **arguments: Any) -> None:
    given = {"name": "job", "schedule": "* * * * *", "time_zone": "Europe/Paris"} | arguments
    scheduler_job(Resource(f"{KIND}.x", KIND, "x", {}), given, environment)


def run(environment: LocalEnvironment, minutes: float) -> None:
    assert isinstance(environment.clock, SimulatedClock)
    end: list[bool] = []
    environment.clock.schedule_at(NOON + timedelta(minutes=minutes, seconds=1), lambda: end.append(True))
    environment.clock.run(lambda: bool(end))


def api(environment: LocalEnvironment, *statuses: int) -> list[tuple[datetime, str, bytes]]:
    """Register a Google API that responds with given statuses, the last one repeatedly; return the requests."""
    calls: list[tuple[datetime, str, bytes]] = []
    remaining = list(statuses)

    account(environment, "s@p.iam")

    def handle(_method: str, path: str, body: bytes, _caller: str) -> Response:
        calls.append((environment.clock.now(), path, body))
        return Response(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    environment.service(ServiceRouter).register_api("dataproc.googleapis.com", handle)
    return calls


HTTP = {
    "uri": "https://dataproc.googleapis.com/v1/x:instantiate",
    "http_method": "POST",
    "body": base64.b64encode(b'{"a": 1}').decode(),
    "headers": {"Content-Type": "application/json"},
    "oauth_token": [{"service_account_email": "s@p.iam"}],
}


def test_a_job_publishes_each_minute(timed: LocalEnvironment) -> None:
    topic = f"projects/{timed.project}/topics/collect"
    timed.service(PubSub).put_topic({"name": topic})
    target = {
        "topic_name": topic,
        "data": base64.b64encode(b"tick").decode(),
        "attributes": {"two_words": "x"},
    }
    declare(timed, pubsub_target=[target])
    scheduler = timed.service(Scheduler)
    scheduler.start()
    run(timed, 5)
    assert scheduler.fired == {"job": 5}
    assert timed.service(PubSub).totals.by_topic == {topic: 5}


def test_a_job_calls_its_target_with_its_body(timed: LocalEnvironment) -> None:
    calls = api(timed, 200)
    declare(timed, schedule="*/10 * * * *", http_target=HTTP)
    timed.service(Scheduler).start()
    run(timed, 20)
    assert calls == [(NOON + timedelta(minutes=m), "/v1/x:instantiate", b'{"a": 1}') for m in (10, 20)]


def test_a_failed_job_is_retried_as_declared(timed: LocalEnvironment) -> None:
    calls = api(timed, 503, 503, 200)
    retry = {"retry_count": 3, "min_backoff_duration": "5s", "max_doublings": 5}
    declare(timed, schedule="0 13 * * *", time_zone="Etc/UTC", http_target=HTTP, retry_config=[retry])
    runs: list[Execution] = []
    scheduler = timed.service(Scheduler)
    scheduler.on_finished.append(runs.append)
    scheduler.start()
    run(timed, 61)
    assert [(when - calls[0][0]).total_seconds() for when, _, _ in calls] == [0, 5, 15]
    assert [(each.response.status, each.attempts) for each in runs] == [(200, 3)]
    assert scheduler.failed == {}


def test_a_job_that_always_fails_ends_with_the_last_response(timed: LocalEnvironment) -> None:
    calls = api(timed, 500)
    declare(timed, http_target=HTTP, retry_config=[{"retry_count": 1}])
    scheduler = timed.service(Scheduler)
    scheduler.start()
    run(timed, 1)
    run(timed, 1.5)
    assert len(calls) == 2
    assert scheduler.failed == {"job": 1}


def test_a_paused_job_runs_only_on_demand(timed: LocalEnvironment) -> None:
    calls = api(timed, 200)
    declare(timed, http_target=HTTP)
    scheduler = timed.service(Scheduler)
    scheduler.start()
    scheduler.pause("job")
    run(timed, 3)
    assert calls == []
    scheduler.run("job")
    run(timed, 4)
    assert len(calls) == 1
    scheduler.resume("job")
    run(timed, 6)
    assert len(calls) == 3


def test_skipped_times_are_counted_and_reported(environment: LocalEnvironment) -> None:
    clock = environment.clock = RealClock(speed=600, start=NOON)
    api(environment, 200)
    declare(environment, http_target=HTTP)
    scheduler = environment.service(Scheduler)
    notified: list[tuple[str, list[datetime], str]] = []
    scheduler.on_skip.append(lambda job, due, why: notified.append((job, due, why)))
    scheduler.on_fire.append(lambda _job, _when: time.sleep(0.35))  # 3.5 of the clock's minutes
    scheduler.start()
    clock.run(lambda: scheduler.fired["job"] >= 2)
    scheduler.stop()
    clock.close()
    assert scheduler.skipped["job"] == sum(len(due) for _, due, _ in notified)
    job, due, why = notified[0]
    assert (job, why) == ("job", "this host cannot keep up")
    assert due[:2] == [NOON + timedelta(minutes=m) for m in (2, 3)]


def test_consecutive_skipped_times_are_reported_together(timed: LocalEnvironment) -> None:
    calls = api(timed, 200)
    declare(timed, http_target=HTTP)
    scheduler = timed.service(Scheduler)
    notified: list[tuple[str, list[datetime], str]] = []
    scheduler.on_skip.append(lambda job, due, why: notified.append((job, due, why)))
    scheduler.skip_when("job", lambda due: due.minute in {2, 3, 6}, "nothing was recorded")
    scheduler.start()
    run(timed, 5)
    at = [NOON + timedelta(minutes=minute) for minute in range(7)]
    assert [when for when, _, _ in calls] == [at[1], at[4], at[5]]
    assert notified == [("job", at[2:4], "nothing was recorded")]
    run(timed, 6)
    scheduler.stop()
    assert notified[1:] == [("job", [at[6]], "nothing was recorded")]
    assert scheduler.skipped == {"job": 3}


def test_a_job_does_not_run_while_its_previous_execution_runs(timed: LocalEnvironment) -> None:
    api(timed, 503)
    retry = {"retry_count": 1, "min_backoff_duration": "150s"}
    declare(timed, http_target=HTTP, retry_config=[retry])
    scheduler = timed.service(Scheduler)
    notified: list[str] = []
    scheduler.on_skip.append(lambda _job, due, why: notified.append(f"{due[0]:%H:%M} {why}"))
    scheduler.start()
    run(timed, 3)
    assert scheduler.fired == {"job": 1}
    assert notified == [f"12:0{minute} its previous execution is still running" for minute in (2, 3)]


def test_a_job_declared_as_paused_does_not_run(timed: LocalEnvironment) -> None:
    calls = api(timed, 200)
    declare(timed, http_target=HTTP, paused=True)
    timed.service(Scheduler).start()
    run(timed, 3)
    assert calls == []


def test_a_target_outside_the_environment_is_reported_and_not_called(timed: LocalEnvironment) -> None:
    declare(timed, http_target={"uri": "https://example.com/x", "http_method": "POST"})
    runs: list[Execution] = []
    scheduler = timed.service(Scheduler)
    scheduler.on_finished.append(runs.append)
    scheduler.start()
    run(timed, 1)
    assert [each.response.status for each in runs] == [403]
    assert any("https://example.com/x" in sentence for sentence in timed.unsupported)


def test_the_error_of_an_unknown_job_lists_the_known_ones(timed: LocalEnvironment) -> None:
    declare(timed, http_target=HTTP)
    with pytest.raises(LocalError, match="scheduler job 'jop' does not exist; known: job"):
        timed.service(Scheduler).pause("jop")


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("* * * * *", "Europe/Paris", "2023-10-26T12:01:00+00:00"),
        ("*/10 * * * *", "Europe/Paris", "2023-10-26T12:10:00+00:00"),
        ("30 3 * * *", "Europe/Paris", "2023-10-27T01:30:00+00:00"),
        ("30 3 * * *", "Etc/UTC", "2023-10-27T03:30:00+00:00"),
        ("30 3 29 10 *", "Europe/Paris", "2023-10-29T02:30:00+00:00"),  # after summer time has ended
    ],
)
def test_cron_is_read_in_its_own_time_zone(schedule: str, zone: str, expected: str) -> None:
    job = {"name": "a/jobs/j", "schedule": schedule, "timeZone": zone}
    assert cron_times_after(job, NOON)().isoformat() == expected


def test_each_minute_of_a_repeated_hour_has_an_execution() -> None:
    job = {"name": "a/jobs/j", "schedule": "* * * * *", "timeZone": "Europe/Paris"}
    following = cron_times_after(job, datetime(2023, 10, 28, 23, 59, tzinfo=UTC))
    fires = [following() for _ in range(180)]
    assert fires == [datetime(2023, 10, 29, tzinfo=UTC) + timedelta(minutes=n) for n in range(180)]
    assert {each.astimezone(ZoneInfo("Europe/Paris")).hour for each in fires} == {2, 3}


@pytest.mark.parametrize(
    ("schedule", "zone"), [("every 5 minutes", "Etc/UTC"), ("61 * * * *", "Etc/UTC"), ("* * * * *", "Paris")]
)
def test_an_invalid_schedule_is_refused(timed: LocalEnvironment, schedule: str, zone: str) -> None:
    with pytest.raises(LocalError, match=r"scheduler job job: .* is invalid"):
        declare(timed, schedule=schedule, time_zone=zone, http_target=HTTP)


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        ({}, [None]),
        ({"retryCount": 2}, [5, 10, None]),
        # The example of the reference: 10 s, 20 s, 40 s, then 80 s more each time, up to the longest.
        (
            {
                "retryCount": 5,
                "minBackoffDuration": "10s",
                "maxDoublings": 3,
                "maxBackoffDuration": "300s",
            },
            [10, 20, 40, 80, 160, None],
        ),
    ],
)
def test_backoff(policy: dict[str, Any], waits: list[float | None]) -> None:
    job = {"retryConfig": policy}
    assert [compute_backoff_seconds(job, attempt, 0) for attempt in range(1, len(waits) + 1)] == waits


@given(st.integers(1, 5), st.integers(0, 16))
def test_backoff_never_exceeds_its_limit(attempt: int, doublings: int) -> None:
    policy = {"retryCount": 5, "maxBackoffDuration": "60s", "maxDoublings": doublings}
    wait = compute_backoff_seconds({"retryConfig": policy}, attempt, 0)
    assert wait is not None
    assert 5 <= wait <= 60


def test_the_rest_resource_keeps_attributes_and_headers() -> None:
    arguments = {
        "schedule": "* * * * *",
        "http_target": [HTTP | {"headers": {"X-two_words": "1"}}],
        "retry_config": [{"min_backoff_duration": "5s"}],
    }
    job = job_as_rest("projects/p/locations/l/jobs/j", arguments)
    assert job["httpTarget"]["headers"] == {"X-two_words": "1"}
    assert job["httpTarget"]["oauthToken"] == {"serviceAccountEmail": "s@p.iam"}
    assert job["retryConfig"] == {"minBackoffDuration": "5s"}
    assert json.loads(base64.b64decode(job["httpTarget"]["body"])) == {"a": 1}
