"""Pub/Sub's topics and subscriptions. https://cloud.google.com/pubsub/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.kinds import Kind
from local.control_plane.policies import policies_of
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route
from local.services.pubsub import ACK_DEADLINE_S, RETENTION, PubSub

ROOT = "/pubsub/v1/"
EXPIRATION = {"ttl": "2678400s"}  # 31 days


def _topic(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    environment.service(PubSub).put_topic(wanted)
    return wanted


def _subscription(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    complete = {
        "ackDeadlineSeconds": ACK_DEADLINE_S,
        "messageRetentionDuration": RETENTION,
        "expirationPolicy": EXPIRATION,
        "state": "ACTIVE",
        "pushConfig": {},
    } | {key: value for key, value in wanted.items() if value is not None}
    environment.service(PubSub).put_subscription(complete)
    return complete


TOPIC = Kind(
    ROOT,
    "projects/{project}/topics/{id}",
    "pubsub",
    "topics",
    _topic,
    lambda environment, held: environment.service(PubSub).topics.delete(held["name"]),
    created_by="PUT",
    wrapped_in="topic",
)
SUBSCRIPTION = Kind(
    ROOT,
    "projects/{project}/subscriptions/{id}",
    "pubsub",
    "subscriptions",
    _subscription,
    lambda environment, held: environment.service(PubSub).subscriptions.delete(held["name"]),
    created_by="PUT",
    wrapped_in="subscription",
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield what this service answers."""
    for kind in (TOPIC, SUBSCRIPTION):
        yield from policies_of(environment, kind)
        yield from kind.routes(environment)
