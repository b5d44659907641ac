"""One module per Google service that this machine stands for, with its `HANDLERS` by resource type."""

import pkgutil
from importlib import import_module

from local.stack import Handler

HANDLERS: dict[str, Handler] = {}
for _module in pkgutil.iter_modules(__path__):
    HANDLERS |= getattr(import_module(f"{__name__}.{_module.name}"), "HANDLERS", {})
