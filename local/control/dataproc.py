"""Dataproc's workflow templates. https://cloud.google.com/dataproc/docs/reference/rest"""

from collections.abc import Iterator

from local.arguments import as_arguments
from local.collection import Json
from local.control.http import Route
from local.control.kinds import Kind, by_field
from local.machine import Machine
from local.services.dataproc import Dataproc, workflow_template
from local.stack import Resource

ROOT = "/dataproc/v1/"
TYPE = "google_dataproc_workflow_template"


def _template(machine: Machine, wanted: Json, _before: Json | None) -> Json:
    project, _, location, _, name = wanted["name"].split("/")[1:]
    arguments = as_arguments(wanted) | {"name": name, "project": project, "location": location}
    config = arguments.get("placement", {}).get("managed_cluster", {}).get("config", {})
    if "config_bucket" in config:  # the one argument that has another name there
        config["staging_bucket"] = config.pop("config_bucket")
    workflow_template(Resource(f"{TYPE}.{name}", TYPE, name, {}), arguments, machine)
    return wanted | {
        "id": name,
        "version": 1,
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
    }


def _kind(regions: str) -> Kind:
    return Kind(
        ROOT,
        f"projects/{{project}}/{regions}/{{location}}/workflowTemplates/{{id}}",
        "dataproc",
        "workflowTemplates",
        _template,
        lambda machine, held: machine.service(Dataproc).templates.delete(
            held["name"].replace("/locations/", "/regions/")
        ),
        identify=by_field("id"),
    )


def routes(machine: Machine) -> Iterator[Route]:
    """Yield what this service answers; its paths say `locations` or `regions`."""
    yield Route("GET", ROOT + "projects/{project}/regions/{location}/clusters", lambda *_: {})
    yield from _kind("locations").routes(machine)
    yield from _kind("regions").routes(machine)
