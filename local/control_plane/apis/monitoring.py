"""Cloud Monitoring: alert policies, notification channels, services and one metric.

https://cloud.google.com/monitoring/api/ref_v3/rest
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from local.control_plane.resource_types import Apply, ResourceType, generated_id, id_from_query
from local.environment.clock import event_clock
from local.environment.environment import LocalEnvironment
from local.environment.resources import Json
from local.http.rest import ApiError, ApiRequest, Route
from local.services.pubsub import PubSub
from local.services.pubsub_delivery import format_rfc3339
from local.stack.arguments import derive_number

ROOT = "/monitoring/v3/"
UNDELIVERED = "pubsub.googleapis.com/subscription/num_undelivered_messages"
METRIC = re.compile(r'metric\.type ?= ?"([^"]*)"')
SUBSCRIPTION = re.compile(r'resource\.labels\.subscription_id ?= ?"([^"]*)"')


def _policy(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    name = wanted["name"]
    conditions = [
        {"name": f"{name}/conditions/{derive_number(f'{name}{index}', 19)}"} | condition
        for index, condition in enumerate(wanted.get("conditions", []))
    ]
    complete = {"enabled": True} | wanted | {"conditions": conditions}
    environment.collection("monitoring", "alertPolicies").put(name, complete)
    return complete


def _channel(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    complete = {"enabled": True} | wanted
    environment.collection("monitoring", "notificationChannels").put(wanted["name"], complete)
    return complete


def _resource_type(collection: str, complete: Apply) -> ResourceType:
    return ResourceType(
        ROOT,
        f"projects/{{project}}/{collection}/{{id}}",
        "monitoring",
        collection,
        complete,
        lambda environment, resource: environment.collection("monitoring", collection).delete(
            resource["name"]
        ),
        id_of=generated_id,
    )


def _service(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    complete: Json = {"custom": {}, "telemetry": {}} | wanted
    environment.collection("monitoring", "services").put(wanted["name"], complete)
    return complete


def _objective(environment: LocalEnvironment, wanted: Json, _before: Json | None) -> Json:
    environment.collection("monitoring", "serviceLevelObjectives").put(wanted["name"], wanted)
    return wanted


def _undelivered_messages(environment: LocalEnvironment, request: ApiRequest, project: str) -> Json:
    """Return the newest point of `num_undelivered_messages` for the subscription of the filter."""
    filter_text = request.query.get("filter", "")
    metric, subscription = METRIC.search(filter_text), SUBSCRIPTION.search(filter_text)
    if metric is None or metric[1] != UNDELIVERED or subscription is None:
        raise ApiError(400, f"the local run supports only {UNDELIVERED}, found the filter {filter_text}")
    broker, name = environment.service(PubSub), f"projects/{project}/subscriptions/{subscription[1]}"
    if broker.subscriptions.find(name) is None:
        return {}
    now = format_rfc3339(event_clock(environment).now())
    value = {"int64Value": str(broker.count_undelivered(name))}
    return {"timeSeries": [{"points": [{"interval": {"startTime": now, "endTime": now}, "value": value}]}]}


def routes(environment: LocalEnvironment) -> Iterator[Route]:
    """Yield the routes of this API."""
    yield Route(
        "GET",
        ROOT + "projects/{project}/timeSeries",
        lambda request, params: _undelivered_messages(environment, request, params["project"]),
    )
    yield from _resource_type("alertPolicies", _policy).routes(environment)
    yield from _resource_type("notificationChannels", _channel).routes(environment)
    yield from replace(_resource_type("services", _service), id_of=id_from_query("serviceId")).routes(
        environment
    )
    objective = replace(
        _resource_type("serviceLevelObjectives", _objective),
        item="projects/{project}/services/{service}/serviceLevelObjectives/{id}",
        id_of=id_from_query("serviceLevelObjectiveId"),
    )
    yield from objective.routes(environment)
