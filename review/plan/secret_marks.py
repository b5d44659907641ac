"""Collecting each secret of a plan's document before any value of it is read."""

from collections.abc import Mapping
from typing import Any

from review.plan.raw_json import mapping, mappings
from review.secrets.forms import secrets_by_form
from review.secrets.masking import Secrets, marked, named


def secrets_of_plan(document: Mapping[str, Any]) -> Secrets:
    """Collect each secret of the document, wherever it is marked: changes, states, outputs, variables."""
    secrets = Secrets()
    secrets.add(list(secrets_by_form(document)))
    secrets.add(
        list(
            named(
                mapping(document.get("variables"))
                | {
                    name: mapping(each).get("value")
                    for name, each in mapping(document.get("variables")).items()
                }
            )
        )
    )
    changes = [
        each for part in ("resource_changes", "resource_drift") for each in mappings(document.get(part))
    ]
    changes += [mapping(each.get("resource_change")) for each in mappings(document.get("deferred_changes"))]
    marked_changes = [mapping(each.get("change")) for each in changes]
    marked_changes += [mapping(each) for each in mapping(document.get("output_changes")).values()]
    for change in marked_changes:
        marks = (change.get("before_sensitive"), change.get("after_sensitive"))
        for side in ("before", "after"):
            for mark in marks:
                for value in marked(change.get(side), mark):
                    secrets.add(value)
            secrets.add(list(named(change.get(side))))
    invocations = [
        *mappings(document.get("action_invocations")),
        *(
            mapping(each.get("action_invocation"))
            for each in mappings(document.get("deferred_action_invocations"))
        ),
    ]
    for each in invocations:
        secrets.add(list(marked(each.get("config_values"), each.get("config_sensitive"))))
        secrets.add(list(named(each.get("config_values"))))
    prior = mapping(mapping(document.get("prior_state")).get("values"))
    for state in (mapping(document.get("planned_values")), mapping(document.get("proposed_unknown")), prior):
        _of_state(state, secrets)
    _of_configuration(document, secrets)
    return secrets


def _of_state(state: Mapping[str, Any], secrets: Secrets) -> None:
    for output in mapping(state.get("outputs")).values():
        if mapping(output).get("sensitive") is True:
            secrets.add(mapping(output).get("value"))
    modules = [mapping(state.get("root_module"))]
    while modules:
        module = modules.pop()
        modules += mappings(module.get("child_modules"))
        for resource in mappings(module.get("resources")):
            for value in marked(resource.get("values"), resource.get("sensitive_values")):
                secrets.add(value)


def _of_configuration(document: Mapping[str, Any], secrets: Secrets) -> None:
    """Collect the values of sensitive variables, which the JSON holds in plain text, and the providers' own."""
    configuration = mapping(document.get("configuration"))
    given = mapping(document.get("variables"))
    modules = [
        (
            mapping(configuration.get("root_module")),
            {name: mapping(each).get("value") for name, each in given.items()},
        )
    ]
    while modules:
        module, values = modules.pop()
        for name, variable in mapping(module.get("variables")).items():
            if mapping(variable).get("sensitive") is True:
                secrets.add([values.get(name), mapping(variable).get("default")])
        for call in mapping(module.get("module_calls")).values():
            expressions = mapping(mapping(call).get("expressions"))
            constants = {name: mapping(each).get("constant_value") for name, each in expressions.items()}
            modules.append((mapping(mapping(call).get("module")), constants))
    for provider in mapping(configuration.get("provider_config")).values():
        for name, expression in mapping(mapping(provider).get("expressions")).items():
            secrets.add(list(named(mapping(expression).get("constant_value"), name)))
