"""What is known of each resource type: one table for plans and for stacks, `google_types.json`.

A type that is not in it, of a newer provider or of another one, is not known: nothing good is said about it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("google_types.json")
ALWAYS = frozenset({"id", "timeouts"})  # of every type
UNKNOWN_SIZE = 30  # of a loss that is not known, beside others
# Providers whose resources keep nothing in a cloud, give nobody access and cost nothing.
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
    """What is known of one type; `data` is empty where it keeps nothing but its arguments.

    `perhaps` says that whether data is lost depends on more than the type. `kept` is why deleting one leaves it in
    Google Cloud, `makes` what making one does to data that is there, `again` why the same cannot be made again.
    """

    data: str = ""
    size: int = 0
    is_loss_uncertain: bool = False
    kept: str = ""
    creation_effect: str = ""
    again: str = ""
    deleted_with: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()  # serves, network, code, costs, grants
    replaces: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()  # attributes with arguments inside
    inside: frozenset[str] = frozenset()  # names of those, at any depth; blocks end with +, maps with *
    defaults: Mapping[str, Any] = field(default_factory=dict)


@cache
def read_types() -> Mapping[str, Mapping[str, Any]]:
    """Return the table as it is written, by type."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(TABLE.read_text("utf-8"))["types"]
    return found


@cache
def look_up_type(type_: str) -> TypeFacts | None:
    """Return what is known of a type; None where nothing is."""
    row = read_types().get(type_)
    if row is None:
        return TypeFacts() if is_local(type_) else None
    return TypeFacts(
        data=row.get("data", ""),
        size=row.get("size", 0),
        is_loss_uncertain=row.get("perhaps", False),
        kept=row.get("kept", ""),
        creation_effect=row.get("makes", ""),
        again=row.get("again", ""),
        deleted_with=tuple(row.get("along", ())),
        kinds=frozenset(row.get("is", "").split()),
        replaces=tuple(row.get("replaces", "").split()),
        secret=tuple(row.get("secret", "").split()),
        attributes=frozenset(row.get("attributes", "").split()),
        blocks=frozenset(row.get("blocks", "").split()),
        inside=frozenset(row.get("inside", "").split()),
        defaults=row.get("defaults", {}),
    )


def list_unknown_arguments(type_: str, paths: Iterable[str]) -> set[str]:
    """Return those arguments that the table does not have for a type that it has; empty for other types.

    `paths` are dotted, without indexes. What lies in a map or in a document is anybody's.
    """
    found = look_up_type(type_)
    if not found or not found.attributes:
        return set()
    return {strange for path in paths if (strange := _find_unknown_part(found, path.split(".")))}


def _find_unknown_part(known: TypeFacts, steps: list[str]) -> str:
    """Return a path up to the step that a type does not have; empty where it has all."""
    if steps[0] not in known.attributes | ALWAYS:
        return steps[0]
    if steps[0] not in known.blocks:
        return ""
    for index, step in enumerate(steps[1:], 2):
        if f"{step}+" in known.inside:
            continue
        return "" if step in known.inside or f"{step}*" in known.inside else ".".join(steps[:index])
    return ""


def is_local(type_: str) -> bool:
    """Tell whether a type's provider keeps what it makes on the machine that applies."""
    return any(fnmatchcase(type_, pattern) for pattern in LOCAL)


def is_known(type_: str) -> bool:
    """Tell whether it is known what a resource of this type is."""
    return look_up_type(type_) is not None


def is_kind(type_: str, kind: str) -> bool:
    """Tell whether a type is of a kind: serves, network, code, costs or grants."""
    found = look_up_type(type_)
    return found is not None and kind in found.kinds
