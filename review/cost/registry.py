"""The modules that count costs, one per group of types.

A module says in TYPES which types it counts; its pure function `price_resources(usage)` yields their cost in a month.
"""

from types import ModuleType

from review.cost import kubernetes, machines, network, serverless, services, storage

MODULES: tuple[ModuleType, ...] = (serverless, storage, machines, kubernetes, services, network)
COUNTED = frozenset(type_ for module in MODULES for type_ in module.TYPES) | frozenset(services.PRICED)
