"""Pub/Sub: topics, push and pull subscriptions, retries with backoff, dead letters.

A message is kept in SQLite, synced to disk, from before its publisher is told until each subscription has
acknowledged it, so that what is undelivered outlives a restart.
https://cloud.google.com/pubsub/docs/push, https://cloud.google.com/pubsub/docs/handling-failures
"""

import base64
import itertools
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.environment.clock import SimulatedClock, event_clock, seconds
from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import identity_token
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.iam_proxy.access import AccessControl, AccessError, RequiredPermission
from local.processes.disk import connect, retry_while_disk_full
from local.service_router.router import ServiceRouter, is_loopback
from local.stack.arguments import as_rest, block, report_unsupported_arguments
from local.stack.loading import Attributes, Handler, Resource

LOG = logging.getLogger(__name__)

DATA_LIMIT = 10 * 2**20  # of one message, as in Pub/Sub
ACK_DEADLINE_S = 10
# Google's own account for what Pub/Sub does by itself: https://cloud.google.com/iam/docs/service-agents
AGENT = "service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com"
RETENTION = "604800s"  # 7 days
# Backoff of a push subscription: declared limits default to 10 and 600 s; without a policy 0.1 to 60 s.
DECLARED_BACKOFF_S = (10.0, 600.0)
PUSH_BACKOFF_S = (0.1, 60.0)
# Statuses that acknowledge: https://cloud.google.com/pubsub/docs/push#receive_push
ACKNOWLEDGING = frozenset({102, 200, 201, 202, 204})

TABLE = """
CREATE TABLE IF NOT EXISTS messages (
    subscription TEXT NOT NULL,
    message_id TEXT NOT NULL,
    data BLOB NOT NULL,
    attributes TEXT NOT NULL,
    publish_time TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    leased_until TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (subscription, message_id)
)
"""


@dataclass(frozen=True)
class Message:
    """One message as one subscription has it; `attempts` counts deliveries that were begun."""

    subscription: str
    message_id: str
    data: bytes
    attributes: dict[str, str]
    publish_time: datetime
    attempts: int = 0


@dataclass
class Traffic:
    """What became of messages since the start of this run; `failed` counts attempts, the rest messages."""

    published: int = 0
    delivered: int = 0
    failed: int = 0
    dead_lettered: int = 0
    expired: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)


