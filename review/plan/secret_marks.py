"""Collect every secret of a plan's document, before any of its values is read."""

from collections.abc import Mapping
from typing import Any

from review.plan.raw_json import as_mapping, list_mappings
from review.secrets.forms import find_secrets_by_form
from review.secrets.masking import Secrets, find_marked_values, find_named_secrets


def collect_plan_secrets(document: Mapping[str, Any]) -> Secrets:
    """Collect each secret of the document, wherever it is marked: changes, states, outputs, variables."""
    secrets = Secrets()
    secrets.add(list(find_secrets_by_form(document)))
    secrets.add(
        list(
            find_named_secrets(
                as_mapping(document.get("variables"))
                | {
                    name: as_mapping(each).get("value")
                    for name, each in as_mapping(document.get("variables")).items()
                }
            )
        )
    )
    changes = [
        each for part in ("resource_changes", "resource_drift") for each in list_mappings(document.get(part))
    ]
    changes += [
        as_mapping(each.get("resource_change")) for each in list_mappings(document.get("deferred_changes"))
    ]
    marked_changes = [as_mapping(each.get("change")) for each in changes]
    marked_changes += [as_mapping(each) for each in as_mapping(document.get("output_changes")).values()]
    for change in marked_changes:
        marks = (change.get("before_sensitive"), change.get("after_sensitive"))
        for side in ("before", "after"):
            for mark in marks:
                for value in find_marked_values(change.get(side), mark):
                    secrets.add(value)
            secrets.add(list(find_named_secrets(change.get(side))))
    invocations = [
        *list_mappings(document.get("action_invocations")),
        *(
            as_mapping(each.get("action_invocation"))
            for each in list_mappings(document.get("deferred_action_invocations"))
        ),
    ]
    for each in invocations:
        secrets.add(list(find_marked_values(each.get("config_values"), each.get("config_sensitive"))))
        secrets.add(list(find_named_secrets(each.get("config_values"))))
    prior = as_mapping(as_mapping(document.get("prior_state")).get("values"))
    for state in (
        as_mapping(document.get("planned_values")),
        as_mapping(document.get("proposed_unknown")),
        prior,
    ):
        _collect_state_secrets(state, secrets)
    _collect_configuration_secrets(document, secrets)
    return secrets


def _collect_state_secrets(state: Mapping[str, Any], secrets: Secrets) -> None:
    for output in as_mapping(state.get("outputs")).values():
        if as_mapping(output).get("sensitive") is True:
            secrets.add(as_mapping(output).get("value"))
    modules = [as_mapping(state.get("root_module"))]
    while modules:
        module = modules.pop()
        modules += list_mappings(module.get("child_modules"))
        for resource in list_mappings(module.get("resources")):
            for value in find_marked_values(resource.get("values"), resource.get("sensitive_values")):
                secrets.add(value)


def _collect_configuration_secrets(document: Mapping[str, Any], secrets: Secrets) -> None:
    """Collect the values of sensitive variables, which the JSON holds in plain text, and the providers' own."""
    configuration = as_mapping(document.get("configuration"))
    given = as_mapping(document.get("variables"))
    modules = [
        (
            as_mapping(configuration.get("root_module")),
            {name: as_mapping(each).get("value") for name, each in given.items()},
        )
    ]
    while modules:
        module, values = modules.pop()
        for name, variable in as_mapping(module.get("variables")).items():
            if as_mapping(variable).get("sensitive") is True:
                secrets.add([values.get(name), as_mapping(variable).get("default")])
        for call in as_mapping(module.get("module_calls")).values():
            expressions = as_mapping(as_mapping(call).get("expressions"))
            constants = {name: as_mapping(each).get("constant_value") for name, each in expressions.items()}
            modules.append((as_mapping(as_mapping(call).get("module")), constants))
    for provider in as_mapping(configuration.get("provider_config")).values():
        for name, expression in as_mapping(as_mapping(provider).get("expressions")).items():
            secrets.add(list(find_named_secrets(as_mapping(expression).get("constant_value"), name)))
