"""Find what a deletion leaves in Google Cloud: abandoned, drained, disabled, or removed from the state only."""

from review.findings.finding import YES, Severity
from review.google_cloud.resource_types import look_up_type
from review.plan.model import Change
from review.plan.values import format_literal, get_blocks, get_value

IMPORT = "by importing it again"
# Arguments by which a deletion leaves the resource in Google Cloud, or changes what is lost.
KEPT_BY: tuple[tuple[str, object, Severity, str, str], ...] = (
    (
        "deletion_policy",
        "ABANDON",
        Severity.CARE,
        "is abandoned: Terraform stops managing it, and it stays in Google Cloud",
        IMPORT,
    ),
    (
        "deletion_policy",
        "DISABLE",
        Severity.INTERRUPTED,
        "is only disabled: reading it fails",
        "by enabling it again",
    ),
    ("delete_policy", "ABANDON", Severity.CARE, "is abandoned: what it created stays", IMPORT),
    ("noop_on_destroy", True, Severity.NOTE, "is abandoned: the version stays", IMPORT),
    ("instance_type", "SECONDARY", Severity.CARE, "is abandoned: only its cluster deletes it", IMPORT),
    (
        "bucket_id",
        "_Default",
        Severity.NOTE,
        "is removed from the state only: every project has this bucket",
        IMPORT,
    ),
    (
        "bucket_id",
        "_Required",
        Severity.NOTE,
        "is removed from the state only: every project has this bucket",
        IMPORT,
    ),
    (
        "on_delete",
        "drain",
        Severity.INTERRUPTED,
        "is drained: in-flight data is processed, no new data is read",
        YES,
    ),
)
SPARED: dict[str, tuple[Severity, str, str]] = {
    "google_compute_attached_disk": (
        Severity.INTERRUPTED,
        "is deleted: the disk is detached and keeps its data",
        YES,
    ),
    "google_sql_user": (
        Severity.INTERRUPTED,
        "is deleted: logins as this user fail",
        YES,
    ),
}


def find_what_stays(change: Change) -> tuple[Severity, str, str] | None:
    """Return severity, sentence and revert of a deletion that leaves the resource in place; None if it does not."""
    for argument, value, severity, sentence, recovery in KEPT_BY:
        if change.old.get(argument) == value:
            return severity, f"{sentence} ({argument} is {format_literal(value)})", recovery
    if found := SPARED.get(change.type):
        return found
    known_ = look_up_type(change.type)
    if known_ and known_.kept_because:
        return (
            Severity.NOTE,
            f"is removed from the state only: {known_.kept_because}, so it stays in Google Cloud",
            IMPORT,
        )
    return None


def is_left_in_place(change: Change) -> bool:
    """Return whether a deletion leaves the resource as it is, so that nobody gains or loses access by it."""
    found = find_what_stays(change) if change.action == "delete" else None
    return found is not None and found[2] == IMPORT


def keeps_its_disks(change: Change) -> bool:
    """Return whether a VM that is deleted or replaced leaves all its disks; one with local SSDs does not."""
    return (
        change.type in ("google_compute_instance", "google_compute_instance_from_template")
        and get_value(change.old, "boot_disk.auto_delete") is False
        and not get_blocks(change.old, "scratch_disk")
    )
