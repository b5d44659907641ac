"""Report the action on a resource of any type: created, updated, replaced, deleted, moved, imported, forgotten."""

from collections.abc import Iterator

from review.data.destruction import describe_reason, destruction_finding, find_protection
from review.data.retained import IMPORT, find_what_stays, keeps_its_disks
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.google_cloud.resource_types import UNKNOWN_SIZE, look_up_type
from review.plan.context import Context
from review.plan.differences import format_difference, list_computed_arguments, list_differences
from review.plan.model import Change
from review.plan.values import get_text, get_value, is_known

MOST_ARGUMENTS = 4
IDENTIFIERS = ("id", "name", "self_link")  # arguments by which other resources name it
OWN_ARGUMENTS = (
    "id",
    "name",
    "self_link",
    "project",
    "location",
    "region",
    "zone",
)  # arguments that do not name another resource
BY_REMOVED = "with a removed block: reverting the import would delete it"
DEFERRED = {
    "instance_count_unknown": "its count or for_each is not known yet",
    "resource_config_unknown": "its arguments are not known yet",
    "provider_config_unknown": "its provider's settings are not known yet",
    "provider_unknown": "its provider's settings are not known yet",
    "absent_prereq": "a prerequisite does not exist yet",
    "deferred_prereq": "a prerequisite is deferred",
}


