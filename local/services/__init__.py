"""One module per Google service: what a stack's resources become in the local environment.

Each module's `HANDLERS` maps a resource type of Terraform to its handler.

Imports: data_plane, environment, errors, iam_proxy, processes, service_router, stack, workloads.
Imported by: control_plane, runs.
"""

import pkgutil
from importlib import import_module

from local.stack.applying import Handler

HANDLERS: dict[str, Handler] = {}
for _module in pkgutil.iter_modules(__path__):
    HANDLERS |= getattr(import_module(f"{__name__}.{_module.name}"), "HANDLERS", {})
