"""What is said of any resource, whatever its type: made, changed, deleted, moved, taken over, let go."""

from collections.abc import Iterator

from review.catalog import UNKNOWN_SIZE, facts
from review.context import Context
from review.destruction import destruction, protection, reason
from review.differences import computed, differences, told
from review.findings import NO, YES, Finding, Kind, Weight
from review.plan import Change
from review.text import plural, span, spans
from review.values import get, known, text, written_of

MOST_ARGUMENTS = 4
IDENTITY = ("id", "name", "self_link")  # what others name a resource by
OWN = (
    "id",
    "name",
    "self_link",
    "project",
    "location",
    "region",
    "zone",
)  # arguments that name no other resource
IMPORT = "by importing it again"
BY_REMOVED = "by a removed block: reverting the import would delete it"
# Arguments whose value decides that a deletion leaves what it is about, or what it loses.
KEPT_BY: tuple[tuple[str, object, Weight, str, str], ...] = (
    ("deletion_policy", "ABANDON", Weight.CARE, "is only forgotten: it stays in Google Cloud", IMPORT),
    (
        "deletion_policy",
        "DISABLE",
        Weight.INTERRUPTED,
        "is only disabled: whoever reads it fails",
        "by enabling it again",
    ),
    ("delete_policy", "ABANDON", Weight.CARE, "is only forgotten: what it made stays", IMPORT),
    ("noop_on_destroy", True, Weight.NOTE, "is only forgotten: the version stays", IMPORT),
    (
        "on_delete",
        "drain",
        Weight.INTERRUPTED,
        "is drained: what is in flight is finished, nothing new is read",
        YES,
    ),
)
SPARED: dict[str, tuple[Weight, str, str]] = {
    "google_compute_attached_disk": (
        Weight.INTERRUPTED,
        "the machine loses the disk, which stays with what is on it",
        YES,
    ),
    "google_sql_user": (
        Weight.INTERRUPTED,
        "is deleted: whoever logs in as this user can no longer do so",
        YES,
    ),
}
DEFERRED = {
    "instance_count_unknown": "how many there will be is not known yet",
    "resource_config_unknown": "its arguments are not known yet",
    "provider_config_unknown": "its provider's settings are not known yet",
    "provider_unknown": "its provider's settings are not known yet",
    "absent_prereq": "what it needs is not there yet",
    "deferred_prereq": "what it needs is deferred itself",
}


def plain(change: Change, context: Context) -> Iterator[Finding]:
    """Say what happens to one resource of a type without a renderer, or of which the renderer said nothing."""
    where, because = context.where(change), reason(change)
    if change.action == "create":
        yield Finding(Kind.SERVICE, Weight.NOTE, where, "is made new", address=change.address, new=True)
    elif change.action == "update":
        yield _updated(change, where)
    elif change.action in ("replace", "delete"):
        yield from _destroyed(change, context, because)
    elif change.action not in ("no-op", "read", "forget"):
        told_ = f"the plan does something that is not known here: {span(' '.join(change.actions))}"
        yield Finding(Kind.SERVICE, Weight.CARE, where, told_, undo="not known", address=change.address)


def _updated(change: Change, where: str) -> Finding:
    found = differences(change)
    later = computed(change)
    if found:
        shown = "; ".join(told(each) for each in found[:MOST_ARGUMENTS])
        more = (
            f"; and {plural(len(found) - MOST_ARGUMENTS, 'more argument')}"
            if len(found) > MOST_ARGUMENTS
            else ""
        )
        sentence = f"is updated in place: {shown}{more}"
    else:
        sentence = (
            f"is updated in place; known after apply: {spans(later)}" if later else "is updated in place"
        )
    weight = Weight.CHANGE
    if not change.certain:
        sentence = f"{sentence}; may be replaced instead: not known here"
        weight = Weight.POSSIBLE_LOSS
    return Finding(Kind.SERVICE, weight, where, sentence, address=change.address)


