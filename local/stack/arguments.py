"""Terraform's arguments, as handlers read them and as the REST APIs name them."""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from local.environment.environment import LocalEnvironment
from local.stack.applying import Attributes, Handler
from local.stack.loading import Resource

# Arguments of many types that have no effect outside Terraform.
TERRAFORM_ONLY = frozenset({"project", "timeouts", "labels", "annotations", "description", "display_name"})

# Maps whose keys are chosen by the user and so not renamed.
USER_KEYED_MAPS = frozenset(
    {
        "annotations",
        "attributes",
        "build_environment_variables",
        "environment_variables",
        "headers",
        "labels",
        "metadata",
        "parameters",
        "properties",
        "user_labels",
    }
)


def get_blocks(arguments: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the blocks of a name; the JSON may have a single block without a list."""
    value = arguments.get(name)
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def get_block(arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the first block of a name, or an empty one."""
    return next(iter(get_blocks(arguments, name)), {})


def as_rest(value: Any) -> Any:
    """Return arguments with the names of the REST APIs: `time_to_live` becomes `timeToLive`."""
    if isinstance(value, Mapping):
        return {
            _camel_case(key): item if key in USER_KEYED_MAPS else as_rest(item) for key, item in value.items()
        }
    if isinstance(value, list):
        return [as_rest(item) for item in value]
    return value


def as_arguments(value: Any) -> Any:
    """Return a REST resource with the names of Terraform's arguments: the reverse of `as_rest`."""
    if isinstance(value, Mapping):
        named = {_snake_case(key): item for key, item in value.items() if item is not None}
        return {name: item if name in USER_KEYED_MAPS else as_arguments(item) for name, item in named.items()}
    if isinstance(value, list):
        return [as_arguments(item) for item in value]
    return value


def _snake_case(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def report_unsupported_arguments(
    environment: LocalEnvironment,
    kind: str,
    arguments: Mapping[str, Any],
    supported: Iterable[str],
    unsupported: Mapping[str, str],
) -> None:
    """Report the arguments without effect: those of `unsupported` with their reason, and all unknown ones.

    `kind` is the resource type, possibly followed by a block's name. `supported` names the arguments that have an
    effect. An argument that is off (false, empty) is not reported.
    """
    for name, value in arguments.items():
        if name in unsupported:
            if value not in (False, [], {}, ""):
                environment.report_unsupported(f"{kind}.{name}: {unsupported[name]}")
        elif name not in TERRAFORM_ONLY and name not in supported:
            environment.report_unsupported(f"{kind}.{name}: unknown to the local run, so it has no effect")


def derive_number(text: str, digits: int) -> str:
    """Return a number with that many digits, derived from a text, where Google Cloud assigns a random one."""
    low = 10 ** (digits - 1)
    return str(low + int.from_bytes(sha256(text.encode()).digest()) % (9 * low))


def make_store_only_handler(
    service: str,
    collection: str,
    *,
    name: str,
    unsupported: str,
    computed_attributes: Mapping[str, str] | None = None,
) -> Handler:
    """Return a handler for a type that is stored without effect; `unsupported` is the sentence that says so.

    `name` is the pattern of the resource's full name, which is also its Terraform `id`. It can have `{project}`,
    `{location}` (the environment's region unless an argument sets it), `{number}` and any argument.
    `computed_attributes` has the patterns of further attributes, which can also have `{id}`.
    """

    def handler(resource: Resource, arguments: dict[str, Any], environment: LocalEnvironment) -> Attributes:
        environment.report_unsupported(unsupported)
        known = collect_name_values(environment, resource, arguments)
        known["id"] = name.format_map(known)
        computed = {key: pattern.format_map(known) for key, pattern in (computed_attributes or {}).items()}
        resource_as_rest = as_rest(arguments) | {"name": known["id"]}
        environment.collection(service, collection).put(known["id"], resource_as_rest)
        return {"project": environment.project} | arguments | {"id": known["id"]} | computed

    return handler


def collect_name_values(
    environment: LocalEnvironment, resource: Resource, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values for name patterns: the arguments, project, region, location and a stable number."""
    return {
        "project": environment.project,
        "region": environment.region,
        "location": environment.region,
        "number": derive_number(resource.address, 19),
        **arguments,
    }
