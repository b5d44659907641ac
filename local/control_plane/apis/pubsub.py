"""Pub/Sub: topics and subscriptions. https://cloud.google.com/pubsub/docs/reference/rest"""

from collections.abc import Iterator

from local.control_plane.policies import routes_of_policies
from local.control_plane.resource_types import ResourceType
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import Route
from local.services.pubsub import RETENTION, PubSub
from local.services.pubsub_delivery import ACK_DEADLINE_S

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


TOPIC = ResourceType(
    ROOT,
    "projects/{project}/topics/{id}",
    "pubsub",
    "topics",
    _topic,
    lambda environment, resource: environment.service(PubSub).topics.delete(resource["name"]),
    create_method="PUT",
    update_field="topic",
)
SUBSCRIPTION = ResourceType(
    ROOT,
    "projects/{project}/subscriptions/{id}",
    "pubsub",
    "subscriptions",
    _subscription,
    lambda environment, resource: environment.service(PubSub).subscriptions.delete(resource["name"]),
    create_method="PUT",
    update_field="subscription",
)


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    for kind in (TOPIC, SUBSCRIPTION):
        yield from routes_of_policies(environment, kind)
        yield from kind.routes(environment)
