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


def _store_alert_policy(environment: LocalEnvironment, resource: Json, _previous: Json | None) -> Json:
    name = resource["name"]
    conditions = [
        {"name": f"{name}/conditions/{derive_number(f'{name}{index}', 19)}"} | condition
        for index, condition in enumerate(resource.get("conditions", []))
    ]
    complete = {"enabled": True} | resource | {"conditions": conditions}
    environment.collection("monitoring", "alertPolicies").put(name, complete)
    return complete


def _store_notification_channel(
    environment: LocalEnvironment, resource: Json, _previous: Json | None
) -> Json:
    complete = {"enabled": True} | resource
    environment.collection("monitoring", "notificationChannels").put(resource["name"], complete)
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


def _store_service(environment: LocalEnvironment, resource: Json, _previous: Json | None) -> Json:
    complete: Json = {"custom": {}, "telemetry": {}} | resource
    environment.collection("monitoring", "services").put(resource["name"], complete)
    return complete


def _store_slo(environment: LocalEnvironment, resource: Json, _previous: Json | None) -> Json:
    environment.collection("monitoring", "serviceLevelObjectives").put(resource["name"], resource)
    return resource


def _undelivered_messages(environment: LocalEnvironment, request: ApiRequest, project: str) -> Json:
    """Return the newest point of `num_undelivered_messages` for the subscription of the filter."""
    filter_text = request.query.get("filter", "")
    metric, subscription = METRIC.search(filter_text), SUBSCRIPTION.search(filter_text)
    if metric is None or metric[1] != UNDELIVERED or subscription is None:
        raise ApiError(
            400,
            f"the local environment supports only {UNDELIVERED} in timeSeries.list, found the filter {filter_text!r}",
        )
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
    yield from _resource_type("alertPolicies", _store_alert_policy).routes(environment)
    yield from _resource_type("notificationChannels", _store_notification_channel).routes(environment)
    yield from replace(_resource_type("services", _store_service), id_of=id_from_query("serviceId")).routes(
        environment
    )
    objective = replace(
        _resource_type("serviceLevelObjectives", _store_slo),
        item="projects/{project}/services/{service}/serviceLevelObjectives/{id}",
        id_of=id_from_query("serviceLevelObjectiveId"),
    )
    yield from objective.routes(environment)
