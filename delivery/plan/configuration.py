"""The part of a plan's configuration that affects its apply, for the digest.

A plan's changes contain no provisioner, no connection and no provider setting, which the apply uses all the same.
Constants of sensitive arguments are left out, since the digest is public.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from review.plan.model import strip_indexes
from review.secrets.forms import find_secrets_by_form
from review.secrets.masking import find_named_secrets

SENSITIVE = "(sensitive)"
IDLE = (["no-op"], ["read"])
# Keys of a resource's configuration besides its arguments.
OTHER_KEYS = ("provisioners", "count_expression", "for_each_expression", "depends_on", "provider_config_key")


def extract_configuration(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of each resource that changes, of the providers and of the modules' sources."""
    configuration = _as_mapping(plan.get("configuration"))
    sensitive = _find_sensitive_arguments(plan)
    hidden = {
        *find_secrets_by_form(configuration),
        *(each for part in _iterate_constants(configuration, sensitive) for each in find_named_secrets(part)),
    }
    resources, modules = {}, {}
    for prefix, module in _iterate_modules(configuration):
        for resource in _as_list(module.get("resources")):
            address = f"{prefix}{resource.get('address')}"
            if address not in sensitive:
                continue
            expressions = {
                name: SENSITIVE if name in sensitive[address] else _mask_secrets(value, hidden)
                for name, value in _as_mapping(resource.get("expressions")).items()
            }
            other = {
                key: _mask_secrets(resource[key], hidden)
                for key in OTHER_KEYS
                if resource.get(key) is not None
            }
            resources[address] = {"arguments": expressions, **other}
        for name, call in _as_mapping(module.get("module_calls")).items():
            modules[f"{prefix}module.{name}"] = {
                key: _as_mapping(call).get(key) for key in ("source", "version_constraint")
            }
    return {
        "resources": resources,
        "modules": modules,
        "providers": {
            key: _mask_secrets(_describe_provider(_as_mapping(provider)), hidden)
            for key, provider in _as_mapping(configuration.get("provider_config")).items()
        },
    }


def _describe_provider(provider: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provider's configuration with its source; its registry differs between Terraform and OpenTofu."""
    _, _, source = str(provider.get("full_name", "")).partition("/")
    return {**{name: value for name, value in provider.items() if name != "full_name"}, "source": source}


def _find_sensitive_arguments(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the sensitive arguments of each changed resource, by its address in the configuration."""
    found: dict[str, set[str]] = {}
    for each in plan.get("resource_changes") or []:
        change = each["change"]
        if change["actions"] in IDLE:
            continue
        arguments = found.setdefault(strip_indexes(each["address"]), set())
        for side in ("before_sensitive", "after_sensitive"):
            arguments |= {name for name, mark in _as_mapping(change.get(side)).items() if _has_true(mark)}
    return found


def _iterate_modules(configuration: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    stack = [("", _as_mapping(configuration.get("root_module")))]
    while stack:
        prefix, module = stack.pop()
        yield prefix, module
        stack += [
            (f"{prefix}module.{name}.", _as_mapping(_as_mapping(call).get("module")))
            for name, call in _as_mapping(module.get("module_calls")).items()
        ]


def _iterate_constants(configuration: Mapping[str, Any], sensitive: Mapping[str, set[str]]) -> Iterator[Any]:
    """Yield constants of the configuration by the names of their arguments, and those of sensitive arguments."""
    for prefix, module in _iterate_modules(configuration):
        for resource in _as_list(module.get("resources")):
            marks = sensitive.get(f"{prefix}{resource.get('address')}", set())
            for name, value in _as_mapping(resource.get("expressions")).items():
                constant = _as_mapping(value).get("constant_value")
                yield {"password" if name in marks else name: constant}
        for variable_name, variable in _as_mapping(module.get("variables")).items():
            is_sensitive = _as_mapping(variable).get("sensitive") is True
            yield {"password" if is_sensitive else variable_name: _as_mapping(variable).get("default")}
    for provider in _as_mapping(configuration.get("provider_config")).values():
        for name, value in _as_mapping(_as_mapping(provider).get("expressions")).items():
            yield {name: _as_mapping(value).get("constant_value")}


def _mask_secrets(value: Any, hidden: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _mask_secrets(each, hidden) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask_secrets(each, hidden) for each in value]
    if isinstance(value, str):
        for secret in hidden:
            value = value.replace(secret, SENSITIVE)
    return value


def _has_true(mark: Any) -> bool:
    if isinstance(mark, Mapping):
        return any(map(_has_true, mark.values()))
    return any(map(_has_true, mark)) if isinstance(mark, list) else mark is True


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _as_list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
