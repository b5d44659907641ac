"""Cloud Storage buckets: deletion, lifecycle rules, recovery and public access."""

from collections.abc import Iterator

from review.data.destruction import destruction_finding
from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import (
    Values,
    format_duration,
    get_blocks,
    get_flag,
    get_number,
    get_text,
    get_texts,
    get_value,
    is_known,
    unwrap_block,
)

TYPES = ("google_storage_bucket",)
REPORTS_DELETION = True
DAY = 86_400
CONDITIONS = {
    "days_since_noncurrent_time": "{} days after becoming noncurrent",
    "days_since_custom_time": "{} days after its custom time",
    "num_newer_versions": "once there are {} newer versions",
    "created_before": "where created before {}",
    "noncurrent_time_before": "where noncurrent before {}",
    "custom_time_before": "where its custom time is before {}",
    "with_state": "in state {}",
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what happens to the objects of one bucket, and who can be given access."""
    name = span(get_text(change.present, "name") or context.names.of(change.address))
    if change.destroys:
        yield _destruction_finding(change, context, name)
    if change.before is None:
        yield from _new_bucket_findings(change, context, name)
        return
    if change.after is not None:
        yield from _lifecycle_findings(change, context, name)
        yield from _recovery_findings(change, context, name)
        yield from _access_findings(change, context, name)


def _destruction_finding(change: Change, context: Context, name: str) -> Finding:
    inside = [
        each
        for each in context.of_type("google_storage_bucket_object")
        if each.before is not None and _is_in_bucket(each, change, context)
    ]
    verb = "replaced" if change.action == "replace" else "deleted"
    because = ""
    if verb == "replaced":
        paths = {each.split(".")[0] for each in change.replace_paths}
        changed = [
            key
            for key in ("name", "location", "project")
            if key in paths or (not paths and _is_changed(change, key))
        ]
        because = (
            f" because its {' and '.join(changed)} {'change' if len(changed) > 1 else 'changes'}"
            if changed
            else ""
        )
    kept = get_number(change.old, "soft_delete_policy.retention_duration_seconds")
    recovery = f"manually, for {format_duration(kept)}: soft delete is on" if kept else NO
    if get_flag(change.old, "force_destroy"):
        sentence = (
            f"bucket {name} is {verb}{because}, with all its objects, including those that Terraform does "
            "not manage"
        )
        return destruction_finding(
            change, context, sentence, size=90, recovery=recovery, deleted_with=inside, noun="object"
        )
    sentence = f"bucket {name} is {verb}{because}: the apply fails unless it is empty"
    return destruction_finding(
        change, context, sentence, size=60, recovery=recovery, deleted_with=inside, noun="object"
    )


def _is_changed(change: Change, key: str) -> bool:
    old, new = get_value(change.old, key), get_value(change.new, key)
    return is_known(new) and str(old).lower() != str(new).lower()


def _is_in_bucket(other: Change, bucket: Change, context: Context) -> bool:
    name = get_value(other.old, "bucket")
    if is_known(name):
        return bool(name == get_value(bucket.old, "name"))
    return context.referenced_address(other, "bucket") == bucket.configured_address


# --- lifecycle and recovery ---------------------------------------------------------------------------


def list_deletion_rules(values: Values) -> list[tuple[str, float | None, str]]:
    """Return each rule that deletes objects: which objects, after how many days, and the rule in words."""
    found = []
    for rule in get_blocks(values, "lifecycle_rule"):
        if get_text(rule, "action.type") != "Delete":
            continue
        condition = unwrap_block(get_value(rule, "condition"))
        whose = _describe_objects(condition)
        age = get_number(condition, "age")
        if not age and not get_flag(condition, "send_age_if_zero"):
            age = None  # the provider's value for no condition
        words = [f"{_format_days(age)} after creation"] if age is not None else []
        for key, sentence in CONDITIONS.items():
            value = get_text(condition, key)
            if value and value not in ("0", "ANY"):
                words.append(sentence.format(span(value)))
        found.append((whose, age if len(words) <= 1 else None, " and ".join(words) or "at once"))
    return found


def _format_days(days: float) -> str:
    return f"{days:g} day{'' if days == 1 else 's'}"


def _describe_objects(condition: object) -> str:
    parts = [
        f"{word} {' or '.join(span(each) for each in found)}"
        for key, word in (
            ("matches_prefix", "below"),
            ("matches_suffix", "ending in"),
            ("matches_storage_class", "of class"),
        )
        if (found := get_texts(condition, key))
    ]
    return f"objects {' '.join(parts)}" if parts else "objects"


def _lifecycle_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    old, new = list_deletion_rules(change.old), list_deletion_rules(change.new)
    for rule in new:
        if rule in old:
            continue
        whose, age, words = rule
        before = next((each for each in old if each[0] == whose and each[1] is not None), None)
        longer = before is not None and before[1] is not None and age is not None and age >= before[1]
        then = f"before: {before[2]}" if before else "before: such objects were kept"
        ages_out = (
            f"; objects older than {_format_days(age)} are deleted within a day or two of the apply"
            if age is not None
            else ""
        )
        yield Finding(
            Kind.DATA,
            Severity.CHANGE if longer else Severity.LOSS,
            context.where(change),
            f"{whose} of bucket {name} are deleted {words}; {then}{'' if longer else ages_out}",
            recovery=YES if longer else _describe_soft_delete(change),
            size=46,
            address=change.address,
        )
    for whose, _, words in old:
        if not any(each[0] == whose for each in new):
            sentence = f"{whose} of bucket {name} are no longer deleted ({words}): they are kept and billed"
            yield Finding(Kind.DATA, Severity.CHANGE, context.where(change), sentence, address=change.address)


def _describe_soft_delete(change: Change) -> str:
    kept = get_number(change.new, "soft_delete_policy.retention_duration_seconds")
    return f"manually, for {format_duration(kept)}: soft delete is on" if kept else NO


def _recovery_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    soft = "soft_delete_policy.retention_duration_seconds"
    old, new = get_number(change.old, soft), get_number(change.new, soft)
    if old is not None and new is not None and new < old:
        sentence = (
            f"deleted objects of bucket {name} can be restored for {format_duration(new)} instead of "
            f"{format_duration(old)}"
        )
        yield _care_finding(
            change,
            context,
            sentence
            if new
            else f"deleted objects of bucket {name} can no longer be restored; before: for {format_duration(old)}",
        )
    held = "retention_policy.retention_period"
    old, new = get_number(change.old, held), get_number(change.new, held)
    if old and (new or 0) < old:
        now = f"{format_duration(new)} after creation" if new else "at any time"
        sentence = f"objects of bucket {name} can be deleted {now}; before: only {format_duration(old)} after creation"
        yield _care_finding(change, context, sentence)
    elif new and (old or 0) < new:
        sentence = f"objects of bucket {name} cannot be deleted for {format_duration(new)} after creation"
        yield Finding(Kind.DATA, Severity.CARE, context.where(change), sentence, address=change.address)
    if get_flag(change.new, "retention_policy.is_locked") and not get_flag(
        change.old, "retention_policy.is_locked"
    ):
        sentence = f"the retention of bucket {name} is locked: it can never be shortened or removed"
        yield Finding(
            Kind.DATA,
            Severity.CARE,
            context.where(change),
            sentence,
            recovery=NO,
            size=9,
            address=change.address,
        )
    if get_flag(change.old, "versioning.enabled") and not get_flag(change.new, "versioning.enabled"):
        yield _care_finding(
            change, context, f"bucket {name} no longer keeps old versions of replaced and deleted objects"
        )
    if get_flag(change.new, "force_destroy") and not get_flag(change.old, "force_destroy"):
        yield _care_finding(
            change, context, f"from now on, destroying bucket {name} deletes its objects (force_destroy)"
        )


def _care_finding(change: Change, context: Context, sentence: str) -> Finding:
    return Finding(Kind.DATA, Severity.CARE, context.where(change), sentence, size=5, address=change.address)


# --- public access ------------------------------------------------------------------------------------


def _new_bucket_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    if get_text(change.new, "public_access_prevention") not in ("enforced", ""):
        sentence = f"new bucket {name} can be made public: public access prevention is not enforced"
        yield Finding(Kind.ACCESS, Severity.CARE, context.where(change), sentence, address=change.address)


def _access_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    prevention = "public_access_prevention"
    if get_text(change.old, prevention) == "enforced" and get_text(change.new, prevention) != "enforced":
        yield _widening_finding(
            change,
            context,
            f"bucket {name} can be made public: public access prevention is no longer enforced",
            30,
        )
    elif get_text(change.new, prevention) == "enforced" != get_text(change.old, prevention):
        sentence = f"bucket {name} can no longer be public, whatever is granted"
        yield Finding(Kind.ACCESS, Severity.CHANGE, context.where(change), sentence, address=change.address)
    if get_flag(change.old, "uniform_bucket_level_access") and not get_flag(
        change.new, "uniform_bucket_level_access"
    ):
        sentence = f"objects of bucket {name} can be shared by access lists (ACLs) in addition to IAM"
        yield _widening_finding(change, context, sentence, 28)
    if get_text(change.old, "ip_filter.mode") == "Enabled" != get_text(change.new, "ip_filter.mode"):
        yield _widening_finding(
            change, context, f"bucket {name} is reachable from every address: its IP filter is turned off", 32
        )


def _widening_finding(change: Change, context: Context, sentence: str, size: int) -> Finding:
    return Finding(
        Kind.ACCESS,
        Severity.WIDENED,
        context.where(change),
        sentence,
        recovery="yes, but not what was read in the meantime",
        size=size,
        address=change.address,
    )