class PubSub:
    """The broker of one project; safe to use from any thread.

    Topics and subscriptions are kept as the REST API writes them, by full name
    (`projects/<project>/topics/<topic>`). Whoever is in `on_delivered` is told each message that a push
    endpoint acknowledged, whoever is in `on_expired` a subscription that forgot messages, and how many.
    """

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._clock = event_clock(environment)
        self.topics = environment.collection("pubsub", "topics")
        self.subscriptions = environment.collection("pubsub", "subscriptions")
        self.traffic = Traffic()
        self.on_delivered: list[Callable[[Message], None]] = []
        self.on_expired: list[Callable[[str, int], None]] = []
        self._messages = _Messages(environment)
        self._lock = threading.Lock()
        self._ids = itertools.count(time.time_ns() // 1000)

    def put_topic(self, topic: Json) -> Json:
        """Make a topic, or update it."""
        return self.topics.put(topic["name"], topic)

    def put_subscription(self, subscription: Json) -> Json:
        """Make a subscription, or update it. Raises LocalError for a push that would leave this machine."""
        endpoint = subscription.get("pushConfig", {}).get("pushEndpoint")
        if endpoint and not is_loopback(endpoint):
            raise LocalError(
                f"{subscription['name']} pushes to {endpoint}, which is not on this machine: "
                "let its push_endpoint refer to a function or service of the stack"
            )
        if self.topics.find(subscription["topic"]) is None:
            raise NotFoundError("pubsub topics", subscription["topic"])
        return self.subscriptions.put(subscription["name"], subscription)

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Keep a message for each subscription of the topic, begin its delivery, return its id.

        Raises NotFoundError for an unknown topic, and LocalError for a message that Pub/Sub refuses.
        """
        self.topics.get(topic)
        if not data and not attributes:
            raise LocalError(f"a message to {topic} must have data or an attribute, found neither")
        if len(data) > DATA_LIMIT:
            raise LocalError(f"a message to {topic} has {len(data)} bytes, more than {DATA_LIMIT}")
        with self._lock:
            message_id = str(next(self._ids))
        names = [s["name"] for s in self.subscriptions.list() if s["topic"] == topic]
        messages = [Message(n, message_id, data, dict(attributes), self._clock.now()) for n in names]
        self._messages.add(messages)
        self._count(published=1)
        with self._lock:
            self.traffic.by_topic[topic] = self.traffic.by_topic.get(topic, 0) + 1
        for message in messages:
            self._begin(message)
        return message_id

    def resume(self) -> int:
        """Begin the delivery of what an earlier run left undelivered; return how many messages that is."""
        left = [m for m in self._messages.all() if self._pushes(m.subscription)]
        for message in left:
            self._begin(message)
        return len(left)

    def waiting(self, subscription: str) -> int:
        """How many messages a subscription holds that were not acknowledged."""
        return self._messages.count(subscription)

    def pull(self, subscription: str, limit: int) -> list[Message]:
        """Return messages, and hold them back until the deadline for acknowledging their `message_id`."""
        config = self.subscriptions.get(subscription)
        self._expire(config)
        now = self._clock.now()
        return self._messages.lease(subscription, limit, now, now + timedelta(seconds=_deadline(config)))

    def acknowledge(self, subscription: str, message_ids: list[str]) -> None:
        """Forget messages of a subscription."""
        self.subscriptions.get(subscription)
        self._count(delivered=self._messages.remove(subscription, message_ids))

    def _pushes(self, subscription: str) -> bool:
        config = self.subscriptions.find(subscription)
        return bool(config and config.get("pushConfig", {}).get("pushEndpoint"))

    def _begin(self, message: Message) -> None:
        if self._pushes(message.subscription):
            # In a lane of its own: a subscriber that is dead holds up neither jobs nor other subscriptions.
            self._clock.start(lambda: self._deliver(message), message.subscription)

    def _deliver(self, message: Message) -> None:
        config = self.subscriptions.find(message.subscription)
        if config is None or self._expire(config, message):
            return
        attempt = self._messages.attempt(message)
        headers = {"Content-Type": "application/json"} | self._authorization(config)
        answer = self._environment.service(ServiceRouter).call(
            "POST",
            config["pushConfig"]["pushEndpoint"],
            headers,
            _envelope(config, message, attempt),
            _deadline(config),
        )
        if answer.status in ACKNOWLEDGING:
            self._count(delivered=self._messages.remove(message.subscription, [message.message_id]))
            for told in self.on_delivered:
                told(message)
            return
        self._count(failed=1)
        LOG.warning("attempt %d of message %s: %s", attempt, message.message_id, answer)
        self._refused(config, message, attempt)

    def _refused(self, config: Json, message: Message, attempt: int) -> None:
        dead = config.get("deadLetterPolicy", {})
        if dead and attempt >= int(dead.get("maxDeliveryAttempts", 5)) and self._may_forward(config):
            self.publish(dead["deadLetterTopic"], message.data, _dead_letter(config, message, attempt))
            self._messages.remove(message.subscription, [message.message_id])
            self._count(dead_lettered=1)
            LOG.error("message %s goes to %s", message.message_id, dead["deadLetterTopic"])
            return
        self._clock.after(_backoff_s(config, attempt), lambda: self._begin(message))

    def _may_forward(self, config: Json) -> bool:
        """Whether Pub/Sub's own agent may take dead letters out and put them in their topic.

        Without it a message is delivered again and again until it expires:
        https://cloud.google.com/pubsub/docs/dead-letter-topics#grant_forwarding_permissions
        """
        agent = AGENT.format(number=self._environment.project_number)
        topic = config["deadLetterPolicy"]["deadLetterTopic"]
        needs = [
            RequiredPermission("pubsub.topics.publish", topic),
            RequiredPermission("pubsub.subscriptions.consume", config["name"]),
        ]
        try:
            self._environment.service(AccessControl).check(agent, needs)
        except AccessError:  # which the log and the report tell
            return False
        return True

    def _authorization(self, config: Json) -> dict[str, str]:
        token = config["pushConfig"].get("oidcToken")
        if not token:
            return {}
        audience = token.get("audience") or config["pushConfig"]["pushEndpoint"]
        now = self._clock.now().timestamp()
        return {"Authorization": f"Bearer {identity_token(token['serviceAccountEmail'], audience, now)}"}

    def _expire(self, config: Json, message: Message | None = None) -> bool:
        """Forget what is older than the subscription keeps; tell whether `message` is."""
        oldest = self._clock.now() - timedelta(seconds=seconds(config["messageRetentionDuration"]))
        expired = self._messages.expire(config["name"], oldest)
        if expired:
            LOG.error("%d messages of %s expired undelivered", expired, config["name"])
            self._count(expired=expired)
            for told in self.on_expired:
                told(config["name"], expired)
        return message is not None and message.publish_time < oldest

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self.traffic, name, getattr(self.traffic, name) + number)


class _Messages:
    """The messages that are not acknowledged yet, on disk."""

    def __init__(self, environment: LocalEnvironment) -> None:
        # Simulated time does not go on after a power failure, and neither do its messages.
        synchronous = "OFF" if isinstance(environment.clock, SimulatedClock) else "FULL"
        self._database = connect(environment.folder / "pubsub.sqlite", synchronous=synchronous)
        self._lock = threading.RLock()
        self._database.execute(TABLE)

    @retry_while_disk_full
    def add(self, messages: list[Message]) -> None:
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO messages (subscription, message_id, data, attributes, publish_time) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (m.subscription, m.message_id, m.data, json.dumps(m.attributes), _stored(m.publish_time))
                    for m in messages
                ],
            )

    def all(self) -> list[Message]:
        return self._select("SELECT * FROM messages ORDER BY publish_time, message_id")

    def count(self, subscription: str) -> int:
        with self._lock:
            row = self._database.execute(
                "SELECT count(*) FROM messages WHERE subscription = ?", [subscription]
            ).fetchone()
        return int(row[0])

    @retry_while_disk_full
    def attempt(self, message: Message) -> int:
        """Count one more delivery of a message, and return which it is."""
        with self._transaction() as database:
            row = database.execute(
                "UPDATE messages SET attempts = attempts + 1 WHERE subscription = ? AND message_id = ? "
                "RETURNING attempts",
                [message.subscription, message.message_id],
            ).fetchone()
        return int(row[0]) if row else message.attempts + 1

    @retry_while_disk_full
    def lease(self, subscription: str, limit: int, now: datetime, until: datetime) -> list[Message]:
        with self._transaction() as database:
            found = self._select(
                "SELECT * FROM messages WHERE subscription = ? AND leased_until <= ? "
                "ORDER BY publish_time, message_id LIMIT ?",
                [subscription, _stored(now), limit],
            )
            database.executemany(
                "UPDATE messages SET leased_until = ?, attempts = attempts + 1 "
                "WHERE subscription = ? AND message_id = ?",
                [(_stored(until), subscription, m.message_id) for m in found],
            )
        return found

    @retry_while_disk_full
    def remove(self, subscription: str, message_ids: list[str]) -> int:
        with self._transaction() as database:
            return sum(
                database.execute(
                    "DELETE FROM messages WHERE subscription = ? AND message_id = ?", [subscription, each]
                ).rowcount
                for each in message_ids
            )

    @retry_while_disk_full
    def expire(self, subscription: str, oldest: datetime) -> int:
        with self._transaction() as database:
            return database.execute(
                "DELETE FROM messages WHERE subscription = ? AND publish_time < ?",
                [subscription, _stored(oldest)],
            ).rowcount

    def _select(self, query: str, values: list[Any] | None = None) -> list[Message]:
        with self._lock:
            rows = self._database.execute(query, values or []).fetchall()
        return [
            Message(name, mid, data, json.loads(attributes), datetime.fromisoformat(published), attempts)
            for name, mid, data, attributes, published, attempts, _ in rows
        ]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite ends it by itself when the disk is full
                    self._database.execute("ROLLBACK")
                raise


def _stored(when: datetime) -> str:
    """A time as text that sorts as times do."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def rfc3339(when: datetime) -> str:
    """Return a time as Pub/Sub writes it: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _envelope(config: Json, message: Message, attempt: int) -> bytes:
    published = rfc3339(message.publish_time)
    envelope: Json = {
        "message": {
            "data": base64.b64encode(message.data).decode(),
            "attributes": message.attributes,
            "messageId": message.message_id,
            "message_id": message.message_id,
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": config["name"],
    }
    if config.get("deadLetterPolicy"):
        envelope["deliveryAttempt"] = attempt
    return json.dumps(envelope).encode()


def _dead_letter(config: Json, message: Message, attempt: int) -> dict[str, str]:
    """The attributes by which a forwarded message tells where it comes from."""
    project, name = config["name"].split("/")[1::2]
    return message.attributes | {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempt),
        "CloudPubSubDeadLetterSourceSubscription": name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": rfc3339(message.publish_time),
    }


def _deadline(config: Json) -> float:
    return float(config.get("ackDeadlineSeconds") or ACK_DEADLINE_S)


def _backoff_s(config: Json, attempt: int) -> float:
    """Seconds to wait after the attempt of that number failed: doubled each time, between two limits."""
    policy = config.get("retryPolicy")
    least, most = PUSH_BACKOFF_S
    if policy:
        least = seconds(policy.get("minimumBackoff", f"{DECLARED_BACKOFF_S[0]}s"))
        most = seconds(policy.get("maximumBackoff", f"{DECLARED_BACKOFF_S[1]}s"))
    return min(most, least * 2.0 ** min(attempt - 1, 30))


def topic(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_pubsub_topic."""
    kind = "google_pubsub_topic"
    said = {"message_storage_policy": "every message is kept on this machine"}
    report_unsupported_arguments(environment, kind, arguments, {"name"}, said | _TOPIC_SAID)
    project = arguments.get("project", environment.project)
    name = f"projects/{project}/topics/{arguments['name']}"
    environment.service(PubSub).put_topic(as_rest(arguments) | {"name": name})
    return {"project": project} | arguments | {"id": name}


def subscription(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_pubsub_subscription: pull where it has no push endpoint."""
    kind = "google_pubsub_subscription"
    honoured = {"name", "topic", "ack_deadline_seconds", "message_retention_duration", "push_config"}
    said = {"expiration_policy": "a subscription does not expire here", **_SUBSCRIPTION_SAID}
    report_unsupported_arguments(
        environment, kind, arguments, honoured | {"retry_policy", "dead_letter_policy"}, said
    )
    push_honoured = {"push_endpoint", "oidc_token", "attributes"}
    report_unsupported_arguments(
        environment, f"{kind}.push_config", block(arguments, "push_config"), push_honoured, {}
    )
    project = arguments.get("project", environment.project)
    name = f"projects/{project}/subscriptions/{arguments['name']}"
    environment.service(PubSub).put_subscription(subscription_of(name, project, arguments))
    return {"project": project} | arguments | {"id": name}


_TOPIC_SAID = {
    "message_retention_duration": "messages are kept by subscriptions only, so none can be replayed",
    "kms_key_name": "messages are not encrypted here",
    "schema_settings": "messages are not checked against a schema",
}
_SUBSCRIPTION_SAID = {
    "bigquery_config": "messages are not written to BigQuery",
    "cloud_storage_config": "messages are not written to Cloud Storage",
    "enable_exactly_once_delivery": "delivery is at least once",
    "enable_message_ordering": "messages are not ordered by key",
    "filter": "every message is delivered",
    "message_transforms": "messages are delivered as they were published",
    "retain_acked_messages": "acknowledged messages are forgotten",
}


def subscription_of(name: str, project: str, arguments: dict[str, Any]) -> Json:
    """Return the REST form of a subscription from the provider's arguments, defaults filled in."""
    given: str = arguments["topic"]
    push = dict(block(arguments, "push_config"))
    if token := block(push, "oidc_token"):
        push["oidc_token"] = token
    return {
        "name": name,
        "topic": given if "/" in given else f"projects/{project}/topics/{given}",
        "ackDeadlineSeconds": int(arguments.get("ack_deadline_seconds", ACK_DEADLINE_S)),
        "messageRetentionDuration": arguments.get("message_retention_duration", RETENTION),
        "pushConfig": as_rest(push),
        "retryPolicy": as_rest(block(arguments, "retry_policy")),
        "deadLetterPolicy": as_rest(block(arguments, "dead_letter_policy")),
    }


HANDLERS: dict[str, Handler] = {
    "google_pubsub_topic": topic,
    "google_pubsub_subscription": subscription,
}
