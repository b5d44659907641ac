"""Compare two synthesized stacks (`cdk.tf.json`) as a plan: what an apply of the second changes after the first.

No credentials and no state are needed, so a fork gets a review too. What only the provider knows, which changes replace
a resource, comes from `google_types.json`; a type that is not in it is reported as unknown. Terraform's own JSON
configuration (`*.tf.json`) has the same form.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from review.findings.finding import YES, Finding, Kind, Severity
from review.findings.text import span, spans
from review.google_cloud.resource_types import list_unknown_arguments, look_up_type
from review.plan.differences import list_differences, list_differing_paths
from review.plan.model import Change, Output, Plan
from review.plan.naming import type_noun
from review.plan.values import get_blocks, get_text, get_value
from review.secrets.masking import Secrets
from review.stacks.configuration import configuration_findings, meta_argument_findings
from review.stacks.documents import (
    get_section,
    list_resources,
    read_stack,
    references_by_address,
    references_of_removed,
)
from review.stacks.expansion import has_known_instances
from review.stacks.ignore_changes import is_ignored, list_ignored_arguments, restore_ignored
from review.stacks.replacement import replacing_arguments
from review.stacks.resources import (
    collect_constants,
    collect_secrets,
    instances_by_address,
    provisioners_by_address,
)

CANNOT_UPDATE = "replace_because_cannot_update"


def compare_stacks(base: bytes, head: bytes) -> Plan:
    """Return the plan from one synthesized stack to another. Raises PlanError if one is not a stack."""
    documents = [read_stack(base, "the base stack"), read_stack(head, "the head stack")]
    secrets = Secrets()
    for document in documents:
        collect_secrets(document, secrets)
    before, after = (instances_by_address(document, secrets) for document in documents)
    changes = tuple(_list_changes(before, after, documents[1]))
    return Plan(
        changes=changes,
        provisioners=provisioners_by_address(documents[1], secrets),
        old_provisioners=provisioners_by_address(documents[0], secrets),
        other_findings=tuple(_other_findings(documents, before, after, secrets)),
        outputs=tuple(_list_outputs(documents[0], documents[1], secrets)),
        is_comparison=True,
        references=references_by_address(documents[1]) | references_of_removed(documents),
        secrets=secrets,
    )


def _other_findings(
    documents: list[dict[str, Any]],
    before: Mapping[str, tuple[Change, Mapping[str, Any]]],
    after: Mapping[str, tuple[Change, Mapping[str, Any]]],
    secrets: Secrets,
) -> Iterator[Finding]:
    """Yield other differences: blocks other than resources, meta-arguments, instances, ignored changes."""
    yield from configuration_findings(documents[0], documents[1], secrets)
    sides = [{address: arguments for address, _, _, arguments in list_resources(each)} for each in documents]
    constants = [collect_constants(each) for each in documents]
    for address in sorted(sides[0].keys() & sides[1].keys()):
        old, new = sides[0][address], sides[1][address]
        where = f"{type_noun(address.partition('.')[0])} {span(address)}"
        yield from meta_argument_findings(address, where, old, new, secrets)
        counts = [{key: each.get(key) for key in ("count", "for_each") if key in each} for each in (old, new)]
        if counts[0] != counts[1]:
            are_listed = has_known_instances(old, constants[0]) and has_known_instances(new, constants[1])
            which = (
                "its instances are listed separately"
                if are_listed
                else "only a plan can show which instances are created or deleted"
            )
            severity, recovery = (Severity.NOTE, YES) if are_listed else (Severity.POSSIBLE_LOSS, "not known")
            sentence = f"its count or for_each changes: {which}"
            opaque = "" if are_listed else address
            yield Finding(
                Kind.SERVICE, severity, where, sentence, recovery, 15, address=address, opaque=opaque
            )
    for address in sorted(before.keys() & after.keys()):
        change = replace(after[address][0], before=before[address][0].before, actions=("update",))
        ignored = list_ignored_arguments(after[address][1])
        if ignored and (
            paths := [each.path for each in list_differences(change) if is_ignored(each.path, ignored)]
        ):
            sentence = f"{spans(paths, 4)} {'differs' if len(paths) == 1 else 'differ'}, but ignore_changes covers this"
            where = f"{type_noun(change.type)} {span(address)}"
            yield Finding(Kind.SERVICE, Severity.NOTE, where, sentence, address=address)


def _list_changes(
    before: Mapping[str, tuple[Change, Mapping[str, Any]]],
    after: Mapping[str, tuple[Change, Mapping[str, Any]]],
    document: Mapping[str, Any],
) -> Iterator[Change]:
    moved = {get_text(each, "to"): get_text(each, "from") for each in get_blocks(document, "moved")}
    imported = {
        get_text(each, "to").removeprefix("${").removesuffix("}"): get_text(each, "id")
        for each in get_blocks(document, "import")
    }
    forgotten = {
        get_text(each, "from")
        for each in get_blocks(document, "removed")
        if get_value(each, "lifecycle.destroy") is False
    }
    moved_addresses = set()
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
                import_id=imported.get(address, ""),
            )
            continue
        if address not in before:
            moved_addresses.add(previous)
        yield replace(
            _compare_resource(old[0], new, meta),
            previous_address=previous if address not in before else "",
            import_id="",
        )
    for address in sorted(before.keys() - after.keys() - moved_addresses):
        action = "forget" if address in forgotten else "delete"
        reason = "" if action == "forget" else "delete_because_no_resource_config"
        yield replace(before[address][0], actions=(action,), after=None, reason=reason)


def _compare_resource(old: Change, new: Change, meta: Mapping[str, Any]) -> Change:
    ignored = list_ignored_arguments(meta)
    after = restore_ignored(new.new, old.old, ignored) if ignored else new.after
    change = replace(new, before=old.before, after=after, actions=("update",))
    found = list_differences(change)
    if not found:
        return replace(change, actions=("no-op",))
    forced = sorted(set(replacing_arguments(change)))
    if forced:
        first = get_value(meta, "lifecycle.create_before_destroy") is True
        return replace(
            change,
            actions=("create", "delete") if first else ("delete", "create"),
            reason=CANNOT_UPDATE,
            replace_paths=tuple(forced),
            is_destroy_prevented=get_value(meta, "lifecycle.prevent_destroy") is True,
        )
    unknown = list_unknown_arguments(change.type, list_differing_paths(change))
    return replace(change, is_action_certain=look_up_type(change.type) is not None and not unknown)


def _list_outputs(base: Mapping[str, Any], head: Mapping[str, Any], secrets: Secrets) -> Iterator[Output]:
    sides = [get_section(side, "output") for side in (base, head)]
    for name in sorted({*sides[0], *sides[1]}):
        old, new = (side.get(name) for side in sides)
        values = [
            secrets.hide(get_value(each, "value"), get_value(each, "sensitive") is True)
            if each is not None
            else None
            for each in (old, new)
        ]
        disclosed = (
            get_value(old, "sensitive") is True
            and new is not None
            and get_value(new, "sensitive") is not True
        )
        if values[0] != values[1] or disclosed:
            action = "create" if old is None else "delete" if new is None else "update"
            yield Output(name, action, values[0], values[1], disclosed)
