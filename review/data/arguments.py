"""Rules for arguments whose change in place loses data, or the means to restore it."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import format_literal, get_blocks, get_number, get_text, is_known, parse_duration
from review.plan.values import get_value as value_at

SECRETS = "google_secret_manager_*secret"
VERSIONS = "google_secret_manager_*secret_version"
BY_ENABLING = "by enabling it again"


@dataclass(frozen=True)
class Rule:
    """What the change of an argument means.

    `when`: =VALUE it gets that value, shorter or smaller it decreases, set it gets any value, true it becomes true,
    off it is no longer true, fewer it has fewer blocks.
    """

    type: str
    path: str
    when: str
    severity: Severity
    sentence: str  # {old} and {new} are the values
    recovery: str = NO


RULES = (
    Rule("google_kms_crypto_key_version", "state", "=DESTROYED", Severity.LOSS,
         "is scheduled for destruction: data encrypted with it can no longer be read afterwards",
         "by restoring it before the scheduled time"),
    Rule("google_kms_crypto_key_version", "state", "=DISABLED", Severity.INTERRUPTED,
         "is disabled: data encrypted with it cannot be read until it is enabled again", BY_ENABLING),
    Rule(SECRETS, "ttl", "set", Severity.LOSS, "is deleted with all its versions {new} after the apply"),
    Rule(SECRETS, "expire_time", "set", Severity.LOSS, "is deleted with all its versions at {new}"),
    Rule(SECRETS, "version_destroy_ttl", "off", Severity.CARE,
         "destroys versions immediately from now on instead of after {old}", YES),
    Rule(VERSIONS, "enabled", "=false", Severity.INTERRUPTED, "is disabled: reading it fails", BY_ENABLING),
    Rule("google_spanner_database", "version_retention_period", "shorter", Severity.CARE,
         "keeps earlier versions of its rows for {new} instead of {old}: older ones can no longer be read"),
    Rule("google_firestore_database", "point_in_time_recovery_enablement", "=POINT_IN_TIME_RECOVERY_DISABLED",
         Severity.CARE, "can no longer be recovered to an earlier time"),
    Rule("google_alloydb_cluster", "continuous_backup_config.enabled", "off", Severity.CARE,
         "can no longer be recovered to an earlier time"),
    Rule("google_alloydb_cluster", "automated_backup_policy.enabled", "off", Severity.CARE,
         "is no longer backed up", YES),
    Rule("google_bigtable_table", "automated_backup_policy", "fewer", Severity.CARE, "is no longer backed up", YES),
    Rule("google_redis_instance", "memory_size_gb", "smaller", Severity.POSSIBLE_LOSS,
         "shrinks from {old} to {new} GiB: keys that no longer fit are evicted"),
    Rule("google_redis_instance", "persistence_config.persistence_mode", "=DISABLED", Severity.CARE,
         "no longer persists its data: a failure or a restart of all replicas loses it", YES),
    Rule("google_project", "billing_account", "off", Severity.POSSIBLE_LOSS,
         "loses its billing account: its services stop, and their data may be deleted", "by linking it again"),
    Rule("google_redis_cluster", "shard_count", "smaller", Severity.POSSIBLE_LOSS,
         "shrinks from {old} to {new} shards: keys that no longer fit are evicted"),
    Rule("google_memorystore_instance", "shard_count", "smaller", Severity.POSSIBLE_LOSS,
         "shrinks from {old} to {new} shards: keys that no longer fit are evicted"),
    Rule("google_memcache_instance", "node_count", "smaller", Severity.POSSIBLE_LOSS,
         "shrinks from {old} to {new} nodes: keys on the removed ones are lost"),
    Rule("google_bigtable_instance", "cluster", "fewer", Severity.CARE,
         "loses a cluster: clients whose app profile routes to it fail, and writes not yet replicated are lost", YES),
    Rule("google_dataproc_cluster", "cluster_config.worker_config.num_instances", "smaller", Severity.INTERRUPTED,
         "shrinks from {old} to {new} workers: HDFS blocks and tasks on the removed ones move or are lost", YES),
    Rule("google_compute_*instance_group_manager", "target_size", "smaller", Severity.INTERRUPTED,
         "shrinks from {old} to {new} VMs: the others are deleted with their disks", YES),
    Rule("google_compute_instance", "attached_disk", "fewer", Severity.INTERRUPTED,
         "loses a disk, which keeps its data", YES),
    Rule("google_storage_transfer_job", "transfer_spec.transfer_options.delete_objects_unique_in_sink", "true",
         Severity.LOSS, "deletes every object in its destination that the source does not have"),
    Rule("google_storage_transfer_job",
         "transfer_spec.transfer_options.delete_objects_from_source_after_transfer", "true",
         Severity.LOSS, "deletes objects in its source once they are copied"),
    Rule("google_storage_transfer_job", "replication_spec.transfer_options.delete_objects_unique_in_sink", "true",
         Severity.LOSS, "deletes every object in its destination that the source does not have"),
    Rule("google_storage_transfer_job",
         "replication_spec.transfer_options.delete_objects_from_source_after_transfer", "true",
         Severity.LOSS, "deletes objects in its source once they are copied"),
    Rule("google_backup_dr_backup_vault", "backup_minimum_enforced_retention_duration", "shorter", Severity.CARE,
         "lets backups be deleted after {new} instead of {old}", YES),
    Rule("google_netapp_backup_policy", "*_backup_limit", "smaller", Severity.LOSS,
         "keeps {new} backups instead of {old}: older ones are deleted"),
    Rule("google_gke_backup_backup_plan", "retention_policy.backup_retain_days", "smaller", Severity.CARE,
         "keeps new backups for {new} days instead of {old}", YES),
    Rule("google_firestore_backup_schedule", "retention", "shorter", Severity.CARE,
         "keeps new backups for {new} instead of {old}", YES),
    Rule("google_spanner_backup_schedule", "retention_duration", "shorter", Severity.CARE,
         "keeps new backups for {new} instead of {old}", YES),
)  # fmt: skip
# Types whose rules apply to created resources too.
MADE = ("google_storage_transfer_job",)


def data_argument_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield what changed arguments do to the data of a resource that is not deleted."""
    if change.after is None or change.action == "replace":
        return
    for rule, path in _list_rules(change):
        if change.before is None and change.type not in MADE:
            continue
        if _applies(rule, change, path):
            old, new = (span(get_text(side, path) or "unset") for side in (change.old, change.new))
            yield Finding(
                Kind.DATA if rule.severity >= Severity.POSSIBLE_LOSS else Kind.SERVICE,
                rule.severity,
                context.where(change),
                rule.sentence.format(old=old, new=new),
                rule.recovery,
                50,
                address=change.address,
            )


