"""What a plan says of its configuration: which arguments refer to what, and provisioners."""

from collections.abc import Mapping
from typing import Any

from review.plan.raw_json import mapping, mappings, string
from review.plan.values import Values
from review.secrets.masking import Secrets


def references(document: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return address in the configuration → argument → what it refers to."""
    configuration = document.get("configuration")
    root = configuration.get("root_module") if isinstance(configuration, dict) else None
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    stack = [("", root)]
    while stack:
        prefix, module = stack.pop()
        if not isinstance(module, dict):
            continue
        for resource in mappings(module.get("resources")):
            address = string(resource, "address")
            arguments = {
                name: tuple(f"{prefix}{each}" for each in _referred(expression))
                for name, expression in (mapping(resource.get("expressions"))).items()
            }
            depends = resource.get("depends_on")
            if isinstance(depends, list):
                arguments["depends_on"] = tuple(
                    f"{prefix}{each}" for each in depends if isinstance(each, str)
                )
            found[f"{prefix}{address}"] = {name: refers for name, refers in arguments.items() if refers}
        for name, call in mapping(module.get("module_calls")).items():
            stack.append((f"{prefix}module.{name}.", mapping(call).get("module")))
    return found


def provisioners(document: Mapping[str, Any], secrets: Secrets) -> dict[str, tuple[Values, ...]]:
    """Return address in the configuration → its provisioners, with secrets hidden."""
    found: dict[str, tuple[Values, ...]] = {}
    stack = [("", mapping(mapping(document.get("configuration")).get("root_module")))]
    while stack:
        prefix, module = stack.pop()
        for resource in mappings(module.get("resources")):
            if provisioners := mappings(resource.get("provisioners")):
                found[f"{prefix}{string(resource, 'address')}"] = tuple(
                    _provisioner(each, secrets) for each in provisioners
                )
        for name, call in mapping(module.get("module_calls")).items():
            stack.append((f"{prefix}module.{name}.", mapping(mapping(call).get("module"))))
    return found


def _provisioner(raw: Mapping[str, Any], secrets: Secrets) -> Values:
    arguments = {
        name: mapping(value).get("constant_value", f"(from {', '.join(_referred(value)) or 'an expression'})")
        for name, value in mapping(raw.get("expressions")).items()
    }
    hidden = secrets.hide(arguments)
    return {
        "type": string(raw, "type"),
        "when": string(raw, "when"),
        "command": hidden.get("command"),
        "arguments": hidden,
    }


def _referred(expression: Any) -> list[str]:
    if isinstance(expression, dict):
        references = expression.get("references")
        if isinstance(references, list):
            return [each for each in references if isinstance(each, str)]
        return [each for inside in expression.values() for each in _referred(inside)]
    return (
        [each for inside in expression for each in _referred(inside)] if isinstance(expression, list) else []
    )
