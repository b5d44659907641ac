"""Two synthesized stacks (`cdk.tf.json`) as a plan: what an apply of the second would change after the first.

No credentials and no state are needed, so a fork gets a review too. What only the provider knows, which changes replace
a resource, comes from `google_types.json`; a type that is not in it is said to be unknown. Terraform's own JSON
configuration (`*.tf.json`) has the same form.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from review.catalog import TypeFacts, facts, unknown_arguments
from review.configuration import configuration_findings, meta_findings
from review.differences import differences, differing_paths
from review.errors import PlanError
from review.expansion import REFERENCE, Constants, are_known, instances
from review.findings import YES, Finding, Kind, Severity
from review.ignoring import ignored_arguments, is_ignored, without_ignored
from review.naming import noun
from review.plan import Change, Output, Plan
from review.plan_reading import read_json
from review.schema import compare
from review.secret_forms import secrets_by_form
from review.secrets import Secrets, marked, named
from review.text import span, spans
from review.values import Values, blocks, get, leaves, text

META = frozenset(
    {"//", "depends_on", "lifecycle", "provisioner", "connection", "provider", "count", "for_each"}
)
CANNOT_UPDATE = "replace_because_cannot_update"


def _facts(type_: str) -> TypeFacts:
    return facts(type_) or TypeFacts()


def compare_stacks(base: bytes, head: bytes) -> Plan:
    """Return the plan that leads from one synthesized stack to another. Raises PlanError where one is none."""
    documents = [_stack(base, "the base stack"), _stack(head, "the head stack")]
    secrets = Secrets()
    for document in documents:
        _collect(document, secrets)
    before, after = (_resources(document, secrets) for document in documents)
    changes = tuple(_changes(before, after, documents[1]))
    return Plan(
        changes=changes,
        provisioners=_provisioners(documents[1], secrets),
        old_provisioners=_provisioners(documents[0], secrets),
        beside=tuple(_beside(documents, before, after, secrets)),
        outputs=tuple(_outputs(documents[0], documents[1], secrets)),
        compared=True,
        references=_references(documents[1]) | _only_before(documents),
        secrets=secrets,
    )


def _stack(content: bytes, what: str) -> dict[str, Any]:
    document = read_json(content, what)
    if not any(
        isinstance(document.get(part), dict) for part in ("resource", "terraform", "provider", "output")
    ):
        raise PlanError(
            f"{what} is not a Terraform configuration in JSON, such as cdktf.out/stacks/NAME/cdk.tf.json"
        )
    return document


def _declared(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield address, type, name and arguments of every resource."""
    for type_, resources in _section(document, "resource").items():
        for name, values in (resources if isinstance(resources, dict) else {}).items():
            arguments = values[0] if isinstance(values, list) and len(values) == 1 else values
            if not isinstance(arguments, dict):
                raise PlanError(
                    f"a resource of the stack has no arguments but {_kind(arguments)}; is it damaged?"
                )
            yield f"{type_}.{name}", type_, name, arguments


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")


def _resources(document: Mapping[str, Any], secrets: Secrets) -> dict[str, tuple[Change, Mapping[str, Any]]]:
    """Return each resource, or each of its instances, as one that is there, with its meta-arguments, by address."""
    declared = list(_declared(document))
    constants = _constants(document)
    project = text(get(document, "provider.google"), "project")
    found: dict[str, tuple[Change, Mapping[str, Any]]] = {}
    for address, type_, name, written in declared:
        for index, arguments in instances(written, constants):
            values = {
                **(_facts(type_).defaults),
                **{key: constants.resolved(value) for key, value in arguments.items() if key not in META},
            }
            if project and "project" not in values and type_ == "google_service_account":
                values["project"] = project
            marks = _marks(values, list(_facts(type_).secret))
            hidden = secrets.hide(values, marks)
            change = Change(
                f"{address}{index}", type_, ("no-op",), hidden, hidden, name=name, index=index[1:-1]
            )
            found[change.address] = (change, {key: arguments[key] for key in META & arguments.keys()})
    return found


