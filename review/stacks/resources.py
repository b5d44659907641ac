"""The resources of a synthesized stack as they are before or after an apply, with their secrets hidden."""

from collections.abc import Mapping
from typing import Any

from review.google_cloud.resource_types import TypeFacts, facts
from review.plan.model import Change
from review.plan.values import Values, get, text
from review.secrets.forms import secrets_by_form
from review.secrets.masking import Secrets, marked, named
from review.stacks.documents import list_resources, section
from review.stacks.expansion import REFERENCE, Constants, instances

META_ARGUMENTS = frozenset(
    {"//", "depends_on", "lifecycle", "provisioner", "connection", "provider", "count", "for_each"}
)


def _facts(type_: str) -> TypeFacts:
    return facts(type_) or TypeFacts()


def instances_by_address(
    document: Mapping[str, Any], secrets: Secrets
) -> dict[str, tuple[Change, Mapping[str, Any]]]:
    """Return each resource, or each of its instances, as one that is there, with its meta-arguments, by address."""
    declared = list(list_resources(document))
    constants = collect_constants(document)
    project = text(get(document, "provider.google"), "project")
    found: dict[str, tuple[Change, Mapping[str, Any]]] = {}
    for address, type_, name, written in declared:
        for index, arguments in instances(written, constants):
            values = {
                **(_facts(type_).defaults),
                **{
                    key: constants.resolved(value)
                    for key, value in arguments.items()
                    if key not in META_ARGUMENTS
                },
            }
            if project and "project" not in values and type_ == "google_service_account":
                values["project"] = project
            marks = _marks(values, list(_facts(type_).secret))
            hidden = secrets.hide(values, marks)
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
            _provisioner(type_, block, secrets)
            for each in (listed if isinstance(listed, list) else [listed])
            if isinstance(each, dict)
            for type_, inside in each.items()
            for block in (inside if isinstance(inside, list) else [inside])
            if isinstance(block, dict)
        ]
        if made:
            found[address] = tuple(made)
    return found


def _provisioner(type_: str, block: Mapping[str, Any], secrets: Secrets) -> Values:
    hidden = secrets.hide({key: value for key, value in block.items() if key not in ("//", "when")})
    return {"type": type_, "when": text(block, "when"), "command": hidden.get("command"), "arguments": hidden}


def collect_secrets(document: Mapping[str, Any], secrets: Secrets) -> None:
    """Collect what is secret by the provider's schema, a sensitive variable or output, its name or its form."""
    secrets.add(list(secrets_by_form({part: each for part, each in document.items() if part != "//"})))
    for _, type_, _, arguments in list_resources(document):
        for value in marked(arguments, _marks(arguments, list(_facts(type_).secret))):
            if not isinstance(value, str) or not REFERENCE.fullmatch(value):
                secrets.add(value)
        secrets.add(list(named(arguments)))
    for variable in section(document, "variable").values():
        if get(variable, "sensitive") is True:
            secrets.add(get(variable, "default"))
    for output in section(document, "output").values():
        value = get(output, "value")
        if get(output, "sensitive") is True and not (isinstance(value, str) and "${" in value):
            secrets.add(value)


def _marks(values: Values, paths: list[str]) -> dict[str, Any]:
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
            marks[head] = [_marks(each, [rest]) if isinstance(each, dict) else False for each in inside]
        elif isinstance(inside, dict):
            marks[head] = _merged(marks.get(head), _marks(inside, [rest]))
    return marks


def _merged(one: Any, other: dict[str, Any]) -> dict[str, Any]:
    return {**one, **other} if isinstance(one, dict) else other
