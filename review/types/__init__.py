"""One renderer per resource type. A module of this package says in TYPES which types it knows, as names or patterns.

It has one or both of these pure functions, found by their names:

- `findings(change, context)`: what the change of one resource does;
- `grants(change, values, context)`: who may do what because of it, before or after (`values`); `review.access` tells
  the difference in words.

A module of which TELLS_THE_END is true says itself what a deletion or a replacement means; of the others that is said
plainly. So a type is added in one file, with its test.
"""

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import ModuleType

from review.context import Context
from review.findings import Finding
from review.grants import Grant
from review.plan import Change
from review.values import Values


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of this package, in the order of their names."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


@functools.cache
def renderers(type_: str) -> tuple[ModuleType, ...]:
    """Return the modules that know a type: those that name it before those whose pattern fits."""
    exact = [module for module in modules() if type_ in module.TYPES]
    fitting = [
        module
        for module in modules()
        if module not in exact
        and any(fnmatchcase(type_, pattern) for pattern in module.TYPES if "*" in pattern)
    ]
    return tuple(exact or fitting)


def is_grant(type_: str) -> bool:
    """Tell whether a type is nothing but grants: a member, a binding, a policy, an access list."""
    found = renderers(type_)
    return any(hasattr(each, "grants") for each in found) and not any(
        hasattr(each, "findings") for each in found
    )


def authority(type_: str) -> str:
    """Return `binding` or `policy` for a type that decides every grant of a role or a resource; else nothing."""
    found = next((each for each in renderers(type_) if hasattr(each, "authority")), None)
    return str(found.authority(type_)) if found else ""


def render(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what the type's renderers say of a change."""
    for module in renderers(change.type):
        if hasattr(module, "findings"):
            yield from module.findings(change, context)


def tells_the_end(type_: str) -> bool:
    """Tell whether a type's renderer says itself what it means that a resource goes."""
    return any(getattr(module, "TELLS_THE_END", False) for module in renderers(type_))


def grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield what a resource grants with these values."""
    for module in renderers(change.type):
        if hasattr(module, "grants"):
            yield from module.grants(change, values, context)