def _constants(document: Mapping[str, Any]) -> Constants:
    return Constants(document, {address: arguments for address, _, _, arguments in _declared(document)})


def _provisioners(document: Mapping[str, Any], secrets: Secrets) -> dict[str, tuple[Values, ...]]:
    found: dict[str, tuple[Values, ...]] = {}
    for address, _, _, arguments in _declared(document):
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


def _beside(
    documents: list[dict[str, Any]],
    before: Mapping[str, tuple[Change, Mapping[str, Any]]],
    after: Mapping[str, tuple[Change, Mapping[str, Any]]],
    secrets: Secrets,
) -> Iterator[Finding]:
    """Yield whatever else the stacks differ in: blocks beside resources, meta-arguments, instances, what is ignored."""
    yield from configuration_findings(documents[0], documents[1], secrets)
    sides = [{address: arguments for address, _, _, arguments in _declared(each)} for each in documents]
    constants = [_constants(each) for each in documents]
    for address in sorted(sides[0].keys() & sides[1].keys()):
        old, new = sides[0][address], sides[1][address]
        where = f"{noun(address.partition('.')[0])} {span(address)}"
        yield from meta_findings(address, where, old, new, secrets)
        counts = [{key: each.get(key) for key in ("count", "for_each") if key in each} for each in (old, new)]
        if counts[0] != counts[1]:
            are_told = are_known(old, constants[0]) and are_known(new, constants[1])
            which = (
                "its instances are listed separately"
                if are_told
                else "which instances are created or deleted is known only to a plan"
            )
            severity, undo = (Severity.NOTE, YES) if are_told else (Severity.POSSIBLE_LOSS, "not known")
            sentence = f"its count or for_each changes: {which}"
            opaque = "" if are_told else address
            yield Finding(Kind.SERVICE, severity, where, sentence, undo, 15, address=address, opaque=opaque)
    for address in sorted(before.keys() & after.keys()):
        change = replace(after[address][0], before=before[address][0].before, actions=("update",))
        ignored = ignored_arguments(after[address][1])
        if ignored and (
            paths := [each.path for each in differences(change) if is_ignored(each.path, ignored)]
        ):
            sentence = f"{spans(paths, 4)} {'differs' if len(paths) == 1 else 'differ'}, but ignore_changes covers this"
            where = f"{noun(change.type)} {span(address)}"
            yield Finding(Kind.SERVICE, Severity.NOTE, where, sentence, address=address)


def _changes(
    before: Mapping[str, tuple[Change, Mapping[str, Any]]],
    after: Mapping[str, tuple[Change, Mapping[str, Any]]],
    document: Mapping[str, Any],
) -> Iterator[Change]:
    moved = {text(each, "to"): text(each, "from") for each in blocks(document, "moved")}
    imported = {
        text(each, "to").removeprefix("${").removesuffix("}"): text(each, "id")
        for each in blocks(document, "import")
    }
    forgotten = {
        text(each, "from") for each in blocks(document, "removed") if get(each, "lifecycle.destroy") is False
    }
    went = set()
    for address in sorted({*before, *after}):
        if address not in after:
            continue
        new, meta = after[address]
        previous = moved.get(address, "")
        old = before.get(address) or before.get(previous)
        if old is None:
            actions = ("no-op",) if address in imported else ("create",)
            yield replace(
                new,
                actions=actions,
                before=None if actions == ("create",) else new.before,
                importing=imported.get(address, ""),
            )
            continue
        if address not in before:
            went.add(previous)
        yield replace(
            _between(old[0], new, meta), previous=previous if address not in before else "", importing=""
        )
    for address in sorted(before.keys() - after.keys() - went):
        action = "forget" if address in forgotten else "delete"
        reason = "" if action == "forget" else "delete_because_no_resource_config"
        yield replace(before[address][0], actions=(action,), after=None, reason=reason)


