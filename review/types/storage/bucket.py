"""Cloud Storage buckets: what goes with one, which data ages out, who may be let in."""

from collections.abc import Iterator

from review.data.destruction import destruction
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, blocks, first, flag, get, known, number, period, text, texts

TYPES = ("google_storage_bucket",)
TELLS_THE_END = True
DAY = 86_400
CONDITIONS = {
    "days_since_noncurrent_time": "{} days after becoming noncurrent",
    "days_since_custom_time": "{} days after its custom time",
    "num_newer_versions": "with {} newer versions",
    "created_before": "where created before {}",
    "noncurrent_time_before": "where noncurrent before {}",
    "custom_time_before": "where its custom time is before {}",
    "with_state": "in state {}",
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say what happens to the objects of one bucket, and to who may reach them."""
    name = span(text(change.present, "name") or context.names.of(change.address))
    if change.destroys:
        yield _destroyed(change, context, name)
    if change.before is None:
        yield from _open_from_the_start(change, context, name)
        return
    if change.after is not None:
        yield from _ages(change, context, name)
        yield from _safety_nets(change, context, name)
        yield from _exposure(change, context, name)


def _destroyed(change: Change, context: Context, name: str) -> Finding:
    inside = [
        each
        for each in context.of_type("google_storage_bucket_object")
        if each.before is not None and _lies_in(each, change, context)
    ]
    verb = "replaced" if change.action == "replace" else "deleted"
    because = ""
    if verb == "replaced":
        paths = {each.split(".")[0] for each in change.replace_paths}
        changed = [
            key
            for key in ("name", "location", "project")
            if key in paths or (not paths and _differs(change, key))
        ]
        because = (
            f" because its {' and '.join(changed)} {'change' if len(changed) > 1 else 'changes'}"
            if changed
            else ""
        )
    kept = number(change.old, "soft_delete_policy.retention_duration_seconds")
    undo = f"manually, for {period(kept)}: soft delete is on" if kept else NO
    if flag(change.old, "force_destroy"):
        told = f"bucket {name} is {verb}{because}, with all its objects, including those that Terraform does not manage"
        return destruction(change, context, told, size=90, undo=undo, along=inside, noun="object")
    told = f"bucket {name} is {verb}{because}: the apply fails unless it is empty"
    return destruction(change, context, told, size=60, undo=undo, along=inside, noun="object")


def _differs(change: Change, key: str) -> bool:
    old, new = get(change.old, key), get(change.new, key)
    return known(new) and str(old).lower() != str(new).lower()


def _lies_in(other: Change, bucket: Change, context: Context) -> bool:
    name = get(other.old, "bucket")
    if known(name):
        return bool(name == get(bucket.old, "name"))
    return context.refers(other, "bucket") == bucket.configured


# --- which data ages out ------------------------------------------------------------------------------


def rules(values: Values) -> list[tuple[str, float | None, str]]:
    """Return each rule that deletes objects: whose, after how many days, and the rule in words."""
    found = []
    for rule in blocks(values, "lifecycle_rule"):
        if text(rule, "action.type") != "Delete":
            continue
        condition = first(get(rule, "condition"))
        whose = _whose(condition)
        age = number(condition, "age")
        if not age and not flag(condition, "send_age_if_zero"):
            age = None  # the provider's way to say that there is none
        words = [f"{_days(age)} after creation"] if age is not None else []
        for key, told in CONDITIONS.items():
            value = text(condition, key)
            if value and value not in ("0", "ANY"):
                words.append(told.format(span(value)))
        found.append((whose, age if len(words) <= 1 else None, " and ".join(words) or "at once"))
    return found


def _days(days: float) -> str:
    return f"{days:g} day{'' if days == 1 else 's'}"


def _whose(condition: object) -> str:
    parts = [
        f"{word} {' or '.join(span(each) for each in found)}"
        for key, word in (
            ("matches_prefix", "below"),
            ("matches_suffix", "ending in"),
            ("matches_storage_class", "of class"),
        )
        if (found := texts(condition, key))
    ]
    return f"objects {' '.join(parts)}" if parts else "objects"


def _ages(change: Change, context: Context, name: str) -> Iterator[Finding]:
    old, new = rules(change.old), rules(change.new)
    for rule in new:
        if rule in old:
            continue
        whose, age, words = rule
        before = next((each for each in old if each[0] == whose and each[1] is not None), None)
        longer = before is not None and before[1] is not None and age is not None and age >= before[1]
        then = f"before: {before[2]}" if before else "before: such objects were kept"
        ages_out = (
            f"; objects older than {_days(age)} are deleted within a day or two of the apply"
            if age is not None
            else ""
        )
        yield Finding(
            Kind.DATA,
            Severity.CHANGE if longer else Severity.LOSS,
            context.where(change),
            f"{whose} of bucket {name} are deleted {words}; {then}{'' if longer else ages_out}",
            undo=YES if longer else _kept(change),
            size=46,
            address=change.address,
        )
    for whose, _, words in old:
        if not any(each[0] == whose for each in new):
            told = f"{whose} of bucket {name} are no longer deleted ({words}): they are kept and billed"
            yield Finding(Kind.DATA, Severity.CHANGE, context.where(change), told, address=change.address)


def _kept(change: Change) -> str:
    kept = number(change.new, "soft_delete_policy.retention_duration_seconds")
    return f"manually, for {period(kept)}: soft delete is on" if kept else NO


def _safety_nets(change: Change, context: Context, name: str) -> Iterator[Finding]:
    soft = "soft_delete_policy.retention_duration_seconds"
    old, new = number(change.old, soft), number(change.new, soft)
    if old is not None and new is not None and new < old:
        told = f"deleted objects of bucket {name} can be restored for {period(new)} instead of {period(old)}"
        yield _finding(
            change,
            context,
            told
            if new
            else f"deleted objects of bucket {name} can no longer be restored; before: for {period(old)}",
        )
    held = "retention_policy.retention_period"
    old, new = number(change.old, held), number(change.new, held)
    if old and (new or 0) < old:
        now = f"retained for {period(new)} instead of" if new else "no longer retained; before: for"
        told = f"objects of bucket {name} are {now} {period(old)}"
        yield _finding(change, context, told)
    elif new and (old or 0) < new:
        told = f"objects of bucket {name} cannot be deleted for {period(new)} after creation"
        yield Finding(Kind.DATA, Severity.CARE, context.where(change), told, address=change.address)
    if flag(change.new, "retention_policy.is_locked") and not flag(change.old, "retention_policy.is_locked"):
        told = f"the retention of bucket {name} is locked: it can never be shortened or removed"
        yield Finding(
            Kind.DATA, Severity.CARE, context.where(change), told, undo=NO, size=9, address=change.address
        )
    if flag(change.old, "versioning.enabled") and not flag(change.new, "versioning.enabled"):
        yield _finding(
            change, context, f"bucket {name} no longer keeps old versions of replaced and deleted objects"
        )
    if flag(change.new, "force_destroy") and not flag(change.old, "force_destroy"):
        yield _finding(
            change, context, f"from now on, destroying bucket {name} deletes its objects (force_destroy)"
        )


def _finding(change: Change, context: Context, sentence: str) -> Finding:
    return Finding(Kind.DATA, Severity.CARE, context.where(change), sentence, size=5, address=change.address)


# --- who may be let in --------------------------------------------------------------------------------


def _open_from_the_start(change: Change, context: Context, name: str) -> Iterator[Finding]:
    if text(change.new, "public_access_prevention") not in ("enforced", ""):
        told = f"new bucket {name} can be made public: public access prevention is not enforced"
        yield Finding(Kind.ACCESS, Severity.CARE, context.where(change), told, address=change.address)


def _exposure(change: Change, context: Context, name: str) -> Iterator[Finding]:
    prevention = "public_access_prevention"
    if text(change.old, prevention) == "enforced" and text(change.new, prevention) != "enforced":
        yield _widened(
            change,
            context,
            f"bucket {name} can be made public: public access prevention is no longer enforced",
            30,
        )
    elif text(change.new, prevention) == "enforced" != text(change.old, prevention):
        told = f"bucket {name} can no longer be public, whatever is granted"
        yield Finding(Kind.ACCESS, Severity.CHANGE, context.where(change), told, address=change.address)
    if flag(change.old, "uniform_bucket_level_access") and not flag(
        change.new, "uniform_bucket_level_access"
    ):
        told = f"objects of bucket {name} can be shared by access lists (ACLs) in addition to IAM"
        yield _widened(change, context, told, 28)
    if text(change.old, "ip_filter.mode") == "Enabled" != text(change.new, "ip_filter.mode"):
        yield _widened(
            change, context, f"bucket {name} is reachable from every address: its IP filter is turned off", 32
        )


def _widened(change: Change, context: Context, sentence: str, size: int) -> Finding:
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED,
        context.where(change),
        sentence,
        undo="yes, but what was read in the meantime remains",
        size=size,
        address=change.address,
    )
