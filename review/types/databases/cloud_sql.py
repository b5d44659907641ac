"""Cloud SQL instances: backups, restarts, who can connect. Deletions are reported by `review.data.actions`."""

from collections.abc import Iterator

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.google_cloud.networks import Addresses
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_blocks, get_flag, get_number, get_text

TYPES = ("google_sql_database_instance",)
RESTARTS = {
    "settings.tier": "tier",
    "database_version": "version of the database",
    "settings.edition": "edition",
}
BACKUP = "settings.backup_configuration"
NETWORKS = "settings.ip_configuration.authorized_networks"


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what a changed instance interrupts, no longer backs up, or opens."""
    if change.after is None or change.destroys:
        return
    yield from _access_findings(change, context)
    if change.before is None:
        return
    for path, words in RESTARTS.items():
        old, new = get_text(change.old, path), get_text(change.new, path)
        if old != new:
            sentence = f"restarts and is unavailable meanwhile: {words} {span(old)} → {span(new)}"
            recovery = NO if path == "database_version" else YES
            yield Finding(
                Kind.SERVICE,
                Severity.INTERRUPTED,
                context.where(change),
                sentence,
                recovery,
                address=change.address,
            )
    for path, words in ((f"{BACKUP}.enabled", "is no longer backed up"), (f"{BACKUP}.point_in_time_recovery_enabled",
                        "can no longer be restored to a point in time, only from a backup")):  # fmt: skip
        if get_flag(change.old, path) and not get_flag(change.new, path):
            yield Finding(
                Kind.DATA, Severity.CARE, context.where(change), words, size=6, address=change.address
            )
    kept = [
        get_number(side, f"{BACKUP}.backup_retention_settings.retained_backups")
        for side in (change.old, change.new)
    ]
    if kept[0] and kept[1] and kept[1] < kept[0]:
        sentence = f"keeps {kept[1]:g} backups instead of {kept[0]:g}: older ones are deleted"
        yield Finding(
            Kind.DATA, Severity.LOSS, context.where(change), sentence, NO, size=31, address=change.address
        )


def _access_findings(change: Change, context: Context) -> Iterator[Finding]:
    path = "settings.ip_configuration.ipv4_enabled"
    if change.before is not None and get_flag(change.new, path) and not get_flag(change.old, path):
        sentence = "gets a public address; its authorized networks and accounts decide who can connect"
        yield Finding(
            Kind.ACCESS, Severity.WIDENED, context.where(change), sentence, size=33, address=change.address
        )
    before, after = (
        Addresses.parse(get_text(each, "value") for each in get_blocks(side, NETWORKS))
        for side in (change.old, change.new)
    )
    if not after.is_within(before):
        sentence = (
            f"{after.description} can connect to it from now "
            f"on{f'; before: {before.description}' if before else ''}"
        )
        size = 72 if after.is_public else 24
        yield Finding(
            Kind.ACCESS, Severity.WIDENED, context.where(change), sentence, size=size, address=change.address
        )
