import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.environment.clock import LANE_WORKERS, RealClock, SimulatedClock
from local.environment.environment import LocalEnvironment
from local.errors import LocalError, NotFoundError
from local.iam_proxy.access import AccessControl
from local.processes.ports import free_port
from local.service_router.router import ServiceRouter
from local.services.pubsub import SERVICE_AGENT, PubSub, subscription_as_rest
from local.services.pubsub import subscription as subscription_handler
from local.services.pubsub import topic as topic_handler
from local.services.pubsub_delivery import backoff_s
from local.stack.loading import Resource
from tests.local.conftest import allow

pytestmark = pytest.mark.unit
NOON = datetime(2023, 10, 26, 12, tzinfo=UTC)


class Endpoint:
    """An HTTP server that responds with given statuses, the last one repeatedly."""

    def __init__(self, *statuses: int) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        remaining = list(statuses)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((dict(self.headers), json.loads(body)))
                self.send_response(remaining.pop(0) if len(remaining) > 1 else remaining[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    made: list[Endpoint] = []

    def make(*statuses: int) -> Endpoint:
        made.append(Endpoint(*statuses))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def simulated(environment: LocalEnvironment) -> Iterator[LocalEnvironment]:
    clock = SimulatedClock(NOON)
    environment.clock = clock
    yield environment
    clock.close()


def make(kind: str) -> Resource:
    return Resource(f"{kind}.x", kind, "x", {})


def create_subscription(environment: LocalEnvironment, url: str, **more: Any) -> tuple[PubSub, str, str]:
    """Create a topic and a push subscription with a dead-letter topic that has a pull subscription."""
    topics = [
        topic_handler(make("google_pubsub_topic"), {"name": name}, environment)
        for name in ("collect", "dead")
    ]
    push = {"push_endpoint": url, "oidc_token": {"service_account_email": "push@p.iam", "audience": "me"}}
    arguments = {
        "name": "collect-push",
        "topic": topics[0]["id"],
        "ack_deadline_seconds": 60,
        "push_config": push,
        "retry_policy": [{"minimum_backoff": "10s", "maximum_backoff": "60s"}],
        "dead_letter_policy": {"dead_letter_topic": topics[1]["id"], "max_delivery_attempts": 5},
    }
    made = subscription_handler(make("google_pubsub_subscription"), arguments | more, environment)
    subscription_handler(
        make("google_pubsub_subscription"), {"name": "dead", "topic": topics[1]["id"]}, environment
    )
    return environment.service(PubSub), topics[0]["id"], made["id"]


def run_until_idle(environment: LocalEnvironment, until: Callable[[], bool]) -> None:
    assert isinstance(environment.clock, SimulatedClock)
    environment.clock.run(until)


def test_push_sends_the_envelope_of_google_with_an_identity_token(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    target = endpoint(204)
    broker, topic, name = create_subscription(simulated, target.url)
    message_id = broker.publish(topic, b"tick", {"kind": "tick"})
    run_until_idle(simulated, lambda: broker.count_undelivered(name) == 0)
    headers, envelope = target.requests[0]
    message = envelope["message"]
    assert base64.b64decode(message["data"]) == b"tick"
    assert message["attributes"] == {"kind": "tick"}
    assert message["messageId"] == message["message_id"] == message_id
    assert message["publishTime"] == message["publish_time"] == "2023-10-26T12:00:00.000Z"
    assert envelope["subscription"] == name
    assert envelope["deliveryAttempt"] == 1
    claims = headers["Authorization"].removeprefix("Bearer ").split(".")[1]
    assert json.loads(base64.b64decode(claims + "=="))["aud"] == "me"
    assert (broker.totals.published, broker.totals.delivered) == (1, 1)


def test_a_failed_message_is_redelivered_with_backoff_and_its_publish_time(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    target = endpoint(500, 503, 200)
    broker, topic, name = create_subscription(simulated, target.url)
    broker.publish(topic, b"tick", {})
    run_until_idle(simulated, lambda: broker.count_undelivered(name) == 0)
    assert [envelope["deliveryAttempt"] for _, envelope in target.requests] == [1, 2, 3]
    assert {e["message"]["publishTime"] for _, e in target.requests} == {"2023-10-26T12:00:00.000Z"}
    assert simulated.clock.now() == NOON + timedelta(seconds=10 + 20)
    assert (broker.totals.failed, broker.totals.delivered, broker.totals.dead_lettered) == (2, 1, 0)


def test_after_the_last_attempt_a_message_goes_to_the_dead_letter_topic(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    target = endpoint(500)
    broker, topic, name = create_subscription(simulated, target.url)
    grant_to_service_agent(simulated, "publish", "consume")
    broker.publish(topic, b"tick", {"kind": "tick"})
    run_until_idle(simulated, lambda: broker.count_undelivered(name) == 0)
    assert len(target.requests) == 5
    (dead,) = broker.pull(f"projects/{simulated.project}/subscriptions/dead", 10)
    assert dead.data == b"tick"
    assert dead.attributes == {
        "kind": "tick",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "collect-push",
        "CloudPubSubDeadLetterSourceSubscriptionProject": simulated.project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2023-10-26T12:00:00.000Z",
    }
    assert broker.totals.dead_lettered == 1


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (("publish",), "lacks pubsub.subscriptions.consume on projects/{}/subscriptions/collect-push"),
        (("consume",), "lacks pubsub.topics.publish on projects/{}/topics/dead"),
    ],
)
def test_without_the_agents_roles_a_message_is_redelivered_until_it_expires(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint], granted: tuple[str, ...], missing: str
) -> None:
    target = endpoint(500)
    broker, topic, name = create_subscription(simulated, target.url, message_retention_duration="600s")
    grant_to_service_agent(simulated, *granted)
    broker.publish(topic, b"tick", {})
    run_until_idle(simulated, lambda: broker.count_undelivered(name) == 0)
    assert len(target.requests) > 5
    assert (broker.totals.dead_lettered, broker.totals.expired) == (0, 1)
    assert broker.pull(f"projects/{simulated.project}/subscriptions/dead", 10) == []
    (denied,) = simulated.service(AccessControl).denial_messages()
    agent = f"service-{simulated.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert f"403: {agent} {missing.format(simulated.project)}" in denied


def grant_to_service_agent(environment: LocalEnvironment, *granted: str) -> None:
    agent, project = (
        SERVICE_AGENT.format(number=environment.project_number),
        f"projects/{environment.project}",
    )
    if "publish" in granted:
        allow(environment, agent, f"{project}/topics/dead", "pubsub.topics.publish")
    if "consume" in granted:
        allow(environment, agent, f"{project}/subscriptions/collect-push", "pubsub.subscriptions.consume")


def test_pull_leases_a_message_until_it_is_acknowledged(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    broker, _, _ = create_subscription(simulated, endpoint(200).url)
    topic, dead = (
        f"projects/{simulated.project}/topics/dead",
        f"projects/{simulated.project}/subscriptions/dead",
    )
    broker.publish(topic, b"x", {})
    (message,) = broker.pull(dead, 10)
    assert broker.pull(dead, 10) == []
    assert broker.count_undelivered(dead) == 1
    broker.acknowledge(dead, [message.message_id])
    assert broker.count_undelivered(dead) == 0


def test_a_leased_message_is_redelivered_after_the_deadline(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    broker, _, _ = create_subscription(simulated, endpoint(200).url)
    dead = f"projects/{simulated.project}/subscriptions/dead"
    broker.publish(f"projects/{simulated.project}/topics/dead", b"x", {})
    broker.pull(dead, 10)
    later: list[bool] = []
    assert isinstance(simulated.clock, SimulatedClock)
    simulated.clock.schedule_after(11, lambda: later.append(True))  # the default deadline is 10 s
    run_until_idle(simulated, lambda: bool(later))
    assert [m.data for m in broker.pull(dead, 10)] == [b"x"]


def test_messages_expire(simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]) -> None:
    target = endpoint(500)
    broker, topic, name = create_subscription(
        simulated, target.url, message_retention_duration="600s", dead_letter_policy=None
    )
    notified: list[tuple[str, int]] = []
    broker.on_expired.append(lambda *each: notified.append(each))
    broker.publish(topic, b"x", {})
    run_until_idle(simulated, lambda: broker.count_undelivered(name) == 0)
    assert broker.totals.expired == 1
    assert notified == [(name, 1)]
    assert simulated.clock.now() > NOON + timedelta(seconds=600)


def test_undelivered_messages_survive_a_restart(
    simulated: LocalEnvironment,
    new_environment: Callable[..., LocalEnvironment],
    endpoint: Callable[..., Endpoint],
) -> None:
    broken, fixed = endpoint(500), endpoint(200)
    broker, topic, _ = create_subscription(simulated, broken.url)
    message_id = broker.publish(topic, b"tick", {"kind": "tick"})
    run_until_idle(simulated, lambda: len(broken.requests) == 2)
    second = new_environment()
    second.clock = SimulatedClock(NOON + timedelta(hours=1))
    restarted, _, name = create_subscription(second, fixed.url)
    assert restarted.resume() == 1
    run_until_idle(second, lambda: restarted.count_undelivered(name) == 0)
    (_, envelope) = fixed.requests[0]
    assert envelope["message"]["messageId"] == message_id
    assert envelope["message"]["publishTime"] == "2023-10-26T12:00:00.000Z"
    assert envelope["deliveryAttempt"] == 3


def test_a_dead_subscriber_delays_neither_jobs_nor_other_subscriptions(
    environment: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    clock = environment.clock = RealClock()
    broker, topic, name = create_subscription(environment, f"http://127.0.0.1:{free_port()}/")
    alive = {"push_config": {"push_endpoint": endpoint(204).url}, "name": "alive"}
    create_subscription(environment, "", **alive)
    for _ in range(2 * LANE_WORKERS):
        broker.publish(topic, b"tick", {})
    worked = threading.Event()
    clock.start(worked.set)
    try:
        assert worked.wait(5)
        end = time.monotonic() + 5
        while (
            left := broker.count_undelivered(name.replace("collect-push", "alive"))
        ) and time.monotonic() < end:
            time.sleep(0.02)
        assert (left, broker.count_undelivered(name)) == (0, 2 * LANE_WORKERS)
    finally:
        environment.service(ServiceRouter).close()
        clock.close()


def test_a_push_endpoint_outside_the_environment_is_refused(simulated: LocalEnvironment) -> None:
    with pytest.raises(LocalError, match=r"pushes to https://example\.com/"):
        create_subscription(simulated, "https://example.com/")


def test_publishing_to_an_unknown_topic_or_an_empty_message_is_refused(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    broker, topic, _ = create_subscription(simulated, endpoint(200).url)
    with pytest.raises(NotFoundError, match="nowhere"):
        broker.publish("projects/p/topics/nowhere", b"x", {})
    with pytest.raises(LocalError, match="data or an attribute"):
        broker.publish(topic, b"", {})


def test_unsupported_settings_are_reported(
    simulated: LocalEnvironment, endpoint: Callable[..., Endpoint]
) -> None:
    create_subscription(simulated, endpoint(200).url, enable_message_ordering=True, filter="attributes.x")
    differences = " ".join(simulated.unsupported)
    assert "google_pubsub_subscription.enable_message_ordering" in differences
    assert "google_pubsub_subscription.filter" in differences


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        ({"minimumBackoff": "10s", "maximumBackoff": "60s"}, [10, 20, 40, 60, 60]),
        ({"minimumBackoff": "1s"}, [1, 2, 4, 8, 16]),
        ({}, [0.1, 0.2, 0.4, 0.8, 1.6]),
    ],
)
def test_backoff(policy: dict[str, str], waits: list[float]) -> None:
    assert [backoff_s({"retryPolicy": policy}, attempt) for attempt in range(1, 6)] == waits


@given(st.integers(1, 10_000))
def test_backoff_stays_within_its_limits(attempt: int) -> None:
    policy = {"retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"}}
    assert 10 <= backoff_s(policy, attempt) <= 600


def test_the_rest_resource_has_the_defaults() -> None:
    assert subscription_as_rest("projects/p/subscriptions/s", "p", {"topic": "t"}) == {
        "name": "projects/p/subscriptions/s",
        "topic": "projects/p/topics/t",
        "ackDeadlineSeconds": 10,
        "messageRetentionDuration": "604800s",
        "pushConfig": {},
        "retryPolicy": {},
        "deadLetterPolicy": {},
    }