def _destroyed(change: Change, context: Context, because: str) -> Iterator[Finding]:
    verb = "is replaced" if change.action == "replace" else "is deleted"
    order = ""
    if change.action == "replace":
        order = ", the new one first" if change.created_first else ", the old one first"
    sentence = f"{verb}{order}{f': {because}' if because else ''}"
    if change.action == "delete" and (kept := _is_kept(change)):
        weight, words, undo = kept
        sentence = f"{words}{f'; {because}' if because else ''}"
        yield Finding(Kind.SERVICE, weight, context.where(change), sentence, undo, 25, address=change.address)
        return
    known = facts(change.type)
    again = f"; the same cannot be made again: {known.again}" if known and known.again else ""
    if known and known.kept:
        stays = f"{sentence}; {known.kept}, so the old one stays, and may be in the way of the new one"
        yield Finding(Kind.SERVICE, Weight.CARE, context.where(change), stays, NO, 25, address=change.address)
        return
    if known and not known.data:
        serves = "serves" in known.kinds
        weight = Weight.INTERRUPTED if serves and not change.created_first else Weight.CHANGE
        yield Finding(
            Kind.SERVICE,
            max(weight, Weight.CARE) if again else weight,
            context.where(change),
            f"{sentence}{again}",
            undo=NO if again else YES,
            address=change.address,
        )
        return
    yield destruction(
        change,
        context,
        f"{verb}{order}; {known.data if known else 'whether it holds data is not known here'}{again}",
        size=known.size if known else UNKNOWN_SIZE,
        undo=NO if known else "not known",
        weight=Weight.LOSS if known and not known.perhaps else Weight.POSSIBLE_LOSS,
        along=_along(change, context, known.along if known else ()),
        unexamined=known is None,
    )


def _along(change: Change, context: Context, types: tuple[str, ...]) -> list[Change]:
    """Return what goes along with a resource: of the types that do, what refers to it or names it."""
    names = {text(change.old, key) for key in IDENTITY} - {""}
    found = []
    for other in context.of_type(*types):
        referred = any(
            each == change.configured or each.startswith(f"{change.configured}.")
            for argument in context.plan.references.get(other.configured, {}).values()
            for each in argument
        )
        named = any(
            isinstance(value, str) and (value in names or value.rpartition("/")[2] in names)
            for key, value in other.present.items()
            if key not in OWN
        )
        if referred or named:
            found.append(other)
    return found


def _is_kept(change: Change) -> tuple[Weight, str, str] | None:
    """Return weight, sentence and way back where a deletion leaves what it is about; None where it does not."""
    for argument, value, weight, sentence, undo in KEPT_BY:
        if change.old.get(argument) == value:
            return weight, f"{sentence} ({argument} is {written_of(value)})", undo
    if found := SPARED.get(change.type):
        return found
    known_ = facts(change.type)
    if known_ and known_.kept:
        return Weight.NOTE, f"is only forgotten: {known_.kept}, so it stays in Google Cloud", IMPORT
    return None


def circumstances(change: Change, context: Context) -> Iterator[Finding]:
    """Say what is told beside the action itself: moved, imported, deposed, forgotten, read late."""
    where = context.where(change)

    def note(weight: Weight, sentence: str, undo: str = YES) -> Finding:
        return Finding(Kind.SERVICE, weight, where, sentence, undo=undo, address=change.address)

    if change.previous and change.previous != change.address:
        still = "; nothing else changes" if change.action == "no-op" else ""
        yield note(Weight.NOTE, f"moves here from {span(context.names.of(change.previous))}{still}")
    if change.importing and change.action in ("no-op", "read"):
        yield imported(change, context)
    taken = protection(change.old)
    if taken and change.after is not None and not protection(change.new) and known(get(change.new, taken)):
        yield note(Weight.CARE, "its deletion protection is taken off: from then on a plan can delete it")
    if change.forgets:
        yield note(
            Weight.CARE,
            "is no longer managed: Terraform forgets it, and it stays where it is",
            f"{IMPORT}: reverting would try to make what is there",
        )
    if change.deposed:
        yield note(
            Weight.NOTE, f"is what an earlier replacement left behind (deposed {span(change.deposed)})"
        )
    if change.action == "read" and change.reason:
        yield note(Weight.NOTE, f"is read during the apply: {reason(change)}")


def imported(change: Change, context: Context) -> Finding:
    """Say that a resource is taken over as it is."""
    still = "; nothing changes in it" if change.action == "no-op" else ""
    return Finding(
        Kind.SERVICE,
        Weight.CHANGE,
        context.where(change),
        f"is taken over as it is there (import {span(change.importing)}){still}",
        BY_REMOVED,
        address=change.address,
    )


def making(change: Change, context: Context) -> Iterator[Finding]:
    """Say what making a resource does to data that is there already."""
    known = facts(change.type)
    if known and known.makes and change.action in ("create", "replace") and change.mode == "managed":
        yield Finding(
            Kind.DATA,
            Weight.POSSIBLE_LOSS,
            context.where(change),
            known.makes,
            NO,
            UNKNOWN_SIZE,
            address=change.address,
        )


def deferred(change: Change, context: Context) -> str:
    """Return one line on a change that waits for a later plan."""
    words = DEFERRED.get(change.deferred) or f"Terraform's reason is {span(change.deferred)}"
    return f"{context.where(change)}: {' and '.join(change.actions)}, {words}"
