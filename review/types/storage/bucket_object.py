"""Objects that Terraform uploads: artifacts, and the code inside them."""

from collections.abc import Iterator

from review.code.archive_comparison import compare_archives
from review.code.artifact_users import find_users
from review.data.destruction import destruction_finding
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text

TYPES = ("google_storage_bucket_object",)
REPORTS_DELETION = True


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what is uploaded, what is lost, and which lines of code differ."""
    name = span(get_text(change.present, "name") or context.names.of(change.address))
    bucket = span(get_text(change.present, "bucket") or "(unknown)")
    if change.action == "delete":
        if not change.deposed:
            sentence = f"object {name} of bucket {bucket} is deleted"
            recovery = (
                "by applying the configuration that declared it"
                if get_text(change.old, "source")
                else "not known"
            )
            yield destruction_finding(change, context, sentence, size=30, recovery=recovery)
        return
    if change.action == "replace" and _deletes_new_object(change):
        sentence = (
            f"object {name} of bucket {bucket} is uploaded and then deleted: it is replaced under the same name, the "
            "new one first, so the deletion removes the new one; change the name when the content changes"
        )
        yield destruction_finding(
            change, context, sentence, size=52, recovery="by applying again, which uploads it again"
        )
    if change.action in ("replace", "update"):
        yield _code_finding(change, context)
    if change.action == "create":
        yield from _first_deployment_findings(change, context)


def _deletes_new_object(change: Change) -> bool:
    same = all(get_text(change.old, key) == get_text(change.new, key) for key in ("name", "bucket"))
    return same and change.created_first and get_text(change.old, "deletion_policy") != "ABANDON"


def _code_finding(change: Change, context: Context) -> Finding:
    """Return the difference between the old and the new content of an object."""
    old, new = get_text(change.old, "source"), get_text(change.new, "source")
    before = context.lookup(old, "before") if old else None
    if (
        before is not None
        and before.digest
        and (md5 := get_text(change.old, "md5hash"))
        and before.digest != md5
    ):
        before = None  # a file of this name exists, but not with the deployed content
    after = context.lookup(new, "after") if new else None
    code_change = compare_archives(before, after, context.plan.secrets.mask)
    runs = find_users(change, context)
    where = context.where(runs[0]) if len(runs) == 1 else context.where(change)
    live = (
        f"new code goes live in {', '.join(context.where(each) for each in runs[:4])}"
        if len(runs) > 1
        else ""
    )
    live = live or ("new code goes live" if runs else "new content is uploaded")
    return Finding(
        Kind.CODE,
        Severity.CODE,
        where,
        f"{live}: {code_change.summary}",
        size=10 if runs else 1,
        details=code_change.details(where),
        address=change.address,
    )


def _first_deployment_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which code runs for the first time, if a workload uses it."""
    after = (
        context.lookup(get_text(change.new, "source"), "after") if get_text(change.new, "source") else None
    )
    runs = find_users(change, context)
    if runs:
        files = f": {plural(len(after.files), 'file')}" if after is not None and not after.problem else ""
        where = ", ".join(context.where(each) for each in runs[:4])
        sentence = f"new code goes live for the first time, from {context.where(change)}{files}"
        yield Finding(Kind.CODE, Severity.CODE, where, sentence, size=9, address=change.address)