def action_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what happens to a resource that no renderer has a finding about."""
    where, because = context.where(change), describe_reason(change)
    if change.action == "create":
        yield Finding(Kind.SERVICE, Severity.NOTE, where, "is created", address=change.address, new=True)
    elif change.action == "update":
        yield _update_finding(change, where)
    elif change.action == "replace" and not change.destroys:
        sentence = "is created anew; the existing one stays in Google Cloud and may conflict with it"
        yield Finding(Kind.SERVICE, Severity.CHANGE, where, sentence, NO, address=change.address)
    elif change.action in ("replace", "delete"):
        yield from _destruction_findings(change, context, because)
    elif change.action not in ("no-op", "read", "forget"):
        sentence = f"unknown action in the plan: {span(' '.join(change.actions))}"
        yield Finding(
            Kind.SERVICE, Severity.CARE, where, sentence, recovery="not known", address=change.address
        )


def _update_finding(change: Change, where: str) -> Finding:
    found = list_differences(change)
    later = list_computed_arguments(change)
    if found:
        shown = "; ".join(format_difference(each) for each in found[:MOST_ARGUMENTS])
        more = (
            f"; and {plural(len(found) - MOST_ARGUMENTS, 'more argument')}"
            if len(found) > MOST_ARGUMENTS
            else ""
        )
        sentence = f"is updated in place: {shown}{more}"
    else:
        sentence = (
            f"is updated in place; known after apply: {spans(later)}"
            if later
            else "is updated in place, in values that only the provider computes"
        )
    severity = Severity.CHANGE
    if not change.is_action_certain:
        sentence = f"{sentence}; it may be replaced instead: the review does not know which changes replace this type"
        severity = Severity.POSSIBLE_LOSS
    return Finding(Kind.SERVICE, severity, where, sentence, address=change.address)


def _destruction_findings(change: Change, context: Context, because: str) -> Iterator[Finding]:
    verb = "is replaced" if change.action == "replace" else "is deleted"
    order = ""
    if change.action == "replace":
        order = (
            " (the new one is created first)" if change.created_first else " (the old one is deleted first)"
        )
    sentence = f"{verb}{order}{f': {because}' if because else ''}"
    if change.action == "delete" and (kept := find_what_stays(change)):
        severity, words, recovery = kept
        sentence = f"{words}{f'; {because}' if because else ''}"
        yield Finding(
            Kind.SERVICE, severity, context.where(change), sentence, recovery, 25, address=change.address
        )
        return
    if keeps_its_disks(change):
        words = f"{verb}{order}; its disks and their data stay"
        yield Finding(
            Kind.SERVICE, Severity.INTERRUPTED, context.where(change), words, YES, 25, address=change.address
        )
        return
    known = look_up_type(change.type)
    again = ""
    if known and known.not_recreatable:
        again = f"; it cannot be created again as it was: {known.not_recreatable}"
    if known and known.kept_because:
        stays = f"{sentence}; {known.kept_because}, so the old one stays and may conflict with the new one"
        yield Finding(
            Kind.SERVICE, Severity.CARE, context.where(change), stays, NO, 25, address=change.address
        )
        return
    if known and not known.data:
        serves = "serves" in known.kinds
        severity = Severity.INTERRUPTED if serves and not change.created_first else Severity.CHANGE
        yield Finding(
            Kind.SERVICE,
            max(severity, Severity.CARE) if again else severity,
            context.where(change),
            f"{sentence}{again}",
            recovery=known.recovery or (NO if again else YES),
            address=change.address,
        )
        return
    yield destruction_finding(
        change,
        context,
        f"{verb}{order}; {known.data if known else 'the review does not know whether it holds data'}{again}",
        size=known.size if known else UNKNOWN_SIZE,
        recovery=(known.recovery or NO) if known else "not known",
        severity=Severity.LOSS if known and not known.is_loss_uncertain else Severity.POSSIBLE_LOSS,
        deleted_with=_list_deleted_with(change, context, known.deleted_with if known else ()),
        unexamined=known is None,
    )


def _list_deleted_with(change: Change, context: Context, types: tuple[str, ...]) -> list[Change]:
    """Return the resources of dependent types that refer to a resource or name it."""
    names = {get_text(change.old, key) for key in IDENTIFIERS} - {""}
    found = []
    for other in context.of_type(*types):
        referred = any(
            each == change.configured_address or each.startswith(f"{change.configured_address}.")
            for argument in context.plan.references.get(other.configured_address, {}).values()
            for each in argument
        )
        named = any(
            isinstance(value, str) and (value in names or value.rpartition("/")[2] in names)
            for key, value in other.present.items()
            if key not in OWN_ARGUMENTS
        )
        if referred or named:
            found.append(other)
    return found


def circumstance_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what applies besides the action: moved, imported, deposed, forgotten, read during the apply."""
    where = context.where(change)

    def note(severity: Severity, sentence: str, recovery: str = YES) -> Finding:
        return Finding(Kind.SERVICE, severity, where, sentence, recovery=recovery, address=change.address)

    if change.previous_address and change.previous_address != change.address:
        still = "; nothing else changes" if change.action == "no-op" else ""
        yield note(
            Severity.NOTE,
            f"its address in the state changes from {span(context.names.of(change.previous_address))}{still}",
        )
    if change.import_id and change.action in ("no-op", "read"):
        yield import_finding(change, context)
    taken = find_protection(change.old)
    if (
        taken
        and change.after is not None
        and not find_protection(change.new)
        and is_known(get_value(change.new, taken))
    ):
        yield note(Severity.CARE, "deletion protection is turned off: later plans can delete it")
    if change.forgets:
        yield note(
            Severity.CARE,
            "is no longer managed by Terraform and is not destroyed",
            f"{IMPORT}: reverting would try to create what exists",
        )
    if change.deposed:
        yield note(
            Severity.NOTE,
            f"the old object of an earlier replacement is deleted (deposed {span(change.deposed)})",
        )
    if change.action == "read" and change.reason:
        yield note(Severity.NOTE, f"is read during the apply: {describe_reason(change)}")


def import_finding(change: Change, context: Context) -> Finding:
    """Return the finding that a resource is imported."""
    still = "; nothing else changes" if change.action == "no-op" else ""
    return Finding(
        Kind.SERVICE,
        Severity.CHANGE,
        context.where(change),
        f"is imported ({span(change.import_id)}){still}",
        BY_REMOVED,
        address=change.address,
    )


def creation_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what the creation of a resource does to existing data."""
    known = look_up_type(change.type)
    if (
        known
        and known.creation_effect
        and change.action in ("create", "replace")
        and change.mode == "managed"
    ):
        yield Finding(
            Kind.DATA,
            Severity.POSSIBLE_LOSS,
            context.where(change),
            known.creation_effect,
            NO,
            UNKNOWN_SIZE,
            address=change.address,
        )


def describe_deferred(change: Change, context: Context) -> str:
    """Return one line about a change that is deferred to a later plan."""
    words = DEFERRED.get(change.deferred_reason) or f"Terraform's reason is {span(change.deferred_reason)}"
    return f"{context.where(change)}: {' and '.join(change.actions)}, {words}"