def _between(old: Change, new: Change, meta: Mapping[str, Any]) -> Change:
    ignored = ignored_arguments(meta)
    after = without_ignored(new.new, old.old, ignored) if ignored else new.after
    change = replace(new, before=old.before, after=after, actions=("update",))
    found = differences(change)
    if not found:
        return replace(change, actions=("no-op",))
    forced = sorted(set(_forced(change)))
    if forced:
        first = get(meta, "lifecycle.create_before_destroy") is True
        return replace(
            change,
            actions=("create", "delete") if first else ("delete", "create"),
            reason=CANNOT_UPDATE,
            replace_paths=tuple(forced),
            prevented=get(meta, "lifecycle.prevent_destroy") is True,
        )
    strange = unknown_arguments(change.type, differing_paths(change))
    return replace(change, certain=facts(change.type) is not None and not strange)


def _forced(change: Change) -> Iterator[str]:
    """Yield each argument whose change replaces the resource."""
    paths = _facts(change.type).replaces
    for difference in differences(change):
        for side in (difference.before, difference.after):
            for leaf, _ in leaves(side, difference.path):
                path = re.sub(r"\[[^\]]*\]", "", leaf)
                if any(each in ("*", path) or path.startswith(f"{each}.") for each in paths) and not _spared(
                    change, path
                ):
                    yield path
    if change.type == "google_bigquery_table":
        yield from _table(change)


def _spared(change: Change, path: str) -> bool:
    """Tell a change that the provider does not replace for, though it does for others of the same argument."""
    old, new = get(change.old, path), get(change.new, path)
    if path == "ip_cidr_range":
        return grows(str(old), str(new))
    return path == "location" and str(old).lower() == str(new).lower()


def _table(change: Change) -> Iterator[str]:
    columns = compare(get(change.old, "schema"), get(change.new, "schema")) or ()
    is_view = any(blocks(change.new, part) for part in ("view", "materialized_view"))
    if not is_view and any(each.replaces for each in columns):
        yield "schema"
    for block in ("time_partitioning", "range_partitioning", "view", "materialized_view"):
        if blocks(change.old, block) and not blocks(change.new, block):
            yield block


def grows(old: str, new: str) -> bool:
    """Tell whether a range of addresses contains another, which a subnetwork grows to in place."""
    try:
        ranges = ipaddress.ip_network(old), ipaddress.ip_network(new)
    except ValueError:
        return False
    return ranges[0].version == ranges[1].version and ranges[0].subnet_of(ranges[1])  # type: ignore[arg-type]


def _outputs(base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets) -> Iterator[Output]:
    sides = [_section(side, "output") for side in (base, head)]
    for name in sorted({*sides[0], *sides[1]}):
        old, new = (side.get(name) for side in sides)
        values = [
            secrets.hide(get(each, "value"), get(each, "sensitive") is True) if each is not None else None
            for each in (old, new)
        ]
        disclosed = get(old, "sensitive") is True and new is not None and get(new, "sensitive") is not True
        if values[0] != values[1] or disclosed:
            action = "create" if old is None else "delete" if new is None else "update"
            yield Output(name, action, values[0], values[1], disclosed)


# --- what refers to what ------------------------------------------------------------------------------


def _references(document: Mapping[str, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    found = {}
    for address, _, _, arguments in _declared(document):
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


def _only_before(documents: list[dict[str, Any]]) -> dict[str, dict[str, tuple[str, ...]]]:
    before, after = (_references(document) for document in documents)
    return {address: refers for address, refers in before.items() if address not in after}


# --- secrets ------------------------------------------------------------------------------------------


def _collect(document: Mapping[str, Any], secrets: Secrets) -> None:
    """Collect what is secret by the provider's schema, a sensitive variable or output, its name or its form."""
    secrets.add(list(secrets_by_form({part: each for part, each in document.items() if part != "//"})))
    for _, type_, _, arguments in _declared(document):
        for value in marked(arguments, _marks(arguments, list(_facts(type_).secret))):
            if not isinstance(value, str) or not REFERENCE.fullmatch(value):
                secrets.add(value)
        secrets.add(list(named(arguments)))
    for variable in _section(document, "variable").values():
        if get(variable, "sensitive") is True:
            secrets.add(get(variable, "default"))
    for output in _section(document, "output").values():
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
