"""Pub/Sub: topics, push and pull subscriptions, retries with backoff, dead letters.

A message is stored in SQLite, synced to disk, before its publisher gets the response, and until each subscription has
acknowledged it; so an undelivered message survives a restart. https://cloud.google.com/pubsub/docs/push,
https://cloud.google.com/pubsub/docs/handling-failures
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from local.environment.clock import event_clock, parse_duration
from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import identity_token
from local.environment.resources import Json
from local.errors import LocalError, NotFoundError
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import AccessError, RequiredPermission
from local.service_router.router import ServiceRouter, is_loopback
from local.services.pubsub_delivery import (
    ACK_DEADLINE_S,
    ACKNOWLEDGING,
    ack_deadline_s,
    backoff_s,
    dead_letter_attributes,
    push_body,
)
from local.services.pubsub_messages import Message, MessageStore
from local.stack.applying import Attributes, Handler
from local.stack.arguments import as_rest, get_block, report_unsupported_arguments
from local.stack.loading import Resource

LOG = logging.getLogger(__name__)

DATA_LIMIT = 10 * 2**20  # of one message, Pub/Sub's limit
# The service agent, as which Pub/Sub forwards dead letters: https://cloud.google.com/iam/docs/service-agents
SERVICE_AGENT = "service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com"
RETENTION = "604800s"  # 7 days


@dataclass
class DeliveryTotals:
    """The counts of this run: `failed` counts delivery attempts, the others messages."""

    published: int = 0
    delivered: int = 0
    failed: int = 0
    dead_lettered: int = 0
    expired: int = 0
    by_topic: dict[str, int] = field(default_factory=dict)


class PubSub:
    """The Pub/Sub service of one project; safe to use from any thread.

    Topics and subscriptions are stored as REST resources by full name (`projects/<project>/topics/<topic>`). Each
    callback of `on_delivered` gets each message that a push endpoint acknowledged; each of `on_expired` gets a
    subscription and the number of its messages that expired.
    """

    def __init__(self, environment: LocalEnvironment) -> None:
        self._environment = environment
        self._clock = event_clock(environment)
        self.topics = environment.collection("pubsub", "topics")
        self.subscriptions = environment.collection("pubsub", "subscriptions")
        self.totals = DeliveryTotals()
        self.on_delivered: list[Callable[[Message], None]] = []
        self.on_expired: list[Callable[[str, int], None]] = []
        self._messages = MessageStore(environment)
        self._lock = threading.Lock()
        self._ids = itertools.count(time.time_ns() // 1000)

    def put_topic(self, topic: Json) -> Json:
        """Create or update a topic."""
        return self.topics.put(topic["name"], topic)

    def put_subscription(self, subscription: Json) -> Json:
        """Create or update a subscription. Raises LocalError for a push endpoint outside the local environment."""
        endpoint = subscription.get("pushConfig", {}).get("pushEndpoint")
        if endpoint and not is_loopback(endpoint):
            raise LocalError(
                f"{subscription['name']} pushes to {endpoint}, which is outside the local environment: "
                "let its push_endpoint refer to a function or service of the stack"
            )
        if self.topics.find(subscription["topic"]) is None:
            raise NotFoundError("pubsub topics", subscription["topic"])
        return self.subscriptions.put(subscription["name"], subscription)

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Store a message for each subscription of a topic, start its delivery, and return its ID.

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
        self._add_to_totals(published=1)
        with self._lock:
            self.totals.by_topic[topic] = self.totals.by_topic.get(topic, 0) + 1
        for message in messages:
            self._start_delivery(message)
        return message_id

    def resume(self) -> int:
        """Start the delivery of the messages that an earlier run left undelivered; return their number."""
        left = [m for m in self._messages.all() if self._has_push_endpoint(m.subscription)]
        for message in left:
            self._start_delivery(message)
        return len(left)

    def count_undelivered(self, subscription: str) -> int:
        """Return the number of a subscription's messages that are not acknowledged."""
        return self._messages.count(subscription)

    def pull(self, subscription: str, limit: int) -> list[Message]:
        """Return messages, and lease them until the acknowledgement deadline."""
        config = self.subscriptions.get(subscription)
        self._expire_messages(config)
        now = self._clock.now()
        return self._messages.lease(subscription, limit, now, now + timedelta(seconds=ack_deadline_s(config)))

    def acknowledge(self, subscription: str, message_ids: list[str]) -> None:
        """Acknowledge messages of a subscription."""
        self.subscriptions.get(subscription)
        self._add_to_totals(delivered=self._messages.remove(subscription, message_ids))

    def _has_push_endpoint(self, subscription: str) -> bool:
        config = self.subscriptions.find(subscription)
        return bool(config and config.get("pushConfig", {}).get("pushEndpoint"))

    def _start_delivery(self, message: Message) -> None:
        if self._has_push_endpoint(message.subscription):
            # In a lane of its own, so that a subscriber that hangs delays neither jobs nor other subscriptions.
            self._clock.start(lambda: self._deliver(message), message.subscription)

    def _deliver(self, message: Message) -> None:
        config = self.subscriptions.find(message.subscription)
        if config is None or self._expire_messages(config, message):
            return
        attempt = self._messages.count_attempt(message)
        headers = {"Content-Type": "application/json"} | self._authorization(config)
        response = self._environment.service(ServiceRouter).call(
            "POST",
            config["pushConfig"]["pushEndpoint"],
            headers,
            push_body(config, message, attempt),
            ack_deadline_s(config),
        )
        if response.status in ACKNOWLEDGING:
            self._add_to_totals(delivered=self._messages.remove(message.subscription, [message.message_id]))
            for callback in self.on_delivered:
                callback(message)
            return
        self._add_to_totals(failed=1)
        LOG.warning("attempt %d of message %s: %s", attempt, message.message_id, response)
        self._handle_failure(config, message, attempt)

    def _handle_failure(self, config: Json, message: Message, attempt: int) -> None:
        dead = config.get("deadLetterPolicy", {})
        if dead and attempt >= int(dead.get("maxDeliveryAttempts", 5)) and self._can_dead_letter(config):
            self.publish(
                dead["deadLetterTopic"], message.data, dead_letter_attributes(config, message, attempt)
            )
            self._messages.remove(message.subscription, [message.message_id])
            self._add_to_totals(dead_lettered=1)
            LOG.error(
                "message %s is forwarded to the dead-letter topic %s",
                message.message_id,
                dead["deadLetterTopic"],
            )
            return
        self._clock.schedule_after(backoff_s(config, attempt), lambda: self._start_delivery(message))

    def _can_dead_letter(self, config: Json) -> bool:
        """Whether Pub/Sub's service agent may acknowledge a dead letter and publish it to the dead-letter topic.

        Otherwise the message is redelivered until it expires:
        https://cloud.google.com/pubsub/docs/dead-letter-topics#grant_forwarding_permissions
        """
        agent = SERVICE_AGENT.format(number=self._environment.project_number)
        topic = config["deadLetterPolicy"]["deadLetterTopic"]
        needs = [
            RequiredPermission("pubsub.topics.publish", topic),
            RequiredPermission("pubsub.subscriptions.consume", config["name"]),
        ]
        try:
            self._environment.service(AccessControl).check(agent, needs)
        except AccessError:  # the log and the report have the denial
            return False
        return True

    def _authorization(self, config: Json) -> dict[str, str]:
        token = config["pushConfig"].get("oidcToken")
        if not token:
            return {}
        audience = token.get("audience") or config["pushConfig"]["pushEndpoint"]
        now = self._clock.now().timestamp()
        return {"Authorization": f"Bearer {identity_token(token['serviceAccountEmail'], audience, now)}"}

    def _expire_messages(self, config: Json, message: Message | None = None) -> bool:
        """Delete the messages that are older than the subscription's retention; return whether `message` is one of
        them.
        """
        oldest = self._clock.now() - timedelta(seconds=parse_duration(config["messageRetentionDuration"]))
        expired = self._messages.expire(config["name"], oldest)
        if expired:
            LOG.error("%d messages of %s expired undelivered", expired, config["name"])
            self._add_to_totals(expired=expired)
            for callback in self.on_expired:
                callback(config["name"], expired)
        return message is not None and message.publish_time < oldest

    def _add_to_totals(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self.totals, name, getattr(self.totals, name) + number)