def has_rule(change: Change, path: str) -> bool:
    """Return whether an argument of a type has a rule, so that its change is examined."""
    return any(found == path or found.startswith(f"{path}.") for _, found in _list_rules(change))


def _list_rules(change: Change) -> Iterator[tuple[Rule, str]]:
    """Yield the rules of a change's type, each with the path of its argument."""
    for rule in RULES:
        if not fnmatchcase(change.type, rule.type):
            continue
        if "*" in rule.path:
            names = sorted({*change.old, *change.new})
            yield from ((rule, each) for each in names if fnmatchcase(each, rule.path))
        else:
            yield rule, rule.path


def _applies(rule: Rule, change: Change, path: str) -> bool:
    old, new = value_at(change.old, path), value_at(change.new, path)
    if rule.when.startswith("="):
        return old != new and new is not None and format_literal(new) == rule.when[1:]
    if rule.when == "fewer":
        return len(get_blocks(change.new, path)) < len(get_blocks(change.old, path))
    if rule.when == "off":
        return bool(old) and old is not False and (not new)
    if rule.when == "true":
        return new is True and old is not True
    if rule.when == "set":
        return new not in (None, "") and old != new and is_known(new)
    if rule.when == "shorter":
        sides = (_measure(old), _measure(new))
    else:
        sides = (get_number(change.old, path), get_number(change.new, path))
    return sides[0] is not None and sides[1] is not None and sides[1] < sides[0]


def _measure(value: object) -> float | None:
    """Return the seconds of a duration; of `1w` too."""
    if isinstance(value, str) and value.endswith("w") and value[:-1].isdigit():
        return float(value[:-1]) * 7 * 86_400
    return parse_duration(value)
