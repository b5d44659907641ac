"""Read the configuration part of a plan: references of arguments, and provisioners."""

from collections.abc import Mapping
from typing import Any

from review.plan.raw_json import as_mapping, get_string, list_mappings
from review.plan.values import Values
from review.secrets.masking import Secrets


def read_references(document: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the references of each resource: {configuration address: {argument: references}}."""
    configuration = document.get("configuration")
    root = configuration.get("root_module") if isinstance(configuration, dict) else None
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    stack = [("", root)]
    while stack:
        prefix, module = stack.pop()
        if not isinstance(module, dict):
            continue
        for resource in list_mappings(module.get("resources")):
            address = get_string(resource, "address")
            arguments = {
                name: tuple(f"{prefix}{each}" for each in _list_references(expression))
                for name, expression in (as_mapping(resource.get("expressions"))).items()
            }
            depends = resource.get("depends_on")
            if isinstance(depends, list):
                arguments["depends_on"] = tuple(
                    f"{prefix}{each}" for each in depends if isinstance(each, str)
                )
            found[f"{prefix}{address}"] = {name: refers for name, refers in arguments.items() if refers}
        for name, call in as_mapping(module.get("module_calls")).items():
            stack.append((f"{prefix}module.{name}.", as_mapping(call).get("module")))
    return found


def read_provisioners(document: Mapping[str, Any], secrets: Secrets) -> dict[str, tuple[Values, ...]]:
    """Return the provisioners of each resource by its configuration address, with secrets hidden."""
    found: dict[str, tuple[Values, ...]] = {}
    stack = [("", as_mapping(as_mapping(document.get("configuration")).get("root_module")))]
    while stack:
        prefix, module = stack.pop()
        for resource in list_mappings(module.get("resources")):
            if provisioners := list_mappings(resource.get("provisioners")):
                found[f"{prefix}{get_string(resource, 'address')}"] = tuple(
                    _read_provisioner(each, secrets) for each in provisioners
                )
        for name, call in as_mapping(module.get("module_calls")).items():
            stack.append((f"{prefix}module.{name}.", as_mapping(as_mapping(call).get("module"))))
    return found


def _read_provisioner(raw: Mapping[str, Any], secrets: Secrets) -> Values:
    arguments = {
        name: as_mapping(value).get(
            "constant_value", f"(from {', '.join(_list_references(value)) or 'an expression'})"
        )
        for name, value in as_mapping(raw.get("expressions")).items()
    }
    hidden = secrets.hide(arguments)
    return {
        "type": get_string(raw, "type"),
        "when": get_string(raw, "when"),
        "command": hidden.get("command"),
        "arguments": hidden,
    }


def _list_references(expression: Any) -> list[str]:
    if isinstance(expression, dict):
        references = expression.get("references")
        if isinstance(references, list):
            return [each for each in references if isinstance(each, str)]
        return [each for inside in expression.values() for each in _list_references(inside)]
    return (
        [each for inside in expression for each in _list_references(inside)]
        if isinstance(expression, list)
        else []
    )
