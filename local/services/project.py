"""The project: its number and its enabled APIs."""

from typing import Any

from local.environment.environment import LocalEnvironment, project_number
from local.stack.applying import Attributes, Handler
from local.stack.arguments import make_store_only_handler
from local.stack.loading import Resource


def project(_resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
    """Data source google_project: the number is derived from the project's ID."""
    name = arguments.get("project_id", environment.project)
    return arguments | {
        "id": f"projects/{name}",
        "project_id": name,
        "number": project_number(name),
        "name": name,
    }


def client_config(
    _resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """Data source google_client_config, without an access token."""
    name = f"projects/{environment.project}/regions/{environment.region}"
    return arguments | {"id": name, "project": environment.project, "region": environment.region}


HANDLERS: dict[str, Handler] = {
    "data.google_project": project,
    "data.google_client_config": client_config,
    "google_project_service": make_store_only_handler(
        "serviceusage",
        "services",
        name="{project}/{service}",
        unsupported="google_project_service: every emulated API can be called, enabled or not",
    ),
}
