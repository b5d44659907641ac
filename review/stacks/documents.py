"""Read a synthesized stack as a JSON document: sections, resources and references."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from review.errors import PlanError
from review.plan.raw_json import read_json
from review.stacks.expansion import REFERENCE

# Blocks of Terraform's configuration; a stack has at least one of them.
SECTIONS = frozenset(
    {"action", "check", "data", "ephemeral", "import", "locals", "module", "moved", "output"}
    | {"provider", "removed", "resource", "terraform", "variable"}
)


def read_stack(content: bytes, what: str) -> dict[str, Any]:
    """Return a synthesized stack; `what` is its name in messages. Raises PlanError if it is not one."""
    document = read_json(content, what)
    if not document.keys() & SECTIONS or not all(
        isinstance(document[part], dict | list) for part in document.keys() & SECTIONS
    ):
        raise PlanError(
            f"{what} is not a Terraform configuration in JSON; give one such as cdktf.out/stacks/NAME/cdk.tf.json"
        )
    return document


def list_resources(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield address, type, name and arguments of every resource. Raises PlanError."""
    for type_, resources in get_section(document, "resource").items():
        for name, values in (resources if isinstance(resources, dict) else {}).items():
            arguments = values[0] if isinstance(values, list) and len(values) == 1 else values
            if not isinstance(arguments, dict):
                raise PlanError(
                    f"a resource of the stack has {_describe_kind(arguments)} instead of arguments: synthesize it again"
                )
            yield f"{type_}.{name}", type_, name, arguments


def get_section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of the document, such as `variable`; an empty one where it is absent or damaged."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _describe_kind(value: Any) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number")


def references_by_address(document: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return by address and argument which resources the argument refers to."""
    found = {}
    for address, _, _, arguments in list_resources(document):
        refers = {
            key: tuple(
                dict.fromkeys(f"{each[1]}.{each[2]}" for each in REFERENCE.finditer(json.dumps(value)))
            )
            for key, value in arguments.items()
            if key != "//"
        }
        depends = arguments.get("depends_on")
        refers["depends_on"] = (
            tuple(each for each in depends if isinstance(each, str)) if isinstance(depends, list) else ()
        )
        found[address] = {key: each for key, each in refers.items() if each}
    return found


def references_of_removed(documents: list[dict[str, Any]]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the references of resources that only the first document has."""
    before, after = (references_by_address(document) for document in documents)
    return {address: refers for address, refers in before.items() if address not in after}
