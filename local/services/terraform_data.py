"""Terraform's built-in resource type terraform_data, which carries commands to run at deploy time."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.environment.environment import LocalEnvironment
from local.stack.applying import Attributes, Handler
from local.stack.loading import Resource


def terraform_data(
    resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment
) -> Attributes:
    """Return its input. Its commands are not run, because the local run needs no images."""
    if resource.meta.get("provisioner"):
        environment.report_unsupported(
            f"{resource.address}: image build skipped: services run from the "
            "source archive that the image would be built from"
        )
    known = {"id": str(uuid5(NAMESPACE_URL, resource.address)), "output": arguments.get("input")}
    return arguments | {key: value for key, value in known.items() if value is not None}


HANDLERS: dict[str, Handler] = {"terraform_data": terraform_data}
