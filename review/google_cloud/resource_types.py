"""Facts about each resource type, from one table for plans and for stacks, `google_types.json`.

A type that is not in it, of a newer or of another provider, is unknown: the review never calls it harmless.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("google_types.json")
COMMON_ARGUMENTS = frozenset({"id", "timeouts"})  # of every type
UNKNOWN_SIZE = 30  # `size` of a type whose data is unknown
# Providers whose resources store nothing in a cloud, give no access and cost nothing.
LOCAL = (
    "archive_*",
    "external",
    "http",
    "local_*",
    "null_*",
    "random_*",
    "template_*",
    "terraform_data",
    "time_*",
    "tls_*",
)


@dataclass(frozen=True)
class TypeFacts:
    """Facts about one type.

    `data` says what is lost with a resource; it is empty if a resource has nothing but its arguments. `size` orders
    losses: the larger ones are listed first. `replaces`: arguments whose change replaces the resource. `secret`:
    arguments that are masked. `attributes`: the type's arguments and attributes.
    `is_loss_uncertain`: whether data is lost depends on more than the type. `kept_because`: why a deletion leaves the
    resource in Google Cloud. `creation_effect`: what a creation does to existing data. `not_recreatable`: why the same
    resource cannot be created again. `recovery`: how a deletion can be reverted; empty where the other facts decide it.
    `deleted_with`: types of dependents that a deletion also deletes.
    """

    data: str = ""
    size: int = 0
    is_loss_uncertain: bool = False
    kept_because: str = ""
    creation_effect: str = ""
    not_recreatable: str = ""
    recovery: str = ""
    deleted_with: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()  # serves, network, code, costs, grants
    replaces: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()  # attributes with arguments inside
    inside: frozenset[str] = (
        frozenset()
    )  # names of arguments inside blocks, at any depth; blocks end with +, maps with *
    defaults: Mapping[str, Any] = field(default_factory=dict)


@cache
def read_types() -> Mapping[str, Mapping[str, Any]]:
    """Return the table as it is written, by type."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(TABLE.read_text("utf-8"))["types"]
    return found


@cache
def look_up_type(type_: str) -> TypeFacts | None:
    """Return the facts about a type; None if it is unknown."""
    row = read_types().get(type_)
    if row is None:
        return TypeFacts() if is_local(type_) else None
    return TypeFacts(
        data=row.get("data", ""),
        size=row.get("size", 0),
        is_loss_uncertain=row.get("is_loss_uncertain", False),
        kept_because=row.get("kept_because", ""),
        creation_effect=row.get("creation_effect", ""),
        not_recreatable=row.get("not_recreatable", ""),
        recovery=row.get("recovery", ""),
        deleted_with=tuple(row.get("deleted_with", ())),
        kinds=frozenset(row.get("is", "").split()),
        replaces=tuple(row.get("replaces", "").split()),
        secret=tuple(row.get("secret", "").split()),
        attributes=frozenset(row.get("attributes", "").split()),
        blocks=frozenset(row.get("blocks", "").split()),
        inside=frozenset(row.get("inside", "").split()),
        defaults=row.get("defaults", {}),
    )


def list_unknown_arguments(type_: str, paths: Iterable[str]) -> set[str]:
    """Return the arguments that the table does not have for a type; empty for types that it does not have.

    `paths` are dotted, without indexes. Keys of maps and JSON documents can be any.
    """
    found = look_up_type(type_)
    if not found or not found.attributes:
        return set()
    return {unknown for path in paths if (unknown := _find_unknown_part(found, path.split(".")))}


def _find_unknown_part(known: TypeFacts, steps: list[str]) -> str:
    """Return a path up to the first unknown step; empty if all steps are known."""
    if steps[0] not in known.attributes | COMMON_ARGUMENTS:
        return steps[0]
    if steps[0] not in known.blocks:
        return ""
    for index, step in enumerate(steps[1:], 2):
        if f"{step}+" in known.inside:
            continue
        return "" if step in known.inside or f"{step}*" in known.inside else ".".join(steps[:index])
    return ""


def is_local(type_: str) -> bool:
    """Return whether a type's resources exist only on the host that runs Terraform."""
    return any(fnmatchcase(type_, pattern) for pattern in LOCAL)


def is_known(type_: str) -> bool:
    """Return whether a type is known."""
    return look_up_type(type_) is not None


def is_kind(type_: str, kind: str) -> bool:
    """Return whether a type is of a kind: serves, network, code, costs or grants."""
    found = look_up_type(type_)
    return found is not None and kind in found.kinds