def topic(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_pubsub_topic."""
    kind = "google_pubsub_topic"
    unsupported = {"message_storage_policy": "every message is stored on this host"}
    report_unsupported_arguments(environment, kind, arguments, {"name"}, unsupported | _TOPIC_UNSUPPORTED)
    project = arguments.get("project", environment.project)
    name = f"projects/{project}/topics/{arguments['name']}"
    environment.service(PubSub).put_topic(as_rest(arguments) | {"name": name})
    return {"project": project} | arguments | {"id": name}


def subscription(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """google_pubsub_subscription: a pull subscription unless it has a push endpoint."""
    kind = "google_pubsub_subscription"
    supported = {"name", "topic", "ack_deadline_seconds", "message_retention_duration", "push_config"}
    unsupported = {"expiration_policy": "subscriptions do not expire", **_SUBSCRIPTION_UNSUPPORTED}
    report_unsupported_arguments(
        environment, kind, arguments, supported | {"retry_policy", "dead_letter_policy"}, unsupported
    )
    push_supported = {"push_endpoint", "oidc_token", "attributes"}
    report_unsupported_arguments(
        environment, f"{kind}.push_config", get_block(arguments, "push_config"), push_supported, {}
    )
    project = arguments.get("project", environment.project)
    name = f"projects/{project}/subscriptions/{arguments['name']}"
    environment.service(PubSub).put_subscription(subscription_as_rest(name, project, arguments))
    return {"project": project} | arguments | {"id": name}


_TOPIC_UNSUPPORTED = {
    "message_retention_duration": "only subscriptions retain messages, so none can be replayed",
    "kms_key_name": "messages are not encrypted",
    "schema_settings": "messages are not checked against a schema",
}
_SUBSCRIPTION_UNSUPPORTED = {
    "bigquery_config": "messages are not written to BigQuery",
    "cloud_storage_config": "messages are not written to Cloud Storage",
    "enable_exactly_once_delivery": "delivery is at least once",
    "enable_message_ordering": "messages are not ordered by key",
    "filter": "every message is delivered",
    "message_transforms": "messages are delivered as they were published",
    "retain_acked_messages": "acknowledged messages are deleted",
}


def subscription_as_rest(name: str, project: str, arguments: dict[str, Any]) -> Json:
    """Return a subscription's REST resource from Terraform's arguments, with defaults."""
    given: str = arguments["topic"]
    push = dict(get_block(arguments, "push_config"))
    if token := get_block(push, "oidc_token"):
        push["oidc_token"] = token
    return {
        "name": name,
        "topic": given if "/" in given else f"projects/{project}/topics/{given}",
        "ackDeadlineSeconds": int(arguments.get("ack_deadline_seconds", ACK_DEADLINE_S)),
        "messageRetentionDuration": arguments.get("message_retention_duration", RETENTION),
        "pushConfig": as_rest(push),
        "retryPolicy": as_rest(get_block(arguments, "retry_policy")),
        "deadLetterPolicy": as_rest(get_block(arguments, "dead_letter_policy")),
    }


HANDLERS: dict[str, Handler] = {
    "google_pubsub_topic": topic,
    "google_pubsub_subscription": subscription,
}
