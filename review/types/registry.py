"""Find the renderers of a resource type: the modules below `review.types`, and those of `--types FOLDER`."""

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

from review import types
from review.errors import PlanError
from review.findings.finding import Finding
from review.google_cloud.grants import Grant
from review.plan.context import Context, Lookup, no_files
from review.plan.model import Change, Plan
from review.plan.naming import Names
from review.plan.values import Values

_registered: list[ModuleType] = []


def register(folder: Path) -> None:
    """Load each module of a user's folder; for its types it replaces the modules below `review.types`.

    Raises PlanError if the folder has no module, or a module has no TYPES or neither function.
    """
    files = sorted(each for each in folder.glob("*.py") if not each.name.startswith("_"))
    if not files:
        raise PlanError(f"--types {folder}: the folder has no Python module (*.py)")
    for file in files:
        spec = importlib.util.spec_from_file_location(f"review_types_{file.stem}", file)
        if spec is None or spec.loader is None:
            raise PlanError(f"--types: {file} is not a Python module")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise PlanError(
                f"--types: {file} cannot be imported ({type(error).__name__}: {error})"
            ) from error
        if hasattr(module, "TELLS_THE_END"):
            raise PlanError(f"--types: {file}: TELLS_THE_END is now REPORTS_DELETION; rename it")
        types_ = getattr(module, "TYPES", None)
        if not isinstance(types_, tuple) or not all(isinstance(each, str) for each in types_):
            raise PlanError(
                f"--types: {file} has no TYPES; define a tuple of names or patterns of resource types"
            )
        if not callable(getattr(module, "findings", None)) and not callable(getattr(module, "grants", None)):
            raise PlanError(
                f"--types: {file} has neither findings(change, context) nor grants(change, values, context)"
            )
        _registered.append(module)
    load_modules.cache_clear()
    find_renderers.cache_clear()


@functools.cache
def load_modules() -> tuple[ModuleType, ...]:
    """Return every module of a user's own folder, then those below `review.types` in the order of their names."""
    found = pkgutil.walk_packages(types.__path__, f"{types.__name__}.")
    names = sorted(each.name for each in found if not each.ispkg and each.name != __name__)
    return (*_registered, *map(importlib.import_module, names))


@functools.cache
def find_renderers(type_: str) -> tuple[ModuleType, ...]:
    """Return the modules of a type: a user's own, else those that name it, else those with a matching pattern."""
    own = [each for each in _registered if any(fnmatchcase(type_, pattern) for pattern in each.TYPES)]
    if own:
        return tuple(own)
    exact = [module for module in load_modules() if type_ in module.TYPES]
    fitting = [
        module
        for module in load_modules()
        if module not in exact
        and any(fnmatchcase(type_, pattern) for pattern in module.TYPES if "*" in pattern)
    ]
    return tuple(exact or fitting)


def is_registered(type_: str) -> bool:
    """Return whether a user's own module renders a type."""
    return any(fnmatchcase(type_, pattern) for module in _registered for pattern in module.TYPES)


def is_grant(type_: str) -> bool:
    """Return whether a type only grants: a member, a binding, a policy, an access list."""
    found = find_renderers(type_)
    return any(hasattr(each, "grants") for each in found) and not any(
        hasattr(each, "findings") for each in found
    )


def find_authority(type_: str) -> str:
    """Return `binding` or `policy` for an authoritative type; empty for others."""
    found = next((each for each in find_renderers(type_) if hasattr(each, "authority")), None)
    return str(found.authority(type_)) if found else ""


def render_change(change: Change, context: Context) -> Iterator[Finding]:
    """Yield the findings of the type's renderers about a change."""
    for module in find_renderers(change.type):
        if hasattr(module, "findings"):
            yield from module.findings(change, context)


def reports_deletion(type_: str) -> bool:
    """Return whether a type's renderer reports deletions and replacements itself."""
    return any(getattr(module, "REPORTS_DELETION", False) for module in find_renderers(type_))


def list_grants(change: Change, values: Values, context: Context) -> Iterator[Grant]:
    """Yield the grants of a resource with these values."""
    for module in find_renderers(change.type):
        if hasattr(module, "grants"):
            yield from module.grants(change, values, context)


def create_context(plan: Plan, names: Names | None = None, lookup: Lookup = no_files) -> Context:
    """Return what renderers can read besides a change; its grants are those of all renderers."""
    return Context(plan, list_grants, names or Names(each.address for each in plan.changes), lookup)
