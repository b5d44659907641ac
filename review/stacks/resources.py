"""The resources of a synthesized stack as they are before or after an apply, with their secrets hidden."""

from collections.abc import Mapping
from typing import Any

from review.google_cloud.resource_types import TypeFacts, look_up_type
from review.plan.model import Change
from review.plan.values import Values, get_text, get_value
from review.secrets.forms import find_secrets_by_form
from review.secrets.masking import Secrets, find_marked_values, find_named_secrets
from review.secrets.names import list_identities
from review.stacks.documents import get_section, list_resources
from review.stacks.expansion import REFERENCE, Constants, expand_instances

META_ARGUMENTS = frozenset(
    {"//", "depends_on", "lifecycle", "provisioner", "connection", "provider", "count", "for_each"}
)


def _type_facts(type_: str) -> TypeFacts:
    return look_up_type(type_) or TypeFacts()


def instances_by_address(
    document: Mapping[str, Any], secrets: Secrets
) -> dict[str, tuple[Change, Mapping[str, Any]]]:
    """Return each resource or instance as an unchanged one, with its meta-arguments, by address."""
    declared = list(list_resources(document))
    constants = collect_constants(document)
    project = get_text(get_value(document, "provider.google"), "project")
    found: dict[str, tuple[Change, Mapping[str, Any]]] = {}
    for address, type_, name, written in declared:
        for index, arguments in expand_instances(written, constants):
            values = {
                **(_type_facts(type_).defaults),
                **{
                    key: constants.resolved(value)
                    for key, value in arguments.items()
                    if key not in META_ARGUMENTS
                },
            }
            if project and "project" not in values and type_ == "google_service_account":
                values["project"] = project
            marks = _build_marks(values, list(_type_facts(type_).secret))
            hidden = secrets.hide_arguments(values, marks)
            change = Change(
                f"{address}{index}", type_, ("no-op",), hidden, hidden, name=name, index=index[1:-1]
            )
            found[change.address] = (
                change,
                {key: arguments[key] for key in META_ARGUMENTS & arguments.keys()},
            )
    return found


def collect_constants(document: Mapping[str, Any]) -> Constants:
    """Return the variables, locals and constant arguments that expressions of a document refer to."""
    return Constants(document, {address: arguments for address, _, _, arguments in list_resources(document)})


def provisioners_by_address(document: Mapping[str, Any], secrets: Secrets) -> dict[str, tuple[Values, ...]]:
    """Return the provisioners of each resource that has any."""
    found: dict[str, tuple[Values, ...]] = {}
    for address, _, _, arguments in list_resources(document):
        listed = arguments.get("provisioner")
        made = [
            _read_provisioner(type_, block, secrets)
            for each in (listed if isinstance(listed, list) else [listed])
            if isinstance(each, dict)
            for type_, inside in each.items()
            for block in (inside if isinstance(inside, list) else [inside])
            if isinstance(block, dict)
        ]
        if made:
            found[address] = tuple(made)
    return found


def _read_provisioner(type_: str, block: Mapping[str, Any], secrets: Secrets) -> Values:
    hidden = secrets.hide({key: value for key, value in block.items() if key not in ("//", "when")})
    return {
        "type": type_,
        "when": get_text(block, "when"),
        "command": hidden.get("command"),
        "arguments": hidden,
    }


def collect_secrets(document: Mapping[str, Any], secrets: Secrets) -> None:
    """Collect what is secret by the provider's schema, a sensitive variable or output, its name or its form."""
    names = [name for _, _, name, _ in list_resources(document)]
    secrets.add(list(find_secrets_by_form({part: each for part, each in document.items() if part != "//"})))
    for _, type_, _, arguments in list_resources(document):
        for value in find_marked_values(arguments, _build_marks(arguments, list(_type_facts(type_).secret))):
            if not isinstance(value, str) or not REFERENCE.fullmatch(value):
                secrets.add(value)
        secrets.add(list(find_named_secrets(arguments)))
        names += list_identities(arguments)
    for variable in get_section(document, "variable").values():
        if get_value(variable, "sensitive") is True:
            secrets.add(get_value(variable, "default"))
    for output in get_section(document, "output").values():
        value = get_value(output, "value")
        if get_value(output, "sensitive") is True and not (isinstance(value, str) and "${" in value):
            secrets.add(value)
    secrets.allow_names(names)


def _build_marks(values: Values, paths: list[str]) -> dict[str, Any]:
    """Return marks of sensitivity, of the values' own shape, for dotted paths."""
    marks: dict[str, Any] = {}
    for path in paths:
        head, _, rest = path.partition(".")
        if head not in values:
            continue
        inside = values[head]
        if not rest:
            marks[head] = True
        elif isinstance(inside, list):
            marks[head] = [_build_marks(each, [rest]) if isinstance(each, dict) else False for each in inside]
        elif isinstance(inside, dict):
            marks[head] = _merge_marks(marks.get(head), _build_marks(inside, [rest]))
    return marks


def _merge_marks(mark: Any, other: dict[str, Any]) -> dict[str, Any]:
    return {**mark, **other} if isinstance(mark, dict) else other
