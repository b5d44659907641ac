"""Alert policies and notification channels. https://cloud.google.com/monitoring/api/ref_v3/rest"""

from collections.abc import Iterator

from local.arguments import stable_number
from local.collection import Json
from local.control.http import Route
from local.control.kinds import Complete, Kind, by_number
from local.machine import Machine

ROOT = "/monitoring/v3/"


def _policy(machine: Machine, wanted: Json, _before: Json | None) -> Json:
    name = wanted["name"]
    conditions = [
        {"name": f"{name}/conditions/{stable_number(f'{name}{index}', 19)}"} | condition
        for index, condition in enumerate(wanted.get("conditions", []))
    ]
    complete = {"enabled": True} | wanted | {"conditions": conditions}
    machine.collection("monitoring", "alertPolicies").put(name, complete)
    return complete


def _channel(machine: Machine, wanted: Json, _before: Json | None) -> Json:
    complete = {"enabled": True} | wanted
    machine.collection("monitoring", "notificationChannels").put(wanted["name"], complete)
    return complete


def _kind(collection: str, complete: Complete) -> Kind:
    return Kind(
        ROOT,
        f"projects/{{project}}/{collection}/{{id}}",
        "monitoring",
        collection,
        complete,
        lambda machine, held: machine.collection("monitoring", collection).delete(held["name"]),
        identify=by_number,
    )


def routes(machine: Machine) -> Iterator[Route]:
    """Yield what this service answers."""
    yield from _kind("alertPolicies", _policy).routes(machine)
    yield from _kind("notificationChannels", _channel).routes(machine)
