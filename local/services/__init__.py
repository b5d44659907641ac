"""One module per Google service: what the resources of the stack become in the local environment.

Each module's `HANDLERS` has a handler per resource type of Terraform.

Imports: data_plane, environment, errors, iam_proxy, processes, service_router, stack, workloads.
Imported by: control_plane, runs.
"""

import pkgutil
from importlib import import_module

from local.stack.applying import Handler

HANDLERS: dict[str, Handler] = {}
for _module in pkgutil.iter_modules(__path__):
    HANDLERS |= getattr(import_module(f"{__name__}.{_module.name}"), "HANDLERS", {})
