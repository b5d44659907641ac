"""Objects that Terraform uploads: artifacts, and the code inside them."""

from collections.abc import Iterator

from review.code.archive_comparison import compare_archives
from review.code.artifact_users import users
from review.data.destruction import destruction
from review.findings.finding import Finding, Kind, Severity
from review.findings.text import plural, span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import text

TYPES = ("google_storage_bucket_object",)
TELLS_THE_END = True


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Say what is uploaded, what is lost, and which lines of code differ."""
    name = span(text(change.present, "name") or context.names.of(change.address))
    bucket = span(text(change.present, "bucket") or "(unknown)")
    if change.action == "delete":
        if not change.deposed:
            told = f"object {name} of bucket {bucket} is deleted"
            undo = (
                "by applying the configuration that declared it"
                if text(change.old, "source")
                else "not known"
            )
            yield destruction(change, context, told, size=30, undo=undo)
        return
    if change.action == "replace" and _deletes_itself(change):
        told = (
            f"object {name} of bucket {bucket} is uploaded and then deleted: it is replaced under the same name, the "
            "new one first, so the deletion removes the new one; change the name when the content changes"
        )
        yield destruction(change, context, told, size=52, undo="by applying again, which uploads it again")
    if change.action in ("replace", "update"):
        yield _code(change, context)
    if change.action == "create":
        yield from _first(change, context)


def _deletes_itself(change: Change) -> bool:
    same = all(text(change.old, key) == text(change.new, key) for key in ("name", "bucket"))
    return same and change.created_first and text(change.old, "deletion_policy") != "ABANDON"


def _code(change: Change, context: Context) -> Finding:
    """Compare what the object held with what it will hold."""
    old, new = text(change.old, "source"), text(change.new, "source")
    before = context.lookup(old, "before") if old else None
    if before is not None and before.digest and (md5 := text(change.old, "md5hash")) and before.digest != md5:
        before = None  # a file of this name is there, but not the one that is deployed
    after = context.lookup(new, "after") if new else None
    told = compare_archives(before, after, context.plan.secrets.mask)
    runs = users(change, context)
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
        f"{live}: {told.told}",
        size=10 if runs else 1,
        details=told.details(where),
        address=change.address,
    )


def _first(change: Change, context: Context) -> Iterator[Finding]:
    """Say which code begins to run, where something runs it."""
    after = context.lookup(text(change.new, "source"), "after") if text(change.new, "source") else None
    runs = users(change, context)
    if runs:
        files = f": {plural(len(after.files), 'file')}" if after is not None and not after.problem else ""
        where = ", ".join(context.where(each) for each in runs[:4])
        told = f"new code goes live for the first time, from {context.where(change)}{files}"
        yield Finding(Kind.CODE, Severity.CODE, where, told, size=9, address=change.address)
